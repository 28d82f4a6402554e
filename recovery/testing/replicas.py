"""What a replica lacks of what its primary had: what a failover undoes, besides packets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from recovery.offsets import Offset
from recovery.records import HolderState, Pid, Room, SavedSession, Sid
from recovery.sessions import decode_session
from recovery.stores.memory_state import Snapshot
from recovery.testing.history import Event, MembershipChanged

__all__ = ["Undone", "UndoneChange", "changes_in_doubt", "what_it_lacks"]


@dataclass(frozen=True, slots=True)
class UndoneChange:
    """A session is in a room again, or is not any more."""

    sid: Sid
    room: Room
    entered: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """What a failover undoes.

    Attributes:
        ends: sessions that had ended, and have not.
        over: those that had ended before, and still have.
        moves: sessions that had changed hands, and have not.
        changes: of rooms.
    """

    ends: frozenset[Sid] = frozenset()
    over: frozenset[Pid] = frozenset()
    moves: frozenset[Sid] = frozenset()
    changes: tuple[UndoneChange, ...] = ()


def what_it_lacks(primary: Snapshot, replica: Snapshot) -> Undone:
    """Compare the saved sessions of a primary and of its replica."""
    before = _sessions(replica)
    ends = frozenset(before[pid].sid for pid in before if _has_ended(primary, pid))
    now = _sessions(primary)
    changes = [change for pid in before.keys() & now.keys() for change in _changes(now[pid], before[pid])]
    moves = frozenset(before[pid].sid for pid in before if _has_moved(primary, replica, pid))
    over = frozenset(pid for pid in replica.claims if _has_ended(replica, pid))
    return Undone(ends, over, moves, tuple(sorted(changes, key=str)))


def changes_in_doubt(events: Sequence[Event], after: Offset, ends: frozenset[Sid]) -> list[MembershipChanged]:
    """Changes of rooms that were entries of the stream after an offset, the other way round.

    Whoever had read such an entry has the change, and saves it again. Who comes by what was saved has not.
    And all of sessions whose `ends` were undone: with which rooms they had been saved last is not known.
    """
    return [
        replace(event, entered=not event.entered, after=after, by=None)
        for event in events
        if isinstance(event, MembershipChanged)
        and event.by is not None
        and (event.by > after or event.sid in ends)
    ]


def _sessions(snapshot: Snapshot) -> dict[Pid, SavedSession]:
    return {
        pid: decode_session(claim.value) for pid, claim in snapshot.claims.items() if claim.value is not None
    }


def _has_ended(snapshot: Snapshot, pid: Pid) -> bool:
    claim = snapshot.claims.get(pid)
    return claim is not None and claim.saved.state is HolderState.ENDED


def _has_moved(primary: Snapshot, replica: Snapshot, pid: Pid) -> bool:
    claim = primary.claims.get(pid)
    return claim is not None and claim.number > replica.claims[pid].number


def _changes(now: SavedSession, then: SavedSession) -> Iterator[UndoneChange]:
    for room in set(now.rooms) ^ set(then.rooms):
        yield UndoneChange(now.sid, room, room in then.rooms)
