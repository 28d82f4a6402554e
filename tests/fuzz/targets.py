"""What is fuzzed: one function for each decoder, which takes any bytes and checks what comes out.

The property of each: it raises the error that it documents, or returns a value that is what its type says and
that the rest of the library can go on with. Anything else (another exception, a value of another type, one
that cannot be written again) is a finding and raises out of the target.
"""

import json
from collections.abc import Callable
from typing import Any

from recovery.core.control import read_control
from recovery.core.decision import Presented, read_auth
from recovery.core.packets import StoredEntry
from recovery.entries import Head, Kind, PayloadCodec, read_head
from recovery.errors import MalformedError
from recovery.offsets import Offset, parse_offset
from recovery.packing import unpack
from recovery.records import Audience, Entry, SavedSession
from recovery.rooms import check_rooms
from recovery.sessions import decode_session, decode_user_session, encode_session, encode_user_session

__all__ = ["TARGETS"]

_CODECS = (PayloadCodec(), PayloadCodec(prefer_msgpack=True))
_AT = Offset(7, 3)
_NAMES = (b"uid", b"nsp", b"type", b"data", b"to", b"for")


def _fields(data: bytes) -> dict[bytes, bytes]:
    """Bytes as the fields of an entry, one after the other."""
    return dict(zip(_NAMES, data.split(b"\x00"), strict=False))


def fuzz_head(data: bytes) -> None:
    """`read_head`: a head, None, or MalformedError."""
    try:
        head = read_head(Entry(_AT, _fields(data)))
    except MalformedError:
        return
    if head is None:
        return
    assert isinstance(head, Head)
    assert isinstance(head.kind, Kind)
    assert head.namespace
    head.namespace.encode()
    head.server.encode()
    check_rooms(head.rooms or ())


def fuzz_payload(data: bytes) -> None:
    """`PayloadCodec.decode`: an object, or MalformedError."""
    for codec in _CODECS:
        try:
            payload = codec.decode(data)
        except MalformedError:
            continue
        assert isinstance(payload, dict)


def fuzz_entry(data: bytes) -> None:
    """What a server does with an entry of each kind: events and control entries."""
    kind, _, payload = data.partition(b"\x00")
    kinds = [b"%d" % each for each in Kind]
    chosen = kinds[sum(kind) % len(kinds)]
    entry = Entry(_AT, {b"uid": b"u", b"nsp": b"/", b"type": chosen, b"to": b'["a"]', b"data": payload})
    for codec in _CODECS:
        stored = StoredEntry[Any].read(entry)
        try:
            if chosen == b"%d" % Kind.BROADCAST:
                event = stored.broadcast(codec)
                assert isinstance(event.args[0], str)
                assert isinstance(event.volatile, bool)
                _check_audience(event.audience)
            else:
                control = read_control(stored, codec)
                _check_audience(getattr(control, "audience", Audience()))
                check_rooms(getattr(control, "rooms", ()))
        except MalformedError:
            continue


def _check_audience(audience: Audience) -> None:
    check_rooms((*audience.rooms, *audience.excluded))


def fuzz_session(data: bytes) -> None:
    """`decode_session`: a session that can be saved again, or MalformedError."""
    try:
        session = decode_session(data)
    except MalformedError as error:
        _check_message(error)
        return
    assert isinstance(session, SavedSession)
    assert isinstance(session.data, dict)
    assert max(session.start, session.position) <= (2**64 - 1, 2**64 - 1)
    again = decode_session(encode_session(session))
    assert (again.sid, again.pid, again.rooms, again.history) == (
        session.sid,
        session.pid,
        session.rooms,
        session.history,
    )


def fuzz_user_session(data: bytes) -> None:
    """`decode_user_session`: a dict that can be saved, or MalformedError."""
    try:
        session = decode_user_session(data)
    except MalformedError as error:
        _check_message(error)
        return
    assert isinstance(session, dict)
    encode_user_session(session)


def fuzz_auth(data: bytes) -> None:
    """`read_auth` takes whatever JSON or MessagePack can say, and never raises."""
    decoders: tuple[Callable[[bytes], Any], ...] = (json.loads, unpack)
    for decode in decoders:
        try:
            auth = decode(data)
        except Exception:  # noqa: BLE001, S112 - python-socketio's own decoding; not what is tested
            continue
        presented, rest = read_auth(auth)
        assert isinstance(presented, Presented)
        assert presented.pid is None or 16 <= len(presented.pid) <= 64
        assert presented.offset is None or isinstance(presented.offset, Offset)
        assert not isinstance(rest, dict) or "pid" not in rest or "pid" not in auth


def fuzz_offset(data: bytes) -> None:
    """`parse_offset`: an offset of twice 64 bits, or ValueError."""
    for text in (data, data.decode("utf-8", "replace")):
        try:
            offset = parse_offset(text)
        except ValueError as error:
            _check_message(error)
            continue
        assert Offset(0, 0) <= offset <= Offset(2**64 - 1, 2**64 - 1)
        assert parse_offset(str(offset)) == offset


def _check_message(error: Exception) -> None:
    """It says what is wrong, and does not repeat what was read."""
    assert len(str(error)) < 200


TARGETS: dict[str, Callable[[bytes], None]] = {
    "head": fuzz_head,
    "payload": fuzz_payload,
    "entry": fuzz_entry,
    "session": fuzz_session,
    "user_session": fuzz_user_session,
    "auth": fuzz_auth,
    "offset": fuzz_offset,
}
