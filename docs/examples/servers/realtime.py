"""The Socket.IO part of an application: the same under every ASGI framework."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    recovered = environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        await sio.enter_room(sid, "news")


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("headline", text, room="news")


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    yield
    await manager.close()
