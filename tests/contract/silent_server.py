"""A server that falls silent or hangs up in the middle of a command, as no real one does on demand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["silent_server"]


@asynccontextmanager
async def silent_server(
    path: Path, *, hangs_up: bool, heard: asyncio.Event | None = None
) -> AsyncGenerator[str]:
    """Greet like a Redis, but answer no script: hang up, or say nothing.

    Yields a URL; sets `heard` at the first script.
    """
    handlers: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            while (words := await reader.read(100_000)) and b"EVAL" not in words:
                writer.write(b"+OK\r\n" * words.count(b"*"))
            if words and heard is not None:
                heard.set()
            while words and not hangs_up:
                words = await reader.read(100_000)
        finally:
            handlers.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        for task in tuple(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
