"""What a client would not be sent, and why: the other side of a rehearsal.

Each entry after what the client has is looked at with the membership that the rehearsal ended with, which
knows the rooms at each offset. The rule is that of live delivery (`recovery.core.audience`); only its words
are here.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from recovery.core.audience import Obstacle, why_not_addressed
from recovery.core.packets import StoredEntry
from recovery.entries import Kind
from recovery.errors import MalformedError
from recovery.inspect.rehearsal import Packet, Rehearsal
from recovery.offsets import Offset

__all__ = ["Unsent", "UnsentReason", "list_unsent"]


class UnsentReason(StrEnum):
    """Why an entry of the stream is not sent to a client that comes back; see also `Obstacle`."""

    ALREADY_RECEIVED = "already-received"
    """The client has presented or proven an offset at or after it."""
    OTHER_NAMESPACE = "other-namespace"
    """It is for another namespace."""
    VOLATILE = "volatile"
    """It was emitted as volatile: for those who are connected only."""
    ACKNOWLEDGEMENT = "acknowledgement"
    """It asks for an acknowledgement; such packets are never replayed."""
    CONTROL = "control"
    """It is no packet: servers agree on something by it."""
    UNREADABLE = "unreadable"
    """Nobody can read it, no connected client got it either."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """An entry that is not sent.

    >>> Unsent(Offset(5, 0), Kind.BROADCAST, UnsentReason.VOLATILE, "cursor").reason.value
    'volatile'

    Attributes:
        kind: what the entry does, None if it cannot be told.
        reason: an `UnsentReason` or an `Obstacle`.
        event: the name of its event, "" if it has none.
    """

    offset: Offset
    kind: Kind | None
    reason: UnsentReason | Obstacle
    event: str = ""


def list_unsent(rehearsal: Rehearsal, *, last: int | None = None) -> Iterator[Unsent]:
    """Entries that the rehearsal looked at and did not send, in order; none if it was refused.

    Args:
        last: look at so many entries at most, the last ones; None for all.

    Example::

        for unsent in list_unsent(rehearse(source, pid)):
            print(unsent.offset, unsent.event, unsent.reason)
    """
    if not rehearsal.recovered:
        return
    entries = rehearsal.log.entries(rehearsal.log.start)
    for entry in entries if last is None else deque(entries, maxlen=last):
        unsent = _judged(entry, rehearsal)
        if unsent is not None:
            yield unsent


def _judged(entry: StoredEntry[Packet], rehearsal: Rehearsal) -> Unsent | None:
    head, connection = entry.head, rehearsal.connection
    if head is None:
        return Unsent(entry.offset, None, UnsentReason.UNREADABLE)
    if head.kind is not Kind.BROADCAST:
        return Unsent(entry.offset, head.kind, UnsentReason.CONTROL)
    try:
        event = entry.broadcast(rehearsal.codec)
    except MalformedError:
        return Unsent(entry.offset, head.kind, UnsentReason.UNREADABLE)
    reason: UnsentReason | Obstacle | None
    if head.namespace != connection.namespace:
        reason = UnsentReason.OTHER_NAMESPACE
    elif entry.offset <= connection.proven:
        reason = UnsentReason.ALREADY_RECEIVED
    elif event.ack is not None:
        reason = UnsentReason.ACKNOWLEDGEMENT
    elif event.volatile:
        reason = UnsentReason.VOLATILE
    else:
        reason = why_not_addressed(event.audience, connection.membership, entry.offset)
    return None if reason is None else Unsent(entry.offset, head.kind, reason, str(event.args[0]))
