"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end_tasks"]

_PATIENCE = 0.2  # seconds before a cancellation counts as lost


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: on Python 3.11 `asyncio.wait_for` swallows a cancellation that comes just as what it
    waits for completes (https://github.com/python/cpython/issues/86296), and redis-py sends through it. The
    test ``tests/regressions/test_close_hangs.py`` shows when this can go.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_PATIENCE)
