from celery import Celery

from adapter import RecoveryManager

app = Celery("tasks", broker="redis://localhost:6379")
manager = RecoveryManager("redis://localhost:6379", write_only=True)


@app.task
def announce(text: str) -> None:
    manager.emit("headline", text, room="news")
