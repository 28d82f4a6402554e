from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import socketio
from fastapi import FastAPI, Response

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379")
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    manager.start()  # or the first probe would wait for the first client, and that for the probe
    yield
    await manager.close()


api = FastAPI(lifespan=lifespan)
app = socketio.ASGIApp(sio, other_asgi_app=api)


@api.get("/live")
async def live() -> str:
    return "ok"  # the process answers: that is all, a store that is away is no reason to restart it


@api.get("/ready")
async def ready(response: Response) -> list[str]:
    health = manager.health()
    response.status_code = 200 if health else 503
    return [str(reason) for reason in health.reasons]
