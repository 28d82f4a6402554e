"""The stream in the memory store: entries in order, an epoch, and what is trimmed."""

from bisect import bisect_left, bisect_right

from recovery.bridging import Forward
from recovery.commands import Append, RenewStream
from recovery.offsets import ORIGIN, Offset
from recovery.records import Draft, Entry, Epoch, StreamState

__all__ = ["Stream"]


class Stream:
    """The entries, oldest first. `last` outlives them, as the epoch key does in Redis."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.epoch = Epoch("")
        self.begun = ORIGIN
        self.last = ORIGIN
        self.above = ORIGIN

    def ensure(self, candidate: Epoch, now: int) -> bool:
        """Make a genesis entry if there is no entry; tell whether."""
        if self.entries:
            return False
        self._begin(candidate, now)
        return True

    def renew(self, command: RenewStream, now: int) -> None:
        """See `RenewStream`."""
        self.ensure(command.candidate, now)
        if self.epoch == command.stale or self.begun <= command.lost:
            self.last = max(self.last, command.lost)
            self._begin(command.candidate, now)

    def _begin(self, epoch: Epoch, now: int) -> None:
        self.epoch = epoch
        self.begun = self.add(Draft(((b"epoch", epoch.encode()),)), now)

    def extend(self, command: Append | Forward, now: int) -> tuple[tuple[Offset, ...], bool]:
        """Append, and trim; return the new offsets, and whether that cut into the window."""
        if self.has_lost(command.known):
            self.renew(RenewStream(self.epoch, command.candidate, command.known), now)
        offsets = tuple(self.add(draft, now) for draft in command.drafts)
        return offsets, self.trim(now - command.retention_ms, command.max_len)

    def has_lost(self, known: Offset) -> bool:
        """Whether an older entry is where that one should be."""
        newest = self.upto(known, 1)
        return len(newest) > 0 and newest[0].offset != known

    def lose(self, after: Offset) -> None:
        """Lose the newest entries, as a failover may."""
        del self.entries[bisect_right(self.entries, after, key=_offset_of) :]
        self.last = min(self.last, after)

    def forget(self, upto: Offset) -> None:
        """Lose the oldest entries, but not all."""
        del self.entries[: min(len(self.entries) - 1, bisect_right(self.entries, upto, key=_offset_of))]

    def add(self, draft: Draft, now: int) -> Offset:
        """Append one entry, above all that ever was."""
        highest = max(self.last, self.above)
        following = Offset(highest.ms, highest.seq + 1)
        self.last = max(Offset(now, 0), following)
        self.entries.append(Entry(self.last, dict(draft.fields)))
        return self.last

    def state(self, now: int) -> StreamState:
        """What there is, of a stream with entries."""
        return StreamState(self.epoch, self.entries[0].offset, self.entries[-1].offset, now)

    def after(self, offset: Offset, count: int) -> tuple[Entry, ...]:
        """The next entries, ascending."""
        start = bisect_right(self.entries, offset, key=_offset_of)
        return tuple(self.entries[start : start + count])

    def upto(self, offset: Offset, count: int) -> tuple[Entry, ...]:
        """The entries before, and at, an offset, descending."""
        end = bisect_right(self.entries, offset, key=_offset_of)
        return tuple(reversed(self.entries[max(0, end - count) : end]))

    def trim(self, cutoff: int, max_len: int | None) -> bool:
        """Drop all but the newest of the entries up to `cutoff`, then cap; True as `cut_into_window`.

        Either is put off until it pays: the rest of the list moves each time.
        """
        newer = bisect_left(self.entries, Offset(cutoff + 1, 0), key=_offset_of)
        if newer > 1 and (newer - 1) * 8 >= len(self.entries):
            del self.entries[: newer - 1]
        if max_len is None or len(self.entries) <= max_len + max_len // 8:
            return False
        del self.entries[: len(self.entries) - max_len]
        return self.entries[0].offset.ms > cutoff


def _offset_of(entry: Entry) -> Offset:
    return entry.offset
