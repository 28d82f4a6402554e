import os
from typing import Any

import socketio

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.AsyncServer(
    async_mode="asgi", client_manager=manager, cors_allowed_origins=["https://admin.socket.io"]
)
admin = sio.instrument(
    auth={"username": "admin", "password": os.environ.get("ADMIN_PASSWORD", "secret")},
    mode="development",
)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    if not environ["socketio.recovery"].recovered:
        await sio.enter_room(sid, "news")


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("headline", text, room="news")


async def close() -> None:
    await admin.shutdown()
    await manager.close()


app = socketio.ASGIApp(sio, on_shutdown=close)
