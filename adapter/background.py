"""Tasks of this process that nobody awaits: kept from being collected, and ended together."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from adapter.portal import alone
from recovery.aio.tasks import end_tasks

__all__ = ["Background"]

logger = logging.getLogger("recovery.background")


class Background:
    """A set of running tasks; one that fails is logged, not lost."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], *, awaited: bool = False) -> asyncio.Task[Any]:
        """Run a coroutine in a task of its own, and return that.

        Args:
            awaited: the caller waits for its end, so that it may use the thread that waits for the caller.
        """
        context = copy_context() if awaited else alone()
        task = asyncio.get_running_loop().create_task(coroutine, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self, patience: float) -> None:
        """Wait for all tasks at most `patience` seconds, then cancel what is left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        await end_tasks(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error(
                "a background task failed", exc_info=task.exception(), extra={"event": "task.failed"}
            )
