import os

from flask import Flask, request, session
from flask_socketio import SocketIO, emit, join_room

from adapter import RecoveryManager

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only for a trial")
manager = RecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
socketio = SocketIO(app, async_mode=os.environ.get("ASYNC_MODE", "threading"), client_manager=manager)


@socketio.on("connect")
def connect() -> None:
    recovered = request.environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {request.sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        join_room("news")
        session["published"] = 0


@socketio.on("publish")
def publish(text: str) -> int:
    session["published"] += 1
    emit("headline", text, to="news")
    return session["published"]
