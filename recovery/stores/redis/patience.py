"""Giving up on a store that is silent, and not on one that this process had no time to listen to.

An event loop that stands still (thousands of clients come back at once, a handler computes) learns late of
everything: in the turn in which it goes on, timers have run out, and answers lie unread in their sockets. So
time counts here only as far as the loop ran.
"""

import asyncio
from types import TracebackType
from typing import Self

__all__ = ["Patience"]

_LATE = 0.1
"""A timer that is late by this part of its time tells that the loop stood still."""

_TURNS = 10
"""More looks of a loop that stands still: to hear an answer takes it a few turns. A bound, since a store may
be silent besides."""


class Patience:
    """Surrounds waiting for answers; `TimeoutError` if the next one does not come in time.

    Args:
        seconds: for each answer; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._turns = _TURNS
        self._deadline = 0.0
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.renew()
        if self._seconds is not None:
            self._look_at(self._deadline)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def renew(self) -> None:
        """An answer has come: the next one has its time, too."""
        if self._seconds is not None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds

    def _look_at(self, deadline: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(deadline, self._look, deadline)

    def _look(self, deadline: float) -> None:
        assert self._seconds is not None, "else there is no timer"
        if self._deadline > deadline:
            self._look_at(self._deadline)
            return
        now = asyncio.get_running_loop().time()
        if now - deadline > self._seconds * _LATE and self._turns:
            self._turns -= 1
            self._deadline = now + self._seconds * _LATE
            self._look_at(self._deadline)
        else:
            self._timeout.reschedule(now)
