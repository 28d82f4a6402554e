import socketio
from flask import Flask

from adapter import RecoveryManager

manager = RecoveryManager("redis://localhost:6379")
sio = socketio.Server(async_mode="threading", client_manager=manager)
app = Flask(__name__)
app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app)  # type: ignore[method-assign]  # as Flask's page says


@app.get("/live")
def live() -> str:
    return "ok"


@app.get("/ready")
def ready() -> tuple[list[str], int]:
    manager.start()  # harmless when repeated, and a worker that was forked has to begin by itself
    health = manager.health()
    return [str(reason) for reason in health.reasons], 200 if health else 503
