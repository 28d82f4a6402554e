"""Emits one headline to the clients of all servers, and ends."""

import asyncio
import sys

from adapter import AsyncRecoveryManager


async def announce(text: str) -> None:
    manager = AsyncRecoveryManager("redis://localhost:6379", write_only=True)
    try:
        await manager.emit("headline", text, room="news")
    finally:
        await manager.close()


asyncio.run(announce(sys.argv[1]))
