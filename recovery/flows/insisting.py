"""Insisting: a command that may be repeated is, until the store answers or time is up."""

from collections.abc import Callable
from typing import TypeVar

from recovery.commands import Command, Flow
from recovery.errors import StoreUnavailableError
from recovery.flows.steps import Clock, Pause

__all__ = ["insist"]

R = TypeVar("R")

_FIRST_PAUSE = 0.02  # seconds; a server that restarts needs about this long, a new connection less
_LONGEST_PAUSE = 0.5


def insist(
    command: Command[R],
    *,
    timeout: float,
    on_silence: Callable[[StoreUnavailableError], object] = lambda _: None,
) -> Flow[R]:
    """Return the reply to a command, repeated as long as the store does not answer.

    Args:
        command: harmless when repeated (`recovery.commands`, rule 2).
        timeout: seconds after which it is not repeated any more.
        on_silence: called with the error of each attempt that was not answered, the last one too.

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
        except StoreUnavailableError as exc:
            on_silence(exc)
            now: float = yield Clock()
            if now - started + pause > timeout:
                raise
        yield Pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
