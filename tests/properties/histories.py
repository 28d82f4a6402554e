"""Histories of a stream, and a model that says by brute force who must get what.

The model reads the whole history from its start for every question, keeps nothing, and uses no part of
the core: what it says is the promise, as simply as it can be written down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import strategies as st

from recovery.entries import Kind
from recovery.offsets import Offset
from recovery.records import Audience, Draft, Entry, Room
from tests.unit.builders import CHAT, DRAFTS, NSP, at, entry

__all__ = [
    "ROOMS",
    "SID",
    "Action",
    "Emit",
    "Move",
    "audiences",
    "events_due",
    "histories",
    "is_due",
    "rooms_at",
    "stream_of",
]

SID = "me"
ROOMS: tuple[Room, ...] = ("a", "b", 1)


@dataclass(frozen=True)
class Emit:
    """An event, of an audience; some are not recoverable, or for another namespace."""

    audience: Audience
    volatile: bool = False
    elsewhere: bool = False
    by_node: bool = False


@dataclass(frozen=True)
class Move:
    """A control entry: the audience enters a room, or leaves it."""

    audience: Audience
    room: Room
    entered: bool


Action: TypeAlias = Emit | Move

rooms = st.sampled_from([*ROOMS, SID, "other"])
audiences = st.builds(
    Audience,
    st.lists(rooms, max_size=2).map(tuple),
    st.lists(rooms, max_size=1).map(tuple),
)
emits = st.builds(
    Emit,
    audiences,
    volatile=st.integers(0, 9).map(lambda number: number == 9),
    elsewhere=st.integers(0, 9).map(lambda number: number == 9),
    by_node=st.booleans(),
)
moves = st.builds(
    Move,
    st.sampled_from([SID, SID, *ROOMS]).map(lambda room: Audience((room,))),
    st.sampled_from(ROOMS),
    st.booleans(),
)
histories = st.lists(emits | moves, max_size=25)


def stream_of(history: Sequence[Action]) -> list[Entry]:
    """The entries of a history, at 1-0, 2-0, ...; each event is named after its place."""
    return [_entry(action, number) for number, action in enumerate(history, start=1)]


def events_due(
    history: Sequence[Action], after: int, *, start: int = 0, live: bool = False, own: Iterable["Own"] = ()
) -> list[str]:
    """The events that the client must get of those after a place.

    Args:
        start: the client's session sees what comes after it.
        live: it was connected all the time, so it gets volatile ones too.
        own: its own changes of rooms.
    """
    changes = list(own)
    return [
        str(number)
        for number, action in enumerate(history, start=1)
        if number > max(after, start)
        and isinstance(action, Emit)
        and not action.elsewhere
        and (live or not action.volatile)
        and is_due(action.audience, rooms_at(history, number, start=start, own=changes))
    ]


@dataclass(frozen=True)
class Own:
    """A change of rooms that the client's own server made after `place`."""

    place: int
    room: Room
    entered: bool


def rooms_at(history: Sequence[Action], place: int, *, start: int = 0, own: Iterable[Own] = ()) -> set[Room]:
    """The rooms that the client is in for an entry at this place."""
    inside: set[Room] = {SID}
    changes = list(own)
    for number in range(start, place):
        action = history[number - 1] if number > start else None
        if isinstance(action, Move) and is_due(action.audience, inside):
            _change(inside, action.room, entered=action.entered)
        for change in changes:
            if change.place == number:
                _change(inside, change.room, entered=change.entered)
    return inside


def is_due(audience: Audience, inside: set[Room]) -> bool:
    """Tell whether somebody in these rooms is addressed."""
    addressed = not audience.rooms or bool(inside.intersection(audience.rooms))
    return addressed and not inside.intersection(audience.excluded)


def _change(inside: set[Room], room: Room, *, entered: bool) -> None:
    if entered:
        inside.add(room)
    elif room != SID:
        inside.discard(room)


def _entry(action: Action, number: int) -> Entry:
    made = entry(_draft(action, number), number)
    if isinstance(action, Emit) and action.by_node:
        fields = {name: value for name, value in made.fields.items() if name != b"to"}
        return Entry(made.offset, fields)
    return made


def _draft(action: Action, number: int) -> Draft:
    if isinstance(action, Move):
        kind = Kind.JOIN if action.entered else Kind.LEAVE
        return DRAFTS.change_rooms(kind, NSP, action.audience, [action.room])
    namespace = CHAT if action.elsewhere else NSP
    return DRAFTS.broadcast(namespace, [str(number)], action.audience, volatile=action.volatile)


def offset_of(place: int) -> Offset:
    """The offset of the entry at a place; 0 is before the first."""
    return at(place)
