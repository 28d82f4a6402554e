"""Saved sessions on the wire: base64 of MessagePack, as ``@socket.io/redis-streams-adapter`` has it.

Node's ``persistSession()`` writes the map ``{sid, pid, rooms, data}``; we add ``nsp``, ``epoch``,
``start``, ``position`` and ``history``, and ``settled`` if it is not the origin. Offsets are written as text.

The history names no room again: rooms are told by their places in ``rooms``, and after these in ``left``,
which has those that the client is not in any more. Most rooms are entered together, and share their changes.

1. What is read here may have been written by anybody. What can be read can be written again: else a
   client could be recovered, and then never be saved.
2. No error shows what is in a session: it holds the pid.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from recovery.errors import EncodingError, MalformedError
from recovery.offsets import ORIGIN, parse_offset
from recovery.packing import is_list, is_map, pack, unpack
from recovery.records import Epoch, Namespace, Pid, Room, RoomChange, SavedSession, Sid
from recovery.rooms import check_rooms, is_room

__all__ = ["decode_session", "decode_user_session", "encode_session", "encode_user_session"]


def encode_user_session(data: object, *, max_bytes: int | None = None) -> bytes:
    """Check that a user session can be saved, and return its MessagePack form.

    Maps (with any keys that MessagePack has), lists, text, bytes, numbers up to 64 bits, booleans,
    None and aware datetimes can be saved; a tuple comes back as a list.

    Args:
        max_bytes: of the saved session, which it is the largest part of (setting ``max_session_bytes``).

    Raises:
        EncodingError: it is not a dict, something in it is of another type, or it is too large.

    >>> encode_user_session({"user": {1, 2}})
    Traceback (most recent call last):
    recovery.errors.EncodingError: session data cannot be saved: can not serialize 'set' object ...
    """
    if not is_map(data):
        raise EncodingError(f"session data must be a dict, got {type(data).__name__}")
    try:
        unpack(pack({"data": data}, dates=True), dates=True)  # what can be written cannot always be read
        packed = pack(data, dates=True)
    except Exception as exc:
        raise EncodingError(
            f"session data cannot be saved: {exc} (use dicts, lists, text, bytes, numbers, booleans, None"
            " and aware datetimes)"
        ) from exc
    _check_size((len(packed) + 2) // 3 * 4, max_bytes)  # in base64, as it is saved
    return packed


def decode_user_session(packed: object) -> dict[str, Any]:
    """Read what `encode_user_session` wrote; raises `MalformedError`."""
    try:
        if not isinstance(packed, bytes):
            raise MalformedError(f"expected bytes, got {type(packed).__name__}")
        return _user_session(unpack(packed, dates=True))
    except Exception as exc:  # noqa: BLE001 - unpackers raise many types; all mean the same to the caller
        raise MalformedError(f"session data cannot be read: {_shown(exc)}") from None


def encode_session(session: SavedSession, *, max_bytes: int | None = None) -> bytes:
    """Return a session as the store keeps it; raises `EncodingError` like `encode_user_session`."""
    if session.data != {}:
        encode_user_session(session.data)
    present = set(session.rooms)
    left = [room for room in session.history if room not in present]
    named = [*session.rooms, *left]
    check_rooms(named)
    fields = {
        "sid": session.sid,
        "pid": session.pid,
        "rooms": list(session.rooms),
        "data": session.data,
        "nsp": session.namespace,
        "epoch": session.epoch,
        "start": str(session.start),
        "position": str(session.position),
        "history": _written(session.history, named),
    }
    if left:
        fields["left"] = left
    if session.foreign is not None:
        fields["foreign"] = str(session.foreign)
    if session.settled != ORIGIN:
        fields["settled"] = str(session.settled)
    value = base64.b64encode(pack(fields, dates=True))
    _check_size(len(value), max_bytes)
    return value


def decode_session(value: bytes) -> SavedSession:
    """Read a session that this library saved.

    Raises:
        MalformedError: it was not written by us, or by a newer release in another form.
    """
    try:
        fields = unpack(base64.b64decode(value, validate=True), dates=True)
        return SavedSession(
            sid=Sid(_text(fields["sid"])),
            pid=Pid(_text(fields["pid"])),
            namespace=Namespace(_text(fields["nsp"])),
            rooms=tuple(map(_room, _list(fields["rooms"]))),
            data=_user_session(fields["data"]),
            epoch=Epoch(_text(fields["epoch"])),
            start=parse_offset(fields["start"]),
            position=parse_offset(fields["position"]),
            history=_history(fields["history"], [*_list(fields["rooms"]), *_list(fields.get("left", []))]),
            foreign=parse_offset(fields["foreign"]) if "foreign" in fields else None,
            settled=parse_offset(fields["settled"]) if "settled" in fields else ORIGIN,
        )
    except Exception as exc:  # noqa: BLE001 - unpackers raise many types; all mean the same to the caller
        raise MalformedError(f"saved session of {len(value)} bytes cannot be read: {_shown(exc)}") from None


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise EncodingError(
            f"the session would have {size} bytes, more than max_session_bytes ({max_bytes}):"
            " keep less in it, or raise that setting on all servers"
        )


def _shown(error: Exception) -> str:
    """What is wrong, without what was read: our own words, or else the kind of error."""
    if isinstance(error, KeyError):
        return f"it has no {error}"  # a field that we look for
    return str(error) if isinstance(error, MalformedError) else type(error).__name__


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"expected text, got {type(value).__name__}")
    return value


def _list(value: object) -> list[Any]:
    if not is_list(value):
        raise MalformedError(f"expected a list, got {type(value).__name__}")
    return value


def _room(value: object) -> Room:
    if not is_room(value):
        raise MalformedError(f"expected a room, got {type(value).__name__}")
    return value


def _user_session(value: object) -> dict[str, Any]:
    if not is_map(value):
        raise MalformedError(f"expected session data, got {type(value).__name__}")
    pack({"data": value}, dates=True)  # raises what cannot be written again: it is nested too deeply
    return value


def _written(history: Mapping[Room, tuple[RoomChange, ...]], named: Sequence[Room]) -> list[Any]:
    """Pairs of changes and of the places of the rooms that have them."""
    places: dict[tuple[RoomChange, ...], list[int]] = {}
    for place, room in enumerate(named):
        if room in history:
            places.setdefault(history[room], []).append(place)
    return [
        [[[str(change.offset), change.entered] for change in changes], rooms]
        for changes, rooms in places.items()
    ]


def _history(value: object, named: Sequence[object]) -> dict[Room, tuple[RoomChange, ...]]:
    """The history of each room that has one, in the order in which they are named."""
    changes_at: dict[int, tuple[RoomChange, ...]] = {}
    for changes, places in _list(value):
        changes_at |= dict.fromkeys(_list(places), _changes(changes))
    history = {_room(room): changes_at.pop(place) for place, room in enumerate(named) if place in changes_at}
    if changes_at:
        raise MalformedError("there is a history of no room")
    return history


def _changes(value: object) -> tuple[RoomChange, ...]:
    return tuple(map(_change, _list(value)))


def _change(value: object) -> RoomChange:
    offset, entered = _list(value)
    if not isinstance(entered, bool):
        raise MalformedError(f"expected whether a room was entered, got {type(entered).__name__}")
    return RoomChange(parse_offset(offset), entered)
