"""The replay log: the recent entries of the stream, from which missed packets are answered.

1. It holds *every* entry after `start` up to the last one appended, of every room, because a room
   without a member here may have one tomorrow; it says so by `start`, and forgets only from there.
2. Entries stay raw. A packet is decoded when somebody local needs it, and then once.
3. It is indexed by namespace and room: what one client missed is found with work proportional to that,
   not to the traffic.
4. It is bounded in entries and in bytes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Any, Generic, TypeVar

from recovery.core.packets import StoredEntry
from recovery.offsets import Offset
from recovery.records import Namespace, Room

__all__ = ["ReplayLog"]

F = TypeVar("F")

_EVERYONE = None
"""Index key of entries that address a whole namespace, whose rooms only their data tells, or too many."""

_MOST_ROOMS = 1000
"""Rooms of one entry that the index knows it by. Each costs some hundred bytes, whatever its length: an entry
of a mebibyte can name a quarter of a million. One with more is looked at for everybody."""


class ReplayLog(Generic[F]):
    """Entries of one stream after `start`, in order, bounded.

    Attributes:
        start: the log is complete after this offset: an entry after it that is not here never was in
            the stream, or lies beyond the last one appended.
        anchor: the newest entry of the stream at or before `start`; None if that is not known.
        max_entries: bound on the number of entries.
        max_bytes: bound on the bytes of memory that they take; see `StoredEntry.size`.
    """

    def __init__(self, start: Offset, *, max_entries: int, max_bytes: int) -> None:
        self.start = start
        self.anchor: Offset | None = start
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._entries: _Line[F] = _Line()
        self._index: dict[tuple[Namespace, Room | None], _Line[F]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes of memory of all entries held, about; see `StoredEntry.size`."""
        return self._bytes

    def append(self, entry: StoredEntry[F]) -> None:
        """Add the next entry of the stream; forget the oldest ones if a bound is exceeded."""
        self._bytes += entry.size
        self._entries.append(entry)
        for key in _index_keys(entry):
            self._index.setdefault(key, _Line()).append(entry)
        while len(self._entries) > self.max_entries or self._bytes > self.max_bytes:
            self._forget_oldest()

    def extend_back(
        self, entries: Sequence[StoredEntry[F]], start: Offset, *, anchor: Offset | None = None
    ) -> bool:
        """Add older entries, all those of the stream in ``(start, self.start]``, ascending.

        Args:
            anchor: the newest entry of the stream at or before `start`, if known.

        Returns:
            False if they do not fit, and the log is as it was.
        """
        size = sum(entry.size for entry in entries)
        if len(self._entries) + len(entries) > self.max_entries or self._bytes + size > self.max_bytes:
            return False
        by_key: dict[tuple[Namespace, Room | None], list[StoredEntry[F]]] = {}
        for entry in entries:
            for key in _index_keys(entry):
                by_key.setdefault(key, []).append(entry)
        for key, older in by_key.items():
            self._index.setdefault(key, _Line()).extend_left(older)
        self._entries.extend_left(entries)
        self._bytes += size
        self.start, self.anchor = start, anchor
        return True

    def reset(self, start: Offset) -> None:
        """Forget everything: the log is complete after `start` only (a gap lies before it)."""
        self.start = self.anchor = start
        self._entries = _Line()
        self._index.clear()
        self._bytes = 0

    def lacks(self, offset: Offset) -> bool:
        """Tell whether no entry is at an offset up to the last one appended; False if that is not known."""
        if offset == self.start:
            return self.anchor is not None and self.anchor != offset
        return self.start < offset and not self._entries.holds(offset)

    def entries(self, after: Offset) -> Iterator[StoredEntry[F]]:
        """All entries after an offset, of every namespace and room, in order; for who wants to look."""
        return self._entries.after(after)

    def missed(self, namespace: Namespace, rooms: Iterable[Room], after: Offset) -> Iterator[StoredEntry[F]]:
        """Entries of a namespace after an offset that may concern a member of these rooms, in order.

        Those are the entries that address one of the rooms, or everyone; whether a client is really
        addressed depends on its rooms at each offset (`recovery.core.audience`).

        Args:
            after: not before `start`, or entries would be missing.
        """
        if after < self.start:
            raise ValueError(f"the log begins after {self.start}, cannot tell what follows {after}")
        keys = {(namespace, room) for room in rooms} | {(namespace, _EVERYONE)}
        lines = [self._index[key].after(after) for key in keys if key in self._index]
        for _, same in groupby(merge(*lines, key=_offset_of), key=_offset_of):
            yield next(same)

    def _forget_oldest(self) -> None:
        oldest = self._entries.pop_left()
        self.start = self.anchor = oldest.offset
        self._bytes -= oldest.size
        for key in _index_keys(oldest):
            line = self._index[key]
            line.pop_left()
            if not line:
                del self._index[key]


class _Line(Generic[F]):
    """Entries in order, cheap to append, to drop from the left, and to search by offset."""

    __slots__ = ("_dropped", "_items")

    def __init__(self) -> None:
        self._items: list[StoredEntry[F]] = []
        self._dropped = 0  # items at the left that are gone; the list is cut when they are a sixteenth

    def __len__(self) -> int:
        return len(self._items) - self._dropped

    def append(self, entry: StoredEntry[F]) -> None:
        self._items.append(entry)

    def extend_left(self, entries: Sequence[StoredEntry[F]]) -> None:
        self._items[: self._dropped] = entries
        self._dropped = 0

    def pop_left(self) -> StoredEntry[F]:
        entry = self._items[self._dropped]
        self._dropped += 1
        if self._dropped * 16 >= len(self._items):
            del self._items[: self._dropped]
            self._dropped = 0
        return entry

    def holds(self, offset: Offset) -> bool:
        place = bisect_left(self._items, offset, lo=self._dropped, key=_offset_of)
        return place < len(self._items) and self._items[place].offset == offset

    def after(self, offset: Offset) -> Iterator[StoredEntry[F]]:
        begin = bisect_right(self._items, offset, lo=self._dropped, key=_offset_of)
        return (self._items[index] for index in range(begin, len(self._items)))


def _index_keys(entry: StoredEntry[Any]) -> set[tuple[Namespace, Room | None]]:
    head = entry.head
    if head is None or head.target is not None:
        return set()
    named = head.rooms if head.rooms and len(head.rooms) <= _MOST_ROOMS else (_EVERYONE,)
    return {(head.namespace, room) for room in named}


def _offset_of(entry: StoredEntry[Any]) -> Offset:
    return entry.offset
