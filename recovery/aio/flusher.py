"""One task at a time that works off what waits: begun when something is added, gone when nothing is left."""

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Flusher"]


class Flusher:
    """Runs a function that empties a queue, never twice at once.

    Args:
        flush: returns when nothing is waiting any more; must not raise.
        name: of its task.
    """

    def __init__(self, flush: Callable[[], Awaitable[None]], name: str) -> None:
        self._flush = flush
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Something was added: see that it is worked off."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def finish(self) -> None:
        """Wait until nothing is left."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._flush()
        finally:
            self._task = None
