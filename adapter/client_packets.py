"""Packets of the recovering clients: what goes out with CONNECT, and what has been read already.

Both are done by a packet class, which is what python-socketio's setting ``serializer`` is for; so no private
name of the library is touched, and a class of the application's own (or ``serializer="msgpack"``) is built
upon, not replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from socketio import packet as sio_packet

__all__ = ["Decoded", "PacketReader", "connect_event", "recovering"]

_WHOLE = {sio_packet.BINARY_EVENT: sio_packet.EVENT, sio_packet.BINARY_ACK: sio_packet.ACK}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Stands for the bytes of a packet that has been decoded already, for who decodes it again."""

    packet: Any  # a packet of python-socketio, which ships no types


class _Recovering:
    """Mixed into a packet class: CONNECT is completed, and `Decoded` needs no decoding."""

    complete: Callable[[str, Any], Any]

    def encode(self) -> Any:
        packet: Any = self
        if packet.packet_type == sio_packet.CONNECT:
            packet.data = type(self).complete(packet.namespace or "/", packet.data)
        return super().encode()  # type: ignore[misc]  # of the class that this is mixed into

    def decode(self, encoded_packet: Any) -> Any:
        if not isinstance(encoded_packet, Decoded):
            return super().decode(encoded_packet)  # type: ignore[misc]  # as above
        packet: Any = self
        known = encoded_packet.packet
        packet.packet_type, packet.namespace = known.packet_type, known.namespace
        packet.data, packet.id = known.data, known.id
        return 0


def recovering(packet_class: Any, complete: Callable[[str, Any], Any]) -> Any:
    """Return a packet class like `packet_class` whose CONNECT says what `complete` makes of it.

    Args:
        complete: ``complete(namespace, auth)`` returns the data of a CONNECT.
    """
    return type("RecoveringPacket", (_Recovering, packet_class), {"complete": staticmethod(complete)})


def connect_event(packet_class: Any, namespace: str) -> Any:
    """An event that runs the connect handler of a namespace, as CONNECT does."""
    return packet_class(sio_packet.EVENT, namespace=namespace, data=["connect"])


class PacketReader:
    """Makes whole packets of what one transport brings, in order."""

    def __init__(self, packet_class: Any) -> None:
        self._packet_class = packet_class
        self._partial: Any = None

    def reset(self) -> None:
        """Another transport begins: what the last one had not brought to an end is forgotten."""
        self._partial = None

    def read(self, data: Any) -> Any:
        """Return the packet that is whole with this, or None if attachments are to follow.

        Raises:
            Exception: whatever the packet class raises at what it cannot read; it is forgotten.
        """
        packet, self._partial = self._partial, None
        if packet is None:
            packet = self._packet_class(encoded_packet=data)
            whole = packet.packet_type not in _WHOLE or packet.attachment_count == 0
        else:
            whole = packet.add_attachment(data)
        if not whole:
            self._partial = packet
            return None
        packet.packet_type = _WHOLE.get(packet.packet_type, packet.packet_type)
        return packet
