"""Control entries, decoded: what the stream says besides events.

One type for each `recovery.entries.Kind` but BROADCAST. Decoding checks every field, because an entry
may have been written by anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recovery.core.packets import AckRequest, StoredEntry
from recovery.entries import Head, Kind, Payload, PayloadCodec, decode_audience
from recovery.errors import MalformedError
from recovery.packing import is_list
from recovery.records import Audience, Namespace, Room, ServerId, Sid
from recovery.rooms import is_room
from recovery.sessions import decode_user_session

__all__ = [
    "Acknowledgement",
    "Control",
    "Disconnection",
    "Release",
    "RoomsChange",
    "ServerEvent",
    "SessionAnswer",
    "SessionChange",
    "SessionRequest",
    "Takeover",
    "read_control",
]


@dataclass(frozen=True, slots=True)
class RoomsChange:
    """The audience enters rooms, or leaves them."""

    namespace: Namespace
    audience: Audience
    rooms: Sequence[Room]
    entered: bool


@dataclass(frozen=True, slots=True)
class Disconnection:
    """The audience is disconnected, and its sessions end; with `close`, so are its transports."""

    namespace: Namespace
    audience: Audience
    close: bool = False


@dataclass(frozen=True, slots=True)
class Takeover:
    """Claim `number`, made by `claimer`, has the session of `sid`; `holder` had it before."""

    namespace: Namespace
    sid: Sid
    number: int
    claimer: ServerId
    holder: ServerId


@dataclass(frozen=True, slots=True)
class Release:
    """The disconnect handler for `sid` has finished; claim `number` was waiting for it."""

    namespace: Namespace
    sid: Sid
    number: int


@dataclass(frozen=True, slots=True)
class SessionChange:
    """The user session of the audience (one sid) becomes `data`."""

    namespace: Namespace
    audience: Audience
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A server asks for the user session of the audience (one sid)."""

    namespace: Namespace
    audience: Audience
    request: AckRequest


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The answer to a `SessionRequest`."""

    request_id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A client's acknowledgement of an event."""

    request_id: str
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event for the servers themselves: its name, and its arguments."""

    namespace: Namespace
    server: ServerId
    args: Sequence[Any]


_NUMBERS_END = 2**53
"""Claim numbers lie below: the scripts count with Lua's numbers, which are exact up to there."""

Control = (
    RoomsChange
    | Disconnection
    | Takeover
    | Release
    | SessionChange
    | SessionRequest
    | SessionAnswer
    | Acknowledgement
    | ServerEvent
)


def read_control(stored: StoredEntry[Any], codec: PayloadCodec) -> Control:
    """Decode an entry that is not an event; raises `MalformedError`."""
    assert stored.head is not None and stored.head.kind in _READERS, "events are read elsewhere"
    return _READERS[stored.head.kind](stored.head, stored.payload(codec))


def _rooms_change(head: Head, payload: Payload) -> RoomsChange:
    rooms = payload.get("rooms")
    if not is_list(rooms) or not all(map(is_room, rooms)):
        raise MalformedError("'rooms' is not a list of rooms (strings, or integers of 64 bits)")
    audience, _ = decode_audience(payload)
    return RoomsChange(head.namespace, audience, rooms, entered=head.kind is Kind.JOIN)


def _disconnection(head: Head, payload: Payload) -> Disconnection:
    return Disconnection(head.namespace, decode_audience(payload)[0], close=payload.get("close") is True)


def _takeover(head: Head, payload: Payload) -> Takeover:
    return Takeover(
        head.namespace,
        Sid(_text(payload, "sid")),
        _number(payload, "claim"),
        claimer=head.server,
        holder=ServerId(_text(payload, "holder")),
    )


def _release(head: Head, payload: Payload) -> Release:
    return Release(head.namespace, Sid(_text(payload, "sid")), _number(payload, "claim"))


def _session_change(head: Head, payload: Payload) -> SessionChange:
    return SessionChange(head.namespace, _one_client(head), decode_user_session(payload.get("session")))


def _session_request(head: Head, payload: Payload) -> SessionRequest:
    request = AckRequest(head.server, _text(payload, "requestId"))
    return SessionRequest(head.namespace, _one_client(head), request)


def _session_answer(_head: Head, payload: Payload) -> SessionAnswer:
    return SessionAnswer(_text(payload, "requestId"), decode_user_session(payload.get("session")))


def _acknowledgement(_head: Head, payload: Payload) -> Acknowledgement:
    args = payload.get("packet")
    if not is_list(args):
        raise MalformedError("'packet' is not a list of arguments")
    return Acknowledgement(_text(payload, "requestId"), args)


def _server_event(head: Head, payload: Payload) -> ServerEvent:
    args = payload.get("packet")
    if not is_list(args) or not args or not isinstance(args[0], str):
        raise MalformedError("'packet' is not an event")
    return ServerEvent(head.namespace, head.server, args)


_READERS: Mapping[Kind, Callable[[Head, Payload], Control]] = {
    Kind.JOIN: _rooms_change,
    Kind.LEAVE: _rooms_change,
    Kind.DISCONNECT: _disconnection,
    Kind.TAKEOVER: _takeover,
    Kind.RELEASED: _release,
    Kind.SET_SESSION: _session_change,
    Kind.FETCH_SESSION: _session_request,
    Kind.SESSION: _session_answer,
    Kind.ACK: _acknowledgement,
    Kind.SERVER_EVENT: _server_event,
}


def _one_client(head: Head) -> Audience:
    if head.rooms is None or len(head.rooms) != 1:
        raise MalformedError("'to' does not name one client")
    return Audience(head.rooms)


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"{name!r} is not text")
    return value


def _number(payload: Payload, name: str) -> int:
    value = payload.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _NUMBERS_END:
        raise MalformedError(f"{name!r} is not a whole number below 2**53")
    return value
