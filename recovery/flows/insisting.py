"""Insisting: a command that may be repeated is, until the store answers or time is up."""

from typing import TypeVar

from recovery.commands import Command, Flow
from recovery.errors import StoreUnavailableError
from recovery.flows.steps import Clock, Pause

__all__ = ["insist"]

R = TypeVar("R")

_FIRST_PAUSE = 0.02  # seconds; a connection that was reset is made anew at once
_LONGEST_PAUSE = 0.5


def insist(command: Command[R], *, timeout: float) -> Flow[R]:
    """Return the reply to a command, repeated as long as the store does not answer.

    Args:
        command: harmless when repeated (`recovery.commands`, rule 2).
        timeout: seconds after which it is not repeated any more.

    Raises:
        StoreUnavailableError: no answer in time.
        StoreError: the store answered with an error; that is not repeated.
    """
    started: float = yield Clock()
    pause = _FIRST_PAUSE
    while True:
        try:
            reply: R = yield command
            return reply
        except StoreUnavailableError:
            now: float = yield Clock()
            if now - started + pause > timeout:
                raise
        yield Pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
