from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import socketio
from fastapi import FastAPI
from prometheus_client import REGISTRY, start_http_server

from adapter import AsyncRecoveryManager
from adapter.metrics import RecoveryCollector

manager = AsyncRecoveryManager("redis://localhost:6379")
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)


def show_metrics(first_port: int = 9100, most: int = 100) -> None:
    """Show this process's metrics on the first port that no other worker has."""
    REGISTRY.register(RecoveryCollector(manager))
    for port in range(first_port, first_port + most):
        try:
            start_http_server(port, addr="127.0.0.1")
        except OSError:
            continue
        return
    raise RuntimeError(f"no free port from {first_port} to {first_port + most - 1}")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    manager.start()
    show_metrics()
    yield
    await manager.close()


app = socketio.ASGIApp(sio, other_asgi_app=FastAPI(lifespan=lifespan))
