"""Entries of the stream that end sessions: which of them a failover loses, and who had not heard of them.

A session that is ended where its client is not is ended by an entry. If that is lost, and the saved session
is as it was before, the end is undone; and a connection whose server had not read the entry goes on.
"""

from collections.abc import Sequence
from typing import Protocol

from recovery.offsets import Offset
from recovery.records import Room
from recovery.testing.replicas import Undone

__all__ = ["EndEntries", "Reader"]


class Reader(Protocol):
    """A server that reads the stream."""

    @property
    def has_read(self) -> Offset:
        """All up to here was read by it."""
        ...


class EndEntries:
    """The entries that end sessions, and where the sessions are."""

    def __init__(self) -> None:
        self._entries: list[tuple[Offset, str]] = []
        self._readers: dict[str, Reader] = {}  # by sid
        self._sids: dict[str, str] = {}  # by pid

    def accepted(self, sid: str, pid: str, server: Reader) -> None:
        """A client has its session on a server now."""
        self._readers[sid] = server
        self._sids[pid] = sid

    def note(self, offset: Offset, rooms: Sequence[Room]) -> None:
        """An entry ends the sessions of these sids."""
        self._entries += [(offset, str(room)) for room in rooms]

    def lose(self, after: Offset, undone: Undone) -> tuple[frozenset[str], frozenset[str]]:
        """All entries after an offset are lost: return the sids whose end is, and who had not heard of it."""
        lost: dict[str, Offset] = {}
        for offset, sid in self._entries:
            if offset > after:
                lost.setdefault(sid, offset)
        self._entries = [(offset, sid) for offset, sid in self._entries if offset <= after]
        still_ended = {sid for _, sid in self._entries}
        still_ended |= {self._sids[pid] for pid in undone.over if pid in self._sids}
        ends = (undone.ends | lost.keys()) - still_ended
        unheard = {
            sid
            for sid in ends - undone.ends
            if sid in self._readers and self._readers[sid].has_read < lost[sid]
        }
        return frozenset(ends), frozenset(unheard)
