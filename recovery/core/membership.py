"""Membership: in which rooms a client was, from which offset to which.

1. A room's history is a list of changes, each at an offset: entered, or left. A packet is judged by the
   last change *before* its own offset, so the client is a member for packets in ``(entered, left]``.
2. A client is in the room named by its sid from its start on, for ever.
3. Changes may come in another order than their offsets (a server knows its own at once, and reads
   others' later). So each takes its place in the history, and none is thrown away before everything
   up to it is settled.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping

from recovery.errors import LimitError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Room, RoomChange, Sid

__all__ = ["Membership"]


class Membership:
    """The rooms of one client over the stream.

    Attributes:
        start: the client sees only entries after this offset.
        sid: the room that it never leaves.
        settled: of packets at or before it not every room is known any more.

    >>> membership = Membership(Sid("abc"), Offset(0, 0))
    >>> membership.enter("news", Offset(5, 0))
    >>> membership.leave("news", Offset(9, 0))
    >>> [membership.contains("news", Offset(ms, 0)) for ms in (5, 6, 9, 10)]
    [False, True, True, False]
    """

    __slots__ = ("_changes", "settled", "sid", "start")

    def __init__(
        self,
        sid: Sid,
        start: Offset,
        changes: Mapping[Room, tuple[RoomChange, ...]] | None = None,
        settled: Offset = ORIGIN,
    ) -> None:
        self.sid = sid
        self.start = start
        self.settled = settled
        # Sorted, and none empty, whoever wrote it: it comes out of the store.
        self._changes: dict[Room, list[RoomChange]] = {
            room: sorted(history, key=_offset_of) for room, history in (changes or {}).items() if history
        }

    def contains(self, room: Room, offset: Offset) -> bool:
        """Tell whether the client was in the room for a packet at this offset."""
        if room == self.sid:
            return offset > self.start
        history = self._changes.get(room)
        if not history:
            return False
        last = history[-1]
        if last.offset < offset:
            return last.entered
        index = bisect_left(history, offset, key=_offset_of)
        return index > 0 and history[index - 1].entered

    def enter(self, room: Room, at: Offset, *, from_stream: bool = False) -> None:
        """Enter a room: packets after `at` are addressed."""
        self._change(room, RoomChange(at, entered=True), from_stream=from_stream)

    def leave(self, room: Room, at: Offset, *, from_stream: bool = False) -> None:
        """Leave a room: packets after `at` are not addressed. The sid's own room is never left."""
        self._change(room, RoomChange(at, entered=False), from_stream=from_stream)

    def settle(self, position: Offset, proven: Offset) -> None:
        """Forget what can no longer matter.

        Args:
            position: no change at or before it is still to come, so repetitions can go.
            proven: no packet at or before it is still to be judged, so their history can go.
        """
        for room, history in list(self._changes.items()):
            kept = _without_repetitions(history, position)
            decisive = bisect_right(kept, proven, key=_offset_of) - 1
            forgotten = decisive if decisive >= 0 and kept[decisive].entered else decisive + 1
            if forgotten > 0:
                self.settled = max(self.settled, kept[decisive].offset)
                del kept[:forgotten]
            if kept:
                self._changes[room] = kept
            else:
                del self._changes[room]

    def check_space(self, room: Room, most: int) -> None:
        """Raise `LimitError` if the client may enter no other room; those that it left count, while kept."""
        if room != self.sid and room not in self._changes and len(self._changes) >= most:
            raise LimitError(f"{self.sid} is in {most} rooms already, the most that max_rooms allows")

    def rooms(self) -> Iterator[Room]:
        """The rooms that the client is in after all changes, its sid first."""
        yield self.sid
        for room, history in self._changes.items():
            if history[-1].entered:
                yield room

    def is_in(self, room: Room) -> bool:
        """Tell whether the client is in the room after all changes."""
        history = self._changes.get(room, ())
        return room == self.sid or (len(history) > 0 and history[-1].entered)

    def latest(self, room: Room | None = None) -> Offset:
        """The offset of the last change of a room, or of any; the start if there is none."""
        histories = self._changes.values() if room is None else [self._changes.get(room, [])]
        return max((history[-1].offset for history in histories if history), default=self.start)

    def rooms_ever(self) -> Iterator[Room]:
        """The rooms that it is or was in, as far as history is kept."""
        yield self.sid
        yield from self._changes

    def changes(self) -> dict[Room, tuple[RoomChange, ...]]:
        """A copy of the history, for saving."""
        return {room: tuple(history) for room, history in self._changes.items()}

    def _change(self, room: Room, change: RoomChange, *, from_stream: bool) -> None:
        if room == self.sid:
            return
        history = self._changes.setdefault(room, [])
        # A local change at an offset was made knowing the entry there, so it comes after that entry's.
        find = bisect_left if from_stream else bisect_right
        history.insert(find(history, change.offset, key=_offset_of), change)


def _offset_of(change: RoomChange) -> Offset:
    return change.offset


def _without_repetitions(history: list[RoomChange], position: Offset) -> list[RoomChange]:
    kept: list[RoomChange] = []
    for change in history:
        repeats = bool(kept) and kept[-1].entered == change.entered and change.offset <= position
        if not repeats:
            kept.append(change)
    return kept
