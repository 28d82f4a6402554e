"""Messages between servers, besides the stream: the format of ``@socket.io/redis-streams-adapter`` 0.3.x.

That adapter sends what nobody need read later by Redis's PUB/SUB: requests to all servers on the public
channel of a namespace, and each answer on the private channel of the server that asked. A message is a
MessagePack map of ``uid``, ``nsp``, ``type`` and ``data``.

1. Types have the numbers of Node's ``MessageType``, and ``data`` has its fields. Fields of ours, which Node
   ignores, are said at each type.
2. Heartbeats are ours to send: Node's adapter 0.3.x sends none, and ignores them.
3. Whatever is read here may have been written by anybody: decoding raises `MalformedError`, nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from recovery.entries import PayloadCodec
from recovery.errors import MalformedError
from recovery.packing import is_list, is_map
from recovery.records import Namespace, ServerId

__all__ = [
    "Message",
    "MessageKind",
    "decode_message",
    "encode_message",
    "event_of",
    "private_channel",
    "public_channel",
    "text_of",
]


class MessageKind(IntEnum):
    """What a message is. A field ``after`` of a request is an offset: read the stream up to it first."""

    INITIAL_HEARTBEAT = 1
    """A server has begun, and asks all others for their heartbeat; ``data`` as of `HEARTBEAT`."""
    HEARTBEAT = 2
    """A server is there: what `recovery.peers.Report` says."""
    BROADCAST = 3
    """An event for an audience that is to be acknowledged: ``packet``, ``opts``, ``requestId``."""
    FETCH_SOCKETS = 7
    """Which clients has each server of an audience? ``opts``, ``requestId``."""
    FETCH_SOCKETS_RESPONSE = 8
    """``requestId``, ``sockets``; and ``server``, a report as of `HEARTBEAT`."""
    SERVER_SIDE_EMIT = 9
    """An event for servers: ``packet``, and ``requestId`` if an answer is wanted."""
    SERVER_SIDE_EMIT_RESPONSE = 10
    """``requestId``, ``packet`` (one value)."""
    BROADCAST_CLIENT_COUNT = 11
    """How many clients of a server got the event: ``requestId``, ``clientCount``; and ``sids``."""
    BROADCAST_ACK = 12
    """A client's acknowledgement: ``requestId``, ``packet`` (one value); and ``sid``."""
    ADAPTER_CLOSE = 13
    """A server leaves."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, decoded.

    Attributes:
        server: who sent it.
        data: empty if there is none.
    """

    kind: MessageKind
    server: ServerId
    namespace: Namespace
    data: Mapping[str, Any]


def public_channel(prefix: str, namespace: Namespace) -> str:
    """The channel that all servers with a namespace listen to.

    >>> public_channel("socket.io", Namespace("/"))
    'socket.io#/#'
    """
    return f"{prefix}#{namespace}#"


def private_channel(prefix: str, namespace: Namespace, server: ServerId) -> str:
    """The channel on which one server gets answers.

    >>> private_channel("socket.io", Namespace("/"), ServerId("c2f0"))
    'socket.io#/#c2f0#'
    """
    return f"{prefix}#{namespace}#{server}#"


def encode_message(message: Message, codec: PayloadCodec) -> bytes:
    """Return a message as it is published; raises `EncodingError` for data that cannot be."""
    fields = {"uid": message.server, "nsp": message.namespace, "type": int(message.kind)}
    return codec.pack({**fields, **({"data": message.data} if message.data else {})})


def decode_message(payload: bytes, codec: PayloadCodec) -> Message:
    """Read a message; raises `MalformedError`."""
    try:
        fields = codec.unpack(payload)
        kind = MessageKind(fields["type"])
        server, namespace = text_of(fields, "uid"), text_of(fields, "nsp")
        data: object = fields.get("data")
    except Exception as exc:  # decoders and hooks raise whatever they like
        raise MalformedError(f"a message of {len(payload)} bytes cannot be read: {exc}") from exc
    if data is not None and not is_map(data):
        raise MalformedError(f"the data of a message is a {type(data).__name__}, expected an object")
    return Message(kind, ServerId(server), Namespace(namespace), data or {})


def text_of(data: Mapping[str, Any], name: str) -> str:
    """A field of a message that must be text; raises `MalformedError`."""
    value = data.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"{name!r} is not text")
    return value


def event_of(data: Mapping[str, Any]) -> list[Any]:
    """The event in the field ``packet`` of a message, its name first; raises `MalformedError`."""
    packet = data.get("packet")
    args = packet.get("data") if is_map(packet) else packet
    if not is_list(args) or not args or not isinstance(args[0], str):
        raise MalformedError("'packet' is not an event")
    return args
