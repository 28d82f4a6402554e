"""Stream entries on the wire: the format of ``@socket.io/redis-streams-adapter`` 0.3.x, and ours.

An entry is a set of fields (``uid``, ``nsp``, ``type``, ``data``), as that adapter's ``encode()``
writes them: ``data`` is JSON, or base64 of MessagePack where JSON cannot carry it. What ours add:

1. ``to``, a JSON list of the rooms addressed (empty: everyone in the namespace). A server without a
   member there never decodes ``data``. Node's entries lack it and are decoded.
2. ``for``, the server that alone has to act (an answer to a request).
3. ``traceparent``, where the emit is traced: its context, as W3C Trace Context writes it. Only who traces
   looks at it.
4. Types from 100 on, which Node ignores. Types 3 to 12 have the numbers and fields of Node's
   ``MessageType``; Node's servers send 9 and 12 by PUB/SUB (`recovery.messages`), and read both here, too.

Whatever is read here may have been written by anybody: decoding checks every type and raises
`MalformedError`, nothing else.
"""

import base64
import json as standard_json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import isfinite
from typing import Any, Protocol, TypeGuard

from recovery.errors import EncodingError, MalformedError
from recovery.packing import ExtHook, Timestamp, is_list, is_map, keep_extension, pack, unpack
from recovery.records import Audience, Draft, Entry, Namespace, Room, ServerId
from recovery.rooms import check_rooms, is_room

__all__ = [
    "TRACE_FIELD",
    "Head",
    "JsonModule",
    "Kind",
    "Payload",
    "PayloadCodec",
    "contains_binary",
    "decode_audience",
    "make_draft",
    "read_head",
]

TRACE_FIELD = b"traceparent"

Payload = Mapping[str, Any]  # JSON-like; what is inside belongs to the application


class Kind(IntEnum):
    """What an entry does. 3 to 12 are Node's message types, those from 100 on are ours."""

    BROADCAST = 3
    """An event for an audience: ``{"packet": {"type": 2, "data": [event, ...]}, "opts": ...}``."""
    JOIN = 4
    """The audience enters ``rooms``."""
    LEAVE = 5
    """The audience leaves ``rooms``."""
    DISCONNECT = 6
    """The audience is disconnected, and its sessions end."""
    SERVER_EVENT = 9
    """An event for the servers themselves, from a process without one: ``{"packet": [event, ...]}``."""
    ACK = 12
    """A client's acknowledgement, on its way to the server that asked: ``requestId``, ``packet``."""
    TAKEOVER = 100
    """The connection of ``sid`` ends at this offset: claim ``claim`` has it from here on."""
    RELEASED = 101
    """The disconnect handler of ``sid`` has finished, as far as claim ``claim`` must wait for it."""
    SET_SESSION = 102
    """The user session of ``sid`` is replaced by ``session``."""
    FETCH_SESSION = 103
    """Server ``uid`` asks for the user session of ``sid``: ``requestId``."""
    SESSION = 104
    """The answer: ``requestId`` and ``session``. Nobody answers for a client that is gone."""


_REMEMBERED_HEADS = 4096
_REMEMBERED_BYTES = 256  # of the rooms of a head that is remembered
_PLAIN = frozenset({str, int, float, bool, type(None)})
_KINDS: Mapping[bytes, Kind] = {str(kind.value).encode(): kind for kind in Kind}


class JsonModule(Protocol):
    """A module (or object) with `dumps` and `loads` like the standard library's ``json``."""

    @property
    def dumps(self) -> Callable[..., str]:
        """Return an object as JSON text."""
        ...

    @property
    def loads(self) -> Callable[..., Any]:
        """Return the object that a JSON text denotes."""
        ...


