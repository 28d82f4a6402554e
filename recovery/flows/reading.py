"""Reading: the next entries after a position, with proof that none is missing between.

XREAD past a trimmed position returns later entries without an error. What proves continuity is the
oldest entry that the stream still has: trimming takes from that end only, so if it is not newer than the
position, nothing after the position is gone. It costs a round trip, and is asked for when it can be
otherwise: after an interruption, when a batch is so large that a cap on the stream's length may have cut
before it, when so much time lies between position and entries that retention may have, and when a stream
begins among them.
"""

from dataclasses import dataclass

from recovery.commands import Flow, GetStream, Read
from recovery.offsets import Offset
from recovery.records import Entry, Epoch, StreamState

__all__ = ["Batch", "read_on"]

_SHORTEST_CAP = 100
"""Entries in a batch from which on it is doubted: no server in the cluster may cap the stream below that,
but this one, whose cap is known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read.

    Attributes:
        entries: in order.
        epoch: identity of the stream, if it was asked for.
        gap: True if entries between the position and these are missing.
    """

    entries: tuple[Entry, ...]
    epoch: Epoch | None = None
    gap: bool = False


def read_on(
    after: Offset, *, count: int, block_ms: int, retention_ms: int, doubtful: bool, max_len: int | None = None
) -> Flow[Batch]:
    """Read up to `count` entries after a position, waiting up to `block_ms` for the first.

    Args:
        max_len: this server's cap on the stream, if it has one.
        doubtful: continuity must be proven whatever is read (first read, or after an interruption).
    """
    entries: tuple[Entry, ...] = yield Read(after, count, 0 if doubtful else block_ms)
    full = len(entries) >= min(count, max_len or count, _SHORTEST_CAP)
    overdue = bool(entries) and entries[-1].offset.ms - after.ms > retention_ms // 2
    began_anew = any(b"epoch" in entry.fields for entry in entries)  # the genesis entry of another stream
    if not (full or overdue or doubtful or began_anew):
        return Batch(entries)
    state: StreamState | None = yield GetStream()
    if state is None:
        return Batch(entries, gap=True)
    return Batch(entries, state.epoch, gap=state.first > after or state.last < after)
