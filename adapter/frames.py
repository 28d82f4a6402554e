"""Packets on their way to a transport: Socket.IO events, encoded once for all who get them."""

from collections.abc import Callable, Sequence
from typing import Any

from adapter.seams import EVENT, EioPacket, message
from recovery.core.packets import AckRequest
from recovery.entries import JsonModule, PayloadCodec, contains_binary
from recovery.records import Namespace, Sid

__all__ = ["AckId", "EioFrames", "codec_of"]

AckId = Callable[[Namespace, Sid, AckRequest], int]
"""Returns the id for an acknowledgement of one client, and remembers where it goes."""


def codec_of(packet_class: Any, json: JsonModule, *, only_plaintext: bool = False) -> PayloadCodec:
    """The payload codec that loses nothing of what this packet class sends.

    With ``serializer='msgpack'`` entries are MessagePack as well, made and read with the class's own hooks
    (`socketio.msgpack_packet.MsgPackPacket.configure`).
    """
    if packet_class is None or packet_class.uses_binary_events:
        return PayloadCodec(json=json, only_plaintext=only_plaintext)
    options = {"ext_hook": packet_class.ext_hook} if getattr(packet_class, "ext_hook", None) else {}
    default = getattr(packet_class, "dumps_default", None)
    return PayloadCodec(
        json=json, prefer_msgpack=True, only_plaintext=only_plaintext, default=default, **options
    )


class EioFrames:
    """Encodes events as Engine.IO packets.

    Args:
        packet_class: of the server; Socket.IO packets are made of it.
        ack_id: see `AckId`.
    """

    def __init__(self, packet_class: Any, ack_id: AckId) -> None:
        self._packet_class = packet_class
        self._ack_id = ack_id

    def event(self, namespace: Namespace, args: Sequence[Any]) -> Sequence[EioPacket]:
        """Encode an event without acknowledgement."""
        return self._encode(
            self._packet_class(EVENT, namespace=namespace, data=list(args), binary=_hint(args))
        )

    def event_with_ack(
        self, namespace: Namespace, sid: Sid, args: Sequence[Any], ack: AckRequest
    ) -> Sequence[EioPacket]:
        """Encode an event for one client, and remember to pass on its acknowledgement."""
        ack_id = self._ack_id(namespace, sid, ack)
        packet = self._packet_class(
            EVENT, namespace=namespace, data=list(args), id=ack_id, binary=_hint(args)
        )
        return self._encode(packet)

    @staticmethod
    def _encode(packet: Any) -> Sequence[EioPacket]:
        encoded = packet.encode()
        return [message(part) for part in (encoded if isinstance(encoded, list) else [encoded])]


def _hint(args: Sequence[Any]) -> bool | None:
    """False if there is no binary data; else None, which has the packet look, in ten times the time."""
    return None if contains_binary(args) else False