@dataclass(frozen=True, slots=True)
class PayloadCodec:
    r"""Turns payloads into the ``data`` field and back, without losing what the client would see.

    Attributes:
        json: the JSON module of the python-socketio server.
        prefer_msgpack: write MessagePack even where JSON would do; for ``serializer='msgpack'``,
            whose clients can tell what JSON flattens (integer keys of maps, for one).
        only_plaintext: write JSON, and refuse what it cannot carry (setting ``only_plaintext``).
        default: as of `msgpack.packb`, for the application's own types.
        ext_hook: as of `msgpack.unpackb`.

    >>> codec = PayloadCodec()
    >>> codec.decode(codec.encode({"packet": {"data": ["news", b"\x00"]}}))
    {'packet': {'data': ['news', b'\x00']}}
    """

    json: JsonModule = standard_json
    prefer_msgpack: bool = False
    only_plaintext: bool = False
    default: Callable[[Any], Any] | None = None
    ext_hook: ExtHook = keep_extension

    def encode(self, payload: Payload) -> bytes:
        """Return the ``data`` field for a payload.

        Raises:
            EncodingError: something in it is of a type that the format cannot carry, or it is
                nested too deeply.
        """
        try:
            if not self.only_plaintext and (self.prefer_msgpack or contains_binary(payload)):
                return base64.b64encode(self._packed(payload))
            text = self.json.dumps(payload, separators=(",", ":"))
            if "NaN" in text or "Infinity" in text:
                _check_readable(payload, finite=True)
            return text.encode()
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise EncodingError(f"cannot encode the data of this packet: {exc}") from exc

    def decode(self, raw: bytes, *, plain: bool = False) -> dict[str, Any]:
        """Return the payload of a ``data`` field.

        Args:
            plain: with the types of JSON, whatever the application's module would make of it: for what goes
                on to clients, who are to get what the module wrote, and not what it reads and writes again.

        Raises:
            MalformedError: it is neither JSON nor base64 of MessagePack, or not an object.
        """
        loads = standard_json.loads if plain else self.json.loads
        try:
            payload = loads(raw.decode()) if raw[:1] == b"{" else self._unpack(raw)
        except Exception as exc:  # decoders and hooks raise whatever they like; none may stop the reader
            raise MalformedError(f"entry data of {len(raw)} bytes cannot be decoded: {exc}") from exc
        if not is_map(payload):
            raise MalformedError(f"entry data is a {type(payload).__name__}, expected an object")
        return payload

    def pack(self, payload: Payload) -> bytes:
        """Return a payload as MessagePack, as messages between servers carry it.

        Raises:
            EncodingError: as of `encode`.
        """
        try:
            return self._packed(payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise EncodingError(f"cannot encode the data of this message: {exc}") from exc

    def unpack(self, packed: bytes) -> Any:
        """Return what `pack` was given, or whatever else the bytes say; raises what the decoder raises."""
        payload = unpack(packed, ext_hook=self.ext_hook)
        return payload if self.prefer_msgpack else _as_json_has_it(payload)

    def _packed(self, payload: Payload) -> bytes:
        _check_readable(payload, finite=not self.prefer_msgpack)
        return pack(payload, default=self.default if self.prefer_msgpack else self._by_json)

    def _by_json(self, value: object) -> Any:
        """What the JSON module makes of a value of the application's own type, beside binary data."""
        return standard_json.loads(self.json.dumps(value, separators=(",", ":")))

    def _unpack(self, raw: bytes) -> Any:
        return self.unpack(base64.b64decode(raw, validate=True))


@dataclass(frozen=True, slots=True)
class Head:
    """What an entry says outside of its ``data``.

    Attributes:
        server: who appended it.
        rooms: the rooms addressed, None if only ``data`` tells (Node's entries).
        target: the one server that has to act, or None.
    """

    kind: Kind
    namespace: Namespace
    server: ServerId
    rooms: tuple[Room, ...] | None
    target: ServerId | None


def make_draft(
    kind: Kind,
    payload: Payload,
    codec: PayloadCodec,
    *,
    server: ServerId,
    namespace: Namespace,
    rooms: Sequence[Room] = (),
    target: ServerId | None = None,
) -> Draft:
    """Return an entry ready to be appended.

    Raises:
        EncodingError: data or a room cannot be stored.
    """
    check_rooms(rooms)
    fields = [
        (b"uid", server.encode()),
        (b"nsp", namespace.encode()),
        (b"type", b"%d" % kind),
        (b"data", codec.encode(payload)),
    ]
    if target is None:
        fields.append((b"to", standard_json.dumps(list(rooms), separators=(",", ":")).encode()))
    else:
        fields.append((b"for", target.encode()))
    return Draft(tuple(fields))


def read_head(entry: Entry) -> Head | None:
    """Read an entry's head; None for entries that are not for us to understand.

    Those are entries without a namespace (the genesis entry) and of an unknown type. Entries with the same
    head share it, as far as it is remembered: most traffic goes to the same few rooms.

    Raises:
        MalformedError: a field has bytes that it cannot have.
    """
    fields = entry.fields
    namespace, kind = fields.get(b"nsp"), fields.get(b"type", b"")
    if not namespace or kind not in _KINDS:
        return None
    rooms = fields.get(b"to")
    read = _read_head if rooms is None or len(rooms) <= _REMEMBERED_BYTES else _read_head.__wrapped__
    try:
        return read(kind, namespace, fields.get(b"uid", b""), rooms, fields.get(b"for"))
    except (ValueError, RecursionError) as exc:
        raise MalformedError(f"entry {entry.offset}: a field cannot be decoded: {exc}") from exc


@lru_cache(maxsize=_REMEMBERED_HEADS)
def _read_head(
    kind: bytes, namespace: bytes, server: bytes, rooms: bytes | None, target: bytes | None
) -> Head:
    return Head(
        kind=_KINDS[kind],
        namespace=Namespace(namespace.decode()),
        server=ServerId(server.decode()),
        rooms=None if rooms is None else _read_rooms(standard_json.loads(rooms)),
        target=None if target is None else ServerId(target.decode()),
    )


def decode_audience(payload: Payload) -> tuple[Audience, Mapping[str, Any]]:
    """Return the audience and the flags from a payload's ``opts`` (Node's ``encodeOptions()``).

    Raises:
        MalformedError: ``opts`` is not as that function writes it.
    """
    opts = payload.get("opts")
    if not is_map(opts):
        raise MalformedError("entry has no 'opts' object")
    flags = opts.get("flags")
    audience = Audience(_read_rooms(opts.get("rooms")), _read_rooms(opts.get("except")))
    return audience, flags if is_map(flags) else {}


def _read_rooms(value: object) -> tuple[Room, ...]:
    if not is_list(value) or not all(map(is_room, value)):
        raise MalformedError("expected a list of rooms (strings, or integers of 64 bits)")
    return tuple(value)


def _check_readable(value: object, *, finite: bool) -> None:
    """Raise for what can be written, and not be read back, or not by a JavaScript client.

    Raises:
        TypeError: a map has keys that MessagePack cannot read.
        ValueError: `finite`, and a number is none: JSON has no word for it, and ``JSON.parse`` would fail.
    """
    if is_map(value):
        for key in value:
            if not isinstance(key, str | int | float | bytes | None):
                raise TypeError(f"a {type(key).__name__} cannot be the key of a map")
    if finite and isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is not a number that JSON can carry")
    for item in _items(value):
        _check_readable(item, finite=finite)


def _as_json_has_it(value: object) -> object:
    """Turn what MessagePack can say and JSON cannot into what ``JSON.stringify`` makes of it.

    Node packs a Date as a timestamp, and sends ISO 8601 to its clients; a number that is none becomes null.
    """
    if is_map(value):
        return {key: _as_json_has_it(item) for key, item in value.items()}
    if is_list(value):
        return [_as_json_has_it(item) for item in value]
    if isinstance(value, Timestamp):
        return value.to_datetime().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return None if isinstance(value, float) and not isfinite(value) else value


def contains_binary(value: object) -> bool:
    """Tell whether there is binary data in a payload, which JSON cannot carry."""
    if type(value) in _PLAIN:  # nearly always; this is asked for each value of each emit
        return False
    return isinstance(value, bytes | bytearray) or any(map(contains_binary, _items(value)))


def _items(value: object) -> Iterable[Any]:
    """What is inside a map, a list or a tuple."""
    if is_map(value):
        return value.values()
    return value if is_list(value) or _is_tuple(value) else ()


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)
