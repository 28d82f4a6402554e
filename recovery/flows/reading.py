"""Reading: the next entries after a position, with proof that none is missing between.

XREAD past a trimmed position returns later entries without an error. What proves continuity is the
oldest entry that the stream still has: trimming takes from that end only, so if it is not newer than the
position, nothing after the position is gone. It costs a round trip, and is asked for when it can be
otherwise: after an interruption, when a batch is so large that a cap on the stream's length may have cut
before it, when so much time lies between position and entries that retention may have, and when a stream
begins among them.

A failover may lose the newest entries, and nothing tells so. After an interruption, therefore, the last
entries that this server has read and published must still be there. If one is not, while an older one is, the
stream gets a new epoch: nobody can recover what may have been lost, and everybody is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recovery.commands import Flow, GetStream, Read, ReadBack, RenewStream
from recovery.offsets import Offset
from recovery.records import Entry, StreamState

__all__ = ["Batch", "is_lost", "read_on"]

_SHORTEST_CAP = 100
"""Entries in a batch from which on it is doubted: no server in the cluster may cap the stream below that,
but this one, whose cap is known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read.

    Attributes:
        entries: in order.
        stream: its state after that, if it was asked for.
        gap: True if entries after the position are missing; the stream's state tells where to go on.
    """

    entries: tuple[Entry, ...]
    stream: StreamState | None = None
    gap: bool = False


def read_on(
    after: Offset,
    *,
    count: int,
    block_ms: int,
    retention_ms: int,
    doubtful: bool,
    renewal: RenewStream,
    max_len: int | None = None,
) -> Flow[Batch]:
    """Read up to `count` entries after a position, waiting up to `block_ms` for the first.

    Args:
        max_len: this server's cap on the stream, if it has one.
        doubtful: continuity must be proven whatever is read (first read, or after an interruption).
        renewal: what to do if the stream, its entry at the position, or the last one known (`lost`) is gone.
    """
    entries: tuple[Entry, ...] = yield Read(after, count, 0 if doubtful else block_ms)
    full = len(entries) >= min(count, max_len or count, _SHORTEST_CAP)
    overdue = bool(entries) and entries[-1].offset.ms - after.ms > retention_ms // 2
    began_anew = any(b"epoch" in entry.fields for entry in entries)  # the genesis entry of another stream
    if not (full or overdue or doubtful or began_anew):
        return Batch(entries)
    lost = False
    if doubtful:  # before the state: whatever is trimmed between the two makes a gap, not a loss
        for known in sorted({after, renewal.lost}):  # what was published may be in another primary already
            newest: tuple[Entry, ...] = yield ReadBack(known, 1)
            if is_lost(known, newest):  # but a later one, published since, may be there, in a new epoch
                lost, renewal = True, replace(renewal, lost=known)
    state: StreamState | None = yield GetStream()
    if state is None or lost:
        renewed: StreamState = yield renewal
        return Batch(entries, renewed, gap=True)
    return Batch(entries, state, gap=state.first > after or state.last < after)


def is_lost(known: Offset, newest: Sequence[Entry]) -> bool:
    """Tell whether the stream has lost an entry that it is known to have had.

    Args:
        newest: the newest entry at or before the known one, if there is any. Where there is none it was
            trimmed with all before it, which is no loss.
    """
    return len(newest) > 0 and newest[0].offset != known
