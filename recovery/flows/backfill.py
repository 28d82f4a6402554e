"""Backfill: older entries of the stream are added to the replay log, for a client that needs them.

They are read from the newest backwards, in bounded batches, so that the log is complete after its start
at every moment, whatever is trimmed meanwhile.
"""

from typing import Any

from recovery.commands import Flow, ReadBack
from recovery.core.packets import StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.errors import MalformedError
from recovery.flows.pace import Pace
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry

__all__ = ["complete_log"]


def complete_log(
    log: ReplayLog[Any], back_to: Offset, *, count: int, max_packet_bytes: int | None = None
) -> Flow[bool]:
    """Make the log complete after `back_to`.

    Args:
        count: entries read at a time, at most; fewer where entries are large.
        max_packet_bytes: of entries with more only the place is kept; None for no limit.

    Returns:
        False if the stream does not hold an entry at or before `back_to` any more, which is what proves
        that nothing after it was trimmed, or if the log cannot hold so many.
    """
    pace = Pace(count)
    while log.start > back_to:
        upto, count = log.start, pace.count
        entries: tuple[Entry, ...] = yield ReadBack(upto, count)
        pace.note(entries)
        if log.start != upto:
            return False  # it is full: new entries push out what we are about to add
        older = [entry for entry in entries if back_to < entry.offset]
        reached = len(older) < len(entries)
        if not entries or (not reached and len(entries) < count):
            return False
        start = back_to if reached else _before(older[-1].offset)
        anchor = entries[len(older)].offset if reached else None
        stored = [_stored(entry, max_packet_bytes) for entry in reversed(older)]
        if not log.extend_back(stored, start, anchor=anchor):
            return False
    return True


def _stored(entry: Entry, max_bytes: int | None) -> StoredEntry[Any]:
    try:
        return StoredEntry.read(entry, max_bytes=max_bytes)
    except MalformedError:
        return StoredEntry.blank(entry.offset)


def _before(offset: Offset) -> Offset:
    """The last possible offset before an entry's."""
    if offset == ORIGIN:
        return ORIGIN
    return Offset(offset.ms, offset.seq - 1) if offset.seq else Offset(offset.ms - 1, 2**64 - 1)
