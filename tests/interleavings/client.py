"""A client that keeps pid and offset as ``socket.io-client`` 4.8 does.

That is, as its ``Socket._sendConnectPacket`` and ``Socket.emitEvent`` do.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from socketio import packet as sio_packet
from socketio.msgpack_packet import MsgPackPacket

from tests.interleavings.transports import Frame

__all__ = ["Client", "Socket"]


@dataclass
class Socket:
    """One namespace of a client.

    Attributes:
        outcomes: "recovered" or "fresh", for each CONNECT.
        reasons: what each CONNECT said of why it is not recovered.
        events: what its handlers got, without the offset.
        ended: True after a DISCONNECT of the server: JavaScript does not come back by itself then.
    """

    namespace: str
    auth: dict[str, Any] = field(default_factory=dict)
    sid: str = ""
    pid: str = ""
    offset: str = ""
    connected: bool = False
    ended: bool = False
    refused: Any = None
    outcomes: list[str] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    events: list[list[Any]] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)

    def got(self, event: str) -> list[Any]:
        """First arguments of all events of a name, in the order in which they came."""
        return [args[0] if args else None for name, *args in self.events if name == event]

    def credentials(self) -> dict[str, Any]:
        """Auth of the next CONNECT."""
        if not self.pid:
            return dict(self.auth)
        return {**self.auth, "pid": self.pid, **({"offset": self.offset} if self.offset else {})}


class Client:
    """A client with one or more namespaces, on one transport at a time.

    Attributes:
        deaf: what the server sends is lost on its way.
        held_back: packets that the client has yet to send, or None if it sends them at once.
        failures: what broke the protocol's rules; none may have at the end of a test.
    """

    def __init__(
        self, *namespaces: str, msgpack: bool = False, stock_python: bool = False, **auth: Any
    ) -> None:
        self.sockets = {name: Socket(name, dict(auth)) for name in namespaces or ("/",)}
        self.transport: Any = None
        self.answers_pings = True
        self.deaf = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.held_back: list[Frame] | None = None
        self.failures: list[Exception] = []
        self._query = "&t=1700000000.5" if stock_python else ""
        self._packet_class = MsgPackPacket if msgpack else sio_packet.Packet
        self._partial: Any = None

    def __getattr__(self, name: str) -> Any:
        """Attributes of the first namespace, which most tests use only."""
        return getattr(next(iter(self.__dict__["sockets"].values())), name)

    @property
    def is_connected(self) -> bool:
        """Whether all namespaces are connected."""
        return all(socket.connected for socket in self.sockets.values())

    def open(self, transport: Any) -> None:
        """Take a new transport; what comes by the old one is not heard any more."""
        self._lost()
        self.transport = transport
        transport.open(self._query, partial(self._hear, transport), partial(self._closed, transport))

    def cut(self) -> None:
        """Lose the transport; the server is told."""
        if self.transport is not None:
            self.transport.cut()
        self._lost()

    def emit(self, event: str, *args: Any, namespace: str = "/") -> None:
        """Send an event."""
        self._send(sio_packet.EVENT, namespace, [event, *args])

    def disconnect(self, namespace: str = "/") -> None:
        """Leave for good."""
        self._send(sio_packet.DISCONNECT, namespace, None)
        self.sockets[namespace].connected = False

    def keep(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something run in a task of its own."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pong(self) -> None:
        """Answer a PING."""
        self.transport.send("3")

    def _lost(self) -> None:
        self._partial = None
        self.transport = None
        for socket in self.sockets.values():
            socket.connected = False

    def _closed(self, transport: Any) -> None:
        if transport is self.transport:
            self._lost()

    def _send(self, kind: int, namespace: str, data: Any, packet_id: int | None = None) -> None:
        packet = self._packet_class(kind, data, namespace=namespace, id=packet_id)
        encoded = packet.encode()
        for part in encoded if isinstance(encoded, list) else [encoded]:
            frame: Frame = part if isinstance(part, bytes) else f"4{part}"
            if self.held_back is None:
                self.transport.send(frame)
            else:
                self.held_back.append(frame)

    def _hear(self, transport: Any, frame: Frame) -> None:
        try:
            self._heard(transport, frame)
        except Exception as exc:  # noqa: BLE001 - it would end in the server, which is in the same loop
            self.failures.append(exc)

    def _heard(self, transport: Any, frame: Frame) -> None:
        if isinstance(frame, str) and frame[0] == "0":
            transport.eio_sid = json.loads(frame[1:])["sid"]
            if transport is self.transport:
                for socket in self.sockets.values():
                    self._send(sio_packet.CONNECT, socket.namespace, socket.credentials() or None)
        elif transport is not self.transport or self.deaf:
            return  # Engine.IO has let go of it
        elif frame == "2":
            if self.answers_pings:
                self.pong()
        elif isinstance(frame, bytes):
            self._binary(frame)
        elif frame[0] == "4":
            self._packet(self._packet_class(encoded_packet=frame[1:]))

    def _binary(self, frame: bytes) -> None:
        if self._packet_class is MsgPackPacket:
            self._packet(MsgPackPacket(encoded_packet=frame))
        elif self._partial.add_attachment(frame):
            packet, self._partial = self._partial, None
            self._handle(packet)

    def _packet(self, packet: Any) -> None:
        if packet.attachment_count:
            self._partial = packet
        else:
            self._handle(packet)

    def _handle(self, packet: Any) -> None:
        socket = self.sockets[packet.namespace or "/"]
        if packet.packet_type == sio_packet.CONNECT:
            self._connected(socket, packet.data)
        elif packet.packet_type == sio_packet.DISCONNECT:
            socket.connected, socket.ended = False, True
        elif packet.packet_type == sio_packet.CONNECT_ERROR:
            socket.refused = packet.data
        elif packet.packet_type in {sio_packet.EVENT, sio_packet.BINARY_EVENT}:
            self._event(socket, packet)

    @staticmethod
    def _connected(socket: Socket, data: dict[str, Any]) -> None:
        assert not socket.connected, "CONNECT twice"
        pid = data.get("pid", "")
        socket.reasons.append(data.get("reason"))
        socket.outcomes.append("recovered" if pid and pid == socket.pid else "fresh")
        socket.sid, socket.pid, socket.connected = data["sid"], pid, True

    def _event(self, socket: Socket, packet: Any) -> None:
        assert socket.connected, f"{packet.data} came before CONNECT"
        name, *args = packet.data
        if packet.id is None and socket.pid and args and isinstance(args[-1], str):
            socket.offset = args.pop()
            socket.offsets.append(socket.offset)
        socket.events.append([name, *args])
        if packet.id is not None:
            self._send(sio_packet.ACK, socket.namespace, ["ack", *args], packet.id)
