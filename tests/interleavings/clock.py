"""A clock that a test moves: the store's and the event loop's, together."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import freezegun

__all__ = ["Clock", "stopped_clock"]


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self, frozen: freezegun.api.FrozenDateTimeFactory, loop: asyncio.AbstractEventLoop) -> None:
        self._frozen = frozen
        self._loop = loop
        self._shift = 0.0
        self._real_time = loop.time
        loop.time = self._time  # type: ignore[method-assign]  # there is no other way to move it

    def advance(self, seconds: float) -> None:
        """Let time pass; what was to happen meanwhile happens when others run next."""
        self._frozen.tick(seconds)
        self._shift += seconds

    def restore(self) -> None:
        """Give the loop its own time back."""
        self._loop.time = self._real_time  # type: ignore[method-assign]

    def _time(self) -> float:
        return self._real_time() + self._shift


@contextmanager
def stopped_clock() -> Generator[Clock]:
    """Stop the clock for a block. Within a running loop only."""
    freezer = freezegun.freeze_time("2026-03-01 12:00:00", real_asyncio=True, ignore=["_pytest"])
    frozen = freezer.start()
    assert isinstance(frozen, freezegun.api.FrozenDateTimeFactory), "it does so unless it ticks"
    clock = Clock(frozen, asyncio.get_running_loop())
    try:
        yield clock
    finally:
        clock.restore()
        freezer.stop()
