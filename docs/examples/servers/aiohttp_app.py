import os
from typing import Any

import socketio
from aiohttp import web

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    recovered = environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        await sio.enter_room(sid, "news")


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("headline", text, room="news")


async def close_manager(_app: web.Application) -> None:
    await manager.close()


app = web.Application()
sio.attach(app)
app.on_shutdown.append(close_manager)

if __name__ == "__main__":
    web.run_app(app, port=8000)
