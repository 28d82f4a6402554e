import os
from typing import Any

import socketio
from sanic import Sanic

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.AsyncServer(async_mode="sanic", client_manager=manager)
app = Sanic("news")
sio.attach(app)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    recovered = environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        await sio.enter_room(sid, "news")


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("headline", text, room="news")


@app.before_server_stop
async def close_manager(_app: Sanic) -> None:
    await manager.close()
