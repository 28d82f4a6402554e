"""The arguments of `emit`, as python-socketio understands them, in our own terms."""

from typing import Any

from recovery.records import Audience, Room
from recovery.rooms import check_rooms

__all__ = ["arguments_of", "audience_of"]


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
        EncodingError: a room that is neither text nor a whole number.

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
    check_rooms((*rooms, *excluded))
    return Audience(rooms, excluded)
