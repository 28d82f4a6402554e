"""The one way in which a test waits: until something is so, and never longer than a bounded time."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["async_wait_until", "wait_until"]

T = TypeVar("T")

_INTERVAL = 0.005


def wait_until(predicate: Callable[[], T], *, timeout: float = 10.0, what: str = "") -> T:
    """Return the first true value of a predicate, which is asked again and again.

    Args:
        timeout: seconds, counted in questions, so that a test that stops the clock may wait too.
        what: what was waited for, for the message.

    Raises:
        AssertionError: it was not so in time.
    """
    pause = threading.Event()
    for _ in range(int(timeout / _INTERVAL)):
        value = predicate()
        if value:
            return value
        pause.wait(_INTERVAL)
    raise AssertionError(f"{what or predicate} was not so within {timeout} s")


async def async_wait_until(
    predicate: Callable[[], Awaitable[T]],
    *,
    timeout: float = 10.0,
    what: str = "",
) -> T:
    """Return the first true value of an asynchronous predicate; see `wait_until`."""
    for _ in range(int(timeout / _INTERVAL)):
        value = await predicate()
        if value:
            return value
        await asyncio.sleep(_INTERVAL)
    raise AssertionError(f"{what or predicate} was not so within {timeout} s")
