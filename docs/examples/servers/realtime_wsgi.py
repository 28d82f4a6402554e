"""The Socket.IO part of an application that WSGI serves."""

import os
from typing import Any

import socketio

from adapter import RecoveryManager

manager = RecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.Server(async_mode="threading", client_manager=manager)


@sio.event
def connect(sid: str, environ: dict[str, Any]) -> None:
    recovered = environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        sio.enter_room(sid, "news")


@sio.event
def publish(sid: str, text: str) -> None:
    sio.emit("headline", text, room="news")
