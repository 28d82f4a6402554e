"""The arguments of `emit`, as python-socketio understands them, in our own terms."""

from typing import Any

from recovery.records import Audience, Room

__all__ = ["arguments_of", "audience_of", "check_room"]


def arguments_of(event: str, data: Any) -> list[Any]:
    """The event's name and arguments: None is no argument, a tuple several, anything else one.

    >>> arguments_of("news", ("a", 1))
    ['news', 'a', 1]
    """
    if data is None:
        return [event]
    return [event, *data] if isinstance(data, tuple) else [event, data]


def audience_of(room: Any, skip_sid: Any) -> Audience:
    """Whom an emit addresses.

    Args:
        room: None for everyone, a sid or room, or a list or tuple of them.
        skip_sid: None, a sid, or a list of sids.

    Raises:
        ValueError: an empty list of rooms, which python-socketio takes for a mistake, too.
        TypeError: a room that is neither text nor a whole number.

    >>> audience_of(["a", "b"], "x")
    Audience(rooms=('a', 'b'), excluded=('x',))
    """
    if room is None:
        rooms: tuple[Room, ...] = ()
    elif isinstance(room, list | tuple | set | frozenset):
        rooms = tuple(room)
        if not rooms:
            raise ValueError("the list of rooms is empty: leave it out to address everyone")
    else:
        rooms = (room,)
    skipped = skip_sid if isinstance(skip_sid, list | tuple | set | frozenset) else [skip_sid]
    excluded = tuple(sid for sid in skipped if sid is not None)
    for name in (*rooms, *excluded):
        check_room(name)
    return Audience(rooms, excluded)


def check_room(room: Any) -> None:
    """Raise `TypeError` unless a room's name can be stored."""
    if isinstance(room, bool) or not isinstance(room, str | int):
        raise TypeError(f"room {room!r} is a {type(room).__name__}: rooms are strings or whole numbers")
