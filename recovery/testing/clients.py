"""A client that keeps pid and offset as ``socket.io-client`` 4.8 does, and comes back as it does.

That is, as its ``Socket`` (``_sendConnectPacket``, ``emitEvent``, ``onconnect``) and ``Manager`` do:

1. The trailing string of any event without acknowledgement is taken for its offset, and kept, even across a
   connect that was not recovered.
2. It leaves a connection on which no PING came for ping interval and ping timeout together.
3. It comes back by itself unless the server sent DISCONNECT or CONNECT_ERROR.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol

from socketio import packet as sio_packet

from recovery.testing.loop import VirtualLoop
from recovery.testing.network import Connection, Frame

__all__ = ["Observer", "SimulatedClient"]


class Observer(Protocol):
    """Whoever writes down what happens to clients."""

    def asks(self, client: "SimulatedClient", connection: int) -> None:
        """It sent CONNECT."""
        ...

    def accepted(self, client: "SimulatedClient", connection: int, *, recovered: bool) -> None:
        """It got CONNECT; its `sid` is the new one."""
        ...

    def received(
        self, client: "SimulatedClient", connection: int, args: list[Any], offset: str | None, *, heard: bool
    ) -> None:
        """An event was written to it, and reached it or not."""
        ...

    def left(self, client: "SimulatedClient", connection: int) -> None:
        """It has no connection any more."""
        ...


class SimulatedClient:
    """One user's client, in the namespace "/".

    Attributes:
        name: of the client; its server gets it within `auth`.
        auth: what it presents to the connect handler.
        connected: it got CONNECT on the connection that it has.
        returns: it comes back by itself when it loses its connection.
        ended: the server sent DISCONNECT, or it disconnected: it comes back only if told to.
        refused: what CONNECT_ERROR said, if the last connect was refused.
        sid: the one that it was given last; "" before.
        pid: the one that it will present; "" for none.
        offset: as `pid`.
        received: arguments of all events, without offsets.
        outcomes: "recovered" or "fresh", for each CONNECT.
    """

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        observer: Observer,
        on_lost: Callable[["SimulatedClient"], None],
        auth: dict[str, Any],
    ) -> None:
        self.name = name
        self.auth = auth
        self.connection: Connection | None = None
        self.connected = False
        self.returns = True
        self.ended = False
        self.refused: Any = None  # of any type: the application says it
        self.sid = ""
        self.pid = ""
        self.offset = ""
        self.received: list[list[Any]] = []
        self.outcomes: list[str] = []
        self._loop = loop
        self._observer = observer
        self._on_lost = on_lost
        self._patience = 0.0
        self._last_ping = 0.0

    def take(self, connection: Connection) -> None:
        """Use a connection that is being opened; the one before is forgotten."""
        self.leave()
        self.connection, self.ended, self.refused = connection, False, None

    def leave(self) -> None:
        """Have no connection any more; nobody is told."""
        if self.connection is not None:
            self._observer.left(self, self.connection.number)
        self.connection, self.connected = None, False

    def disconnect(self) -> None:
        """Send DISCONNECT: the session is to end."""
        self._send(sio_packet.DISCONNECT, None)
        self.ended = True
        if self.connection is not None:
            self.connection.close()
        self.leave()

    def emit(self, event: str, *args: Any) -> None:
        """Send an event; lost if it is not connected."""
        if self.connected:
            self._send(sio_packet.EVENT, [event, *args])

    # What comes by the connection ----------------------------------------------------------------------

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection is self.connection:
            self.leave()
            if self.returns and not self.ended:
                self._on_lost(self)

    def missed(self, connection: Connection, frame: Frame) -> None:
        """What the server wrote was lost."""
        self._note_event(connection, frame)

    def heard(self, connection: Connection, frame: Frame) -> None:
        """A frame came; by a connection that was left, nobody listens any more."""
        if connection is not self.connection:
            self._note_event(connection, frame)
            return
        assert isinstance(frame, str), "binary events are not simulated"
        kind, text = frame[0], frame[1:]
        if kind == "0":
            self._opened(connection, json.loads(text))
        elif kind == "1":
            self.closed(connection)
        elif kind == "2":
            connection.send("3")
            self._expect_ping(connection)
        elif kind == "4":
            self._packet(connection, sio_packet.Packet(encoded_packet=text))

    def _note_event(self, connection: Connection, frame: Frame) -> None:
        """Write down an event that was written for nothing."""
        if not isinstance(frame, str) or frame[0] != "4":
            return
        packet: Any = sio_packet.Packet(encoded_packet=frame[1:])
        if packet.packet_type == sio_packet.EVENT:
            args, offset = self._without_offset(packet)
            self._observer.received(self, connection.number, args, offset, heard=False)

    def _opened(self, connection: Connection, handshake: dict[str, Any]) -> None:
        self._patience = (handshake["pingInterval"] + handshake["pingTimeout"]) / 1000
        self._expect_ping(connection)
        self._observer.asks(self, connection.number)
        offset = {"offset": self.offset} if self.offset else {}
        self._send(sio_packet.CONNECT, {**self.auth, **({"pid": self.pid, **offset} if self.pid else {})})

    def _expect_ping(self, connection: Connection) -> None:
        self._last_ping = self._loop.time()
        due = self._last_ping + self._patience
        self._loop.call_outside(due, self._check_ping, connection)

    def _check_ping(self, connection: Connection) -> None:
        if connection is self.connection and self._loop.time() >= self._last_ping + self._patience:
            connection.close()
            self.closed(connection)

    def _packet(self, connection: Connection, packet: Any) -> None:  # python-socketio ships no types
        if packet.packet_type == sio_packet.CONNECT:
            self._accept(connection, packet.data)
        elif packet.packet_type == sio_packet.DISCONNECT:
            self.ended = True
            self.leave()
            connection.close()
        elif packet.packet_type == sio_packet.CONNECT_ERROR:
            self.refused = packet.data
            self.ended = True
            self.leave()
            connection.close()
        elif packet.packet_type == sio_packet.EVENT:
            self._event(connection, packet)

    def _accept(self, connection: Connection, data: Any) -> None:
        assert not self.connected, "CONNECT came twice on one connection"
        pid: str = data.get("pid", "")
        recovered = bool(pid) and pid == self.pid
        self.sid = data["sid"]
        self.pid = pid
        self.connected = True
        self.outcomes.append("recovered" if recovered else "fresh")
        self._observer.accepted(self, connection.number, recovered=recovered)

    def _event(self, connection: Connection, packet: Any) -> None:
        assert self.connected, f"{packet.data} came before CONNECT"
        args, offset = self._without_offset(packet)
        if offset is not None:
            self.offset = offset
        self.received.append(args)
        self._observer.received(self, connection.number, args, offset, heard=True)
        if packet.id is not None:
            self._send(sio_packet.ACK, [], packet.id)

    def _without_offset(self, packet: Any) -> tuple[list[Any], str | None]:
        args: list[Any] = packet.data
        if packet.id is None and self.pid and len(args) > 1 and isinstance(args[-1], str):
            return args[:-1], args[-1]
        return args, None

    def _send(self, kind: int, data: Any, packet_id: int | None = None) -> None:
        if self.connection is not None:
            packet = sio_packet.Packet(kind, data, namespace="/", id=packet_id)
            self.connection.send(f"4{packet.encode()}")
