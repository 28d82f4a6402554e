"""Saved sessions on the wire: base64 of MessagePack, as ``@socket.io/redis-streams-adapter`` has it.

Node's ``persistSession()`` writes the map ``{sid, pid, rooms, data}``; we add ``nsp``, ``epoch``,
``start``, ``position`` and ``history``. Offsets are written as text.
"""

import base64
from typing import Any

from recovery.errors import EncodingError, MalformedError
from recovery.offsets import parse_offset
from recovery.packing import is_map, pack, unpack
from recovery.records import Epoch, Namespace, Pid, Room, RoomChange, SavedSession, Sid
from recovery.rooms import check_rooms

__all__ = ["decode_session", "decode_user_session", "encode_session", "encode_user_session"]


def encode_user_session(data: object) -> bytes:
    """Check that a user session can be saved, and return its MessagePack form.

    Maps (with any keys that MessagePack has), lists, text, bytes, numbers up to 64 bits, booleans,
    None and aware datetimes can be saved; a tuple comes back as a list.

    Raises:
        EncodingError: it is not a dict, or something in it is of another type.

    >>> encode_user_session({"user": {1, 2}})
    Traceback (most recent call last):
    recovery.errors.EncodingError: session data cannot be saved: can not serialize 'set' object ...
    """
    if not is_map(data):
        raise EncodingError(f"session data must be a dict, got {type(data).__name__}")
    try:
        unpack(pack({"data": data}, dates=True), dates=True)  # what can be written cannot always be read
        return pack(data, dates=True)
    except Exception as exc:
        raise EncodingError(
            f"session data cannot be saved: {exc} (use dicts, lists, text, bytes, numbers, booleans, None"
            " and aware datetimes)"
        ) from exc


def decode_user_session(packed: object) -> dict[str, Any]:
    """Read what `encode_user_session` wrote; raises `MalformedError`."""
    try:
        if not isinstance(packed, bytes):
            raise MalformedError(f"expected bytes, got {type(packed).__name__}")
        return _user_session(unpack(packed, dates=True))
    except Exception as exc:  # unpackers raise many types; all mean the same to the caller
        raise MalformedError(f"session data cannot be read: {exc!r}") from exc


def encode_session(session: SavedSession) -> bytes:
    """Return a session as the store keeps it; raises `EncodingError` like `encode_user_session`."""
    encode_user_session(session.data)
    check_rooms(session.rooms)
    history = [
        [room, [[str(change.offset), change.entered] for change in changes]]
        for room, changes in session.history.items()
    ]
    return base64.b64encode(
        pack(
            {
                "sid": session.sid,
                "pid": session.pid,
                "rooms": list(session.rooms),
                "data": session.data,
                "nsp": session.namespace,
                "epoch": session.epoch,
                "start": str(session.start),
                "position": str(session.position),
                "history": history,
            },
            dates=True,
        )
    )


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
            rooms=tuple(map(_room, fields["rooms"])),
            data=_user_session(fields["data"]),
            epoch=Epoch(_text(fields["epoch"])),
            start=parse_offset(fields["start"]),
            position=parse_offset(fields["position"]),
            history={_room(room): tuple(map(_change, changes)) for room, changes in fields["history"]},
        )
    except Exception as exc:  # unpackers raise many types; all mean the same to the caller
        raise MalformedError(f"saved session of {len(value)} bytes cannot be read: {exc!r}") from exc


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"expected text, got {type(value).__name__}")
    return value


def _room(value: object) -> Room:
    if not isinstance(value, str | int):
        raise MalformedError(f"expected a room, got {type(value).__name__}")
    return value


def _user_session(value: object) -> dict[str, Any]:
    if not is_map(value):
        raise MalformedError(f"expected session data, got {type(value).__name__}")
    return value


def _change(value: Any) -> RoomChange:
    offset, entered = value
    return RoomChange(parse_offset(offset), bool(entered))
