"""A server with recovery in the test's own loop, under uvicorn on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import socketio
import uvicorn

from adapter import AsyncRecoveryManager

__all__ = ["serving"]


@asynccontextmanager
async def serving(**options: Any) -> AsyncGenerator[tuple[Any, str]]:
    """Serve an ``AsyncServer``; give it, and its URL.

    Args:
        **options: of `AsyncRecoveryManager`.
    """
    manager = AsyncRecoveryManager(**options)
    sio: Any = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    config = uvicorn.Config(socketio.ASGIApp(sio), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                while not server.started:
                    await asyncio.sleep(0.005)
            yield sio, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            await manager.close()
