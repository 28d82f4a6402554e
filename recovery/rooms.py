"""Which rooms can be stored: python-socketio allows any hashable, JSON and MessagePack do not."""

from collections.abc import Sequence
from typing import TypeGuard

from recovery.errors import EncodingError
from recovery.records import Room

__all__ = ["check_rooms", "is_room"]


def is_room(value: object) -> TypeGuard[Room]:
    """Tell whether what somebody else wrote is a room that `check_rooms` would let pass."""
    if isinstance(value, str):
        return value.isascii() or _is_text(value)
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64


def check_rooms(rooms: Sequence[object]) -> None:
    """Raise `EncodingError` unless all are rooms that can be stored: text, or integers of 64 bits."""
    for room in rooms:
        if isinstance(room, bool) or not isinstance(room, str | int):
            raise EncodingError(
                f"room {room!r} is a {type(room).__name__}: rooms are strings or whole numbers"
            )
        if isinstance(room, int) and not -(2**63) <= room < 2**64:
            raise EncodingError(f"room {room} does not fit into 64 bits")
        if isinstance(room, str) and not room.isascii():
            _check_text(room)


def _check_text(room: str) -> None:
    try:
        room.encode()
    except UnicodeEncodeError as exc:
        raise EncodingError(f"room {room!r} is not valid text: {exc}") from exc


def _is_text(room: str) -> bool:
    try:
        room.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say
        return False
    return True
