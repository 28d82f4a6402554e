"""Sources: where the inspector reads from. A live store, a snapshot and a dump answer the same questions.

1. A source reads. Nothing here writes, takes a claim, or changes when a key expires.
2. Sessions and entries come one after the other: no answer needs memory for all of them.
3. A source that is not live stands still: its `now_ms` is the moment at which its data was taken.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from recovery.flows.pace import Pace
from recovery.inspect.records import StoredSession
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry, Pid, ServerId, StreamState

__all__ = ["AT_ONCE", "MOST_VALUE_BYTES", "Source", "entries_between"]

AT_ONCE = 500
"""Entries that are read in one command at most: Redis answers nobody else meanwhile."""

MOST_VALUE_BYTES = 4 * 2**20
"""A saved session with more bytes is not transferred; servers refuse to save one (``max_session_bytes``)."""


class Source(Protocol):
    """What can be read of a stream and its sessions; `open_source` gives one.

    Example::

    print(source.place, source.length(), source.stream())
    """

    @property
    def place(self) -> str:
        """Where it is, for people; no credentials."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether it goes on changing."""
        ...

    def now_ms(self) -> int:
        """The store's clock, or the moment at which the data was taken."""
        ...

    def stream(self) -> StreamState | None:
        """Both ends of the stream; None without a stream or an epoch."""
        ...

    def length(self) -> int:
        """Number of entries in the stream."""
        ...

    def read(self, after: Offset, count: int, *, wait_ms: int = 0) -> tuple[Entry, ...]:
        """Up to `count` entries after an offset, ascending; a live source waits for the first one."""
        ...

    def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
        """Up to `count` entries at or before an offset, descending."""
        ...

    def session(self, pid: Pid) -> StoredSession | None:
        """One session; None if nothing is known of it."""
        ...

    def sessions(self, prefix: str = "") -> Iterator[StoredSession]:
        """All sessions whose pid begins so, each once, in no order."""
        ...

    def last_batch_ms(self, server: ServerId) -> int | None:
        """When a server last appended something; None if it did not within ``producer_ttl_ms`` (an hour)."""
        ...

    def facts(self) -> Mapping[str, str]:
        """What the server says of itself (``INFO``); empty if there is none."""
        ...

    def close(self) -> None:
        """Let go of connections, files and servers."""
        ...


def entries_between(
    source: Source, after: Offset = ORIGIN, upto: Offset | None = None, *, at_once: int = AT_ONCE
) -> Iterator[Entry]:
    """Entries after one offset up to another, the end by default, in order.

    They are read in pieces that adapt to their size, so that no answer is large.

    Example::

        for entry in entries_between(source, after=Offset(1700000000000, 0)):
            print(entry.offset, entry.size())
    """
    pace = Pace(at_once)
    while batch := source.read(after, pace.count):
        for entry in batch:
            if upto is not None and entry.offset > upto:
                return
            yield entry
        pace.note(batch)
        after = batch[-1].offset
