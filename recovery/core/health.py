"""Health: whether a server can do its part now, for a probe that decides if clients are to be sent to it.

It is judged by what the server knows already (`recovery.core.meters`). A server that is not well still serves
its clients as far as it can: they keep their connections, and get what they missed when the store is back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recovery.core.meters import StreamMeters

__all__ = ["MAX_LAG", "Health", "Trouble", "judge"]

MAX_LAG = 5.0
"""Seconds that a server may be behind, or its store silent, unless the caller says otherwise: more than a
restart of the store takes, and less than clients wait for."""


class Trouble(StrEnum):
    """Why a server should get no clients."""

    CLOSED = "closed"
    """The manager was closed."""

    STARTING = "starting"
    """The server has not begun to read the stream: nobody could be recovered."""

    STORE_AWAY = "store-away"
    """The last attempt to read got no answer, or one to append a moment ago, or the store has owed an answer
    for too long. A process whose event loop stands still looks the same."""

    READER_BEHIND = "reader-behind"
    """The reader has still to read entries that others have had for too long."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a server should get clients; true if it should.

    Attributes:
        reasons: why not; empty if it should.
        lag: seconds for which it may lack entries that others have; None while that is unknown, and in a
            process without a server.

    >>> bool(Health()), bool(Health((Trouble.STORE_AWAY,), lag=7.5))
    (True, False)
    >>> [str(reason) for reason in Health((Trouble.STARTING,)).reasons]
    ['starting']
    """

    reasons: tuple[Trouble, ...] = ()
    lag: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons

    def __bool__(self) -> bool:
        return self.ok


def judge(
    streams: Sequence[StreamMeters],
    *,
    reads: bool,
    closed: bool,
    now: float,
    patience: float,
    max_lag: float,
) -> Health:
    """Judge a server by the worst of its streams.

    Args:
        streams: what it has counted of each.
        reads: False for a process that only emits.
        now: seconds on the clock of `Progress.note`.
        patience: seconds for which a read may wait for entries.
        max_lag: seconds that the reader may be behind, or the store silent.
    """
    readers = [stream.reader for stream in streams if stream.reader.begun] if reads else []
    silence = _longest([reader.silence(now, patience=patience) for reader in readers])
    lag = _longest([reader.lag(now, patience=patience) for reader in readers])
    if closed:
        return Health((Trouble.CLOSED,), lag)
    silent = any(each.unanswered is not None and now - each.unanswered < max_lag for each in streams)
    away = silent or any(reader.failing for reader in readers) or (silence or 0.0) > max_lag
    found = {
        Trouble.STARTING: reads and silence is None,
        Trouble.STORE_AWAY: away,
        Trouble.READER_BEHIND: not away and (lag or 0.0) > max_lag,
    }
    return Health(tuple(trouble for trouble, there in found.items() if there), lag)


def _longest(times: Sequence[float | None]) -> float | None:
    """The longest of some times; None if one is unknown, or there is none."""
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None
