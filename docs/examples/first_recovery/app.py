"""A FastAPI application whose Socket.IO clients miss no headline."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio
from fastapi import FastAPI

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager(os.environ.get("STORE", "memory://"), max_disconnection_duration=120.0)
sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", client_manager=manager)


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
    yield
    await manager.close()


api = FastAPI(lifespan=lifespan)
app = socketio.ASGIApp(sio, api)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any]) -> None:
    recovery = environ["socketio.recovery"]
    if recovery.recovered:
        user = await sio.get_session(sid)
        print(f"{user['name']} is back as {sid}")
        return
    print(f"{auth['name']} is new as {sid}, reason: {recovery.reason}")
    await sio.save_session(sid, {"name": auth["name"]})
    await sio.enter_room(sid, "news")


@api.post("/headlines")
async def publish(text: str) -> None:
    await sio.emit("headline", text, room="news")
