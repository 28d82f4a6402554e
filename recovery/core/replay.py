"""Replay: what a client missed, found in the log by the rules of live delivery.

1. Entries are judged one after the other, each at its own offset.
2. Control entries that the saved state does not know yet are applied on the way, so that a client which
   was put into a room while it was away gets that room's packets from there on.
3. It is all or nothing: where it cannot be whole, there is a reason and no packet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from recovery.core.audience import is_addressed
from recovery.core.connection import Connection
from recovery.core.control import Control, Disconnection, RoomsChange, SessionChange, read_control
from recovery.core.packets import StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.entries import Kind, PayloadCodec
from recovery.errors import MalformedError
from recovery.offsets import Offset
from recovery.reasons import Reason

__all__ = ["Replay", "find_missed"]

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Replay(Generic[F]):
    """Everything that a client missed, in order."""

    packets: tuple[StoredEntry[F], ...]


def find_missed(
    log: ReplayLog[F],
    codec: PayloadCodec,
    connection: Connection[F],
    *,
    floor: Offset,
    applied: Offset,
    limit: int,
) -> Replay[F] | Reason:
    """Bring a restored connection up to the end of the log.

    Args:
        connection: its rooms and user session are updated on the way.
        floor: packets after it are missing.
        applied: control entries up to it are in the saved state already. The log must be complete
            after both.
        limit: number of packets that may be replayed.

    Returns:
        The packets, or `Reason.DISCONNECTED` if the client was disconnected while it was away, or
        `Reason.REPLAY_TOO_LARGE`.
    """
    packets: list[StoredEntry[F]] = []
    for entry in _entries_for(log, connection, after=min(floor, applied)):
        assert entry.head is not None, "the log's index holds entries with a head only"
        if entry.head.kind is not Kind.BROADCAST:
            if entry.offset > applied and _apply(entry, codec, connection):
                return Reason.DISCONNECTED
        elif entry.offset > floor and _is_missed(entry, codec, connection):
            packets.append(entry)
            if len(packets) > limit:
                return Reason.REPLAY_TOO_LARGE
    return Replay(tuple(packets))


def _entries_for(
    log: ReplayLog[Any], connection: Connection[Any], *, after: Offset
) -> Iterator[StoredEntry[Any]]:
    """Entries that may concern the client; its rooms may grow while they are walked through."""
    rooms = set(connection.membership.rooms_ever())
    while True:
        for entry in log.missed(connection.namespace, rooms, after):
            yield entry
            after = entry.offset
            known, rooms = rooms, set(connection.membership.rooms_ever())
            if not rooms <= known:
                rooms |= known
                break
        else:
            return


def _is_missed(entry: StoredEntry[Any], codec: PayloadCodec, connection: Connection[Any]) -> bool:
    try:
        event = entry.broadcast(codec)
    except MalformedError:
        return False  # no live client got it either
    return event.recoverable and is_addressed(event.audience, connection.membership, entry.offset)


def _apply(entry: StoredEntry[Any], codec: PayloadCodec, connection: Connection[Any]) -> bool:
    """Apply a control entry; tell whether it ends the session."""
    try:
        control: Control = read_control(entry, codec)
    except MalformedError:
        return False
    if not isinstance(control, RoomsChange | Disconnection | SessionChange):
        return False
    if not is_addressed(control.audience, connection.membership, entry.offset):
        return False
    if isinstance(control, RoomsChange):
        for room in control.rooms:
            change = connection.membership.enter if control.entered else connection.membership.leave
            change(room, entry.offset, from_stream=True)
    elif isinstance(control, SessionChange):
        connection.user_session = control.data
    return isinstance(control, Disconnection)
