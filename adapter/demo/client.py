"""A small Socket.IO client that recovers as ``socket.io-client`` 4.8 does; just enough for the demo.

It speaks Engine.IO protocol 4 over WebSocket and Socket.IO protocol 5 in the main namespace
(https://socket.io/docs/v4/engine-io-protocol/, https://socket.io/docs/v4/socket-io-protocol/), and keeps
three laws of the JavaScript client's ``socket.js``:

1. The ``pid`` comes with CONNECT's data; the client is *recovered* if it had that pid before.
2. The offset is the last argument of an event, if that is a string, the event asks for no ack, and the
   server has given a pid. It outlives a CONNECT that did not recover.
3. CONNECT sends ``{pid, offset, ...auth}`` once there is a pid, without ``offset`` while there is none.

Its URL has no ``t`` parameter, so servers do not take it for a stock python-socketio client.
It never reconnects by itself, and it knows several ways to lose a connection.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

__all__ = [
    "Accepted",
    "ConnectRefusedError",
    "DemoClient",
    "EngineType",
    "PacketType",
    "ProtocolError",
    "SocketPacket",
    "parse_packet",
]

_PACKET = re.compile(r"(?P<type>[0-6])(?:(?P<nsp>/[^,]*),)?(?P<id>[0-9]+)?(?P<data>.*)", re.DOTALL)


class EngineType(StrEnum):
    """First character of an Engine.IO packet."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    NOOP = "6"


class PacketType(StrEnum):
    """First character of a Socket.IO packet, as far as this client knows them: nothing binary."""

    CONNECT = "0"
    DISCONNECT = "1"
    EVENT = "2"
    ACK = "3"
    CONNECT_ERROR = "4"


class ProtocolError(Exception):
    """The server sent something that has no place in the protocol, or that this client lacks."""


class ConnectRefusedError(Exception):
    """The server answered CONNECT with CONNECT_ERROR, or closed the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class SocketPacket:
    """A Socket.IO packet of the main namespace.

    Attributes:
        ack_id: number under which the sender expects an ack, or None.
        data: decoded JSON: the arguments of an event, the data of a CONNECT.
    """

    type: PacketType
    ack_id: int | None
    data: Any  # JSON of the application


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server's answer to CONNECT.

    Attributes:
        pid: None if the server does not recover connections.
        recovered: the session of before goes on.
    """

    sid: str
    pid: str | None
    recovered: bool


def parse_packet(text: str) -> SocketPacket:
    """Read a Socket.IO packet of the main namespace.

    Raises:
        ProtocolError: it is no such packet, or it is binary.

    >>> parse_packet('2["hello",1]').data
    ['hello', 1]
    """
    match = _PACKET.fullmatch(text)
    if match is None or match["type"] in {"5", "6"} or match["nsp"] is not None:
        raise ProtocolError(f"cannot read the packet {text[:60]!r}")
    try:
        data = json.loads(match["data"]) if match["data"] else None
    except ValueError as exc:
        raise ProtocolError(f"the packet {text[:60]!r} holds no JSON") from exc
    return SocketPacket(PacketType(match["type"]), int(match["id"]) if match["id"] else None, data)


@dataclass(slots=True)
class DemoClient:
    """One client; call `connect`, lose the connection in one of four ways, call `connect` again.

    Attributes:
        auth: sent with every CONNECT, beside pid and offset.
        on_event: called with the arguments of each event, the offset last if there is one. It must
            not block, and what it raises ends the connection.
        sid: public id of the session; None before the first CONNECT.
        pid: private id of the session; None if the server gives none.
        offset: of the last event that carried one.
    """

    auth: Mapping[str, Any]
    on_event: Callable[[list[Any]], None]
    sid: str | None = None
    pid: str | None = None
    offset: str | None = None
    _socket: ClientConnection | None = None
    _reading: asyncio.Task[None] | None = None
    _abandoned: list[ClientConnection] = field(default_factory=list[ClientConnection])

    async def connect(self, url: str, *, timeout: float = 10.0) -> Accepted:  # noqa: ASYNC109 - as websockets has it
        """Open a connection to ``ws://host:port`` and join the main namespace.

        Args:
            url: of the server, without a path.
            timeout: seconds for all of it.

        Raises:
            ConnectRefusedError: the server does not want this client.
            OSError: no connection; TimeoutError, one of these, if it takes too long.
            ProtocolError: the server speaks something else.
        """
        async with asyncio.timeout(timeout):
            socket = await _open(url)
            try:
                accepted, early = await self._handshake(socket)
            except ConnectionClosed as exc:
                raise ConnectRefusedError(f"the server closed the connection: {exc}") from exc
            except BaseException:
                socket.transport.abort()
                raise
        self._socket = socket
        self._reading = asyncio.create_task(self._read(socket, early))
        return accepted

    async def lost(self) -> None:
        """Wait until the server, or the network, ends the connection; raise what went wrong in `on_event`.

        Returns at once if there is no connection.
        """
        if self._reading is not None:
            await asyncio.shield(self._reading)

    async def cut(self) -> None:
        """Reset the TCP connection, as when a network breaks and says so."""
        if (socket := await self._release()) is not None:
            socket.transport.abort()

    async def hang_up(self) -> None:
        """Close the transport in good order (Engine.IO CLOSE), as a browser's tab does that goes away."""
        if (socket := await self._release()) is not None:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(EngineType.CLOSE)
            await socket.close()

    async def abandon(self) -> None:
        """Stop reading and answering, but leave the connection open, as when a network dies silently."""
        if (socket := await self._release()) is not None:
            self._abandoned.append(socket)

    async def disconnect(self) -> None:
        """Say goodbye (Socket.IO DISCONNECT), which ends the session, and forget abandoned connections."""
        if (socket := await self._release()) is not None:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(EngineType.MESSAGE + PacketType.DISCONNECT)
            await socket.close()
        self.forget()

    def forget(self) -> None:
        """Reset every abandoned connection."""
        while self._abandoned:
            self._abandoned.pop().transport.abort()

    async def _release(self) -> ClientConnection | None:
        """Stop reading the current connection, if there is one, and return it."""
        socket, reading = self._socket, self._reading
        self._socket = self._reading = None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        return socket

    async def _handshake(self, socket: ClientConnection) -> tuple[Accepted, list[SocketPacket]]:
        """Return the answer to CONNECT, and events before it; JavaScript handles those after it, too."""
        early: list[SocketPacket] = []
        while True:
            kind, packet = await self._receive(socket)
            if kind is EngineType.OPEN:
                data = json.dumps(self._connect_data(), separators=(",", ":"))
                await socket.send(EngineType.MESSAGE + PacketType.CONNECT + data)
            elif packet is None:
                continue
            elif packet.type is PacketType.CONNECT:
                break
            elif packet.type is PacketType.EVENT:
                early.append(packet)
            else:
                raise ConnectRefusedError(f"the server answered CONNECT with {packet.data!r}")
        return self._joined(packet.data), early

    def _connect_data(self) -> dict[str, Any]:
        if self.pid is None:
            return dict(self.auth)
        offset = {} if self.offset is None else {"offset": self.offset}
        return {"pid": self.pid, **offset, **self.auth}

    def _joined(self, data: Any) -> Accepted:
        if not isinstance(data, dict) or "sid" not in data:
            raise ProtocolError(f"CONNECT came with {data!r}, expected an object with a sid")
        pid = data.get("pid")
        accepted = Accepted(sid=data["sid"], pid=pid, recovered=pid is not None and pid == self.pid)
        self.sid, self.pid = accepted.sid, accepted.pid
        return accepted

    async def _read(self, socket: ClientConnection, early: list[SocketPacket]) -> None:
        """Handle what arrives until the connection is gone."""
        try:
            for event in early:
                self._handle(event)
            while True:
                kind, packet = await self._receive(socket)
                if kind is EngineType.CLOSE:
                    break
                if packet is None:
                    continue
                if packet.type is PacketType.DISCONNECT:
                    break
                self._handle(packet)
        except ConnectionClosed:
            pass
        finally:
            if self._socket is socket:
                socket.transport.abort()

    async def _receive(self, socket: ClientConnection) -> tuple[EngineType, SocketPacket | None]:
        """Return the next Engine.IO packet, with what is in it if it is a message; answer PINGs."""
        text = await socket.recv()
        if not isinstance(text, str) or text[:1] not in set(EngineType):
            raise ProtocolError(f"cannot read the frame {text[:60]!r}")
        kind = EngineType(text[0])
        if kind is EngineType.PING:
            await socket.send(EngineType.PONG + text[1:])
        return kind, parse_packet(text[1:]) if kind is EngineType.MESSAGE else None

    def _handle(self, packet: SocketPacket) -> None:
        if packet.type is not PacketType.EVENT:
            return
        arguments: list[Any] = packet.data
        self.on_event(arguments)
        if self.pid is not None and packet.ack_id is None and arguments and isinstance(arguments[-1], str):
            self.offset = arguments[-1]


async def _open(url: str) -> ClientConnection:
    """Open a WebSocket without a keepalive of its own (Engine.IO has PINGs) and without compression."""
    try:
        return await connect(
            f"{url}/socket.io/?EIO=4&transport=websocket",
            compression=None,
            ping_interval=None,
            close_timeout=1.0,
            proxy=None,
        )
    except InvalidHandshake as exc:
        raise ConnectRefusedError(f"the server refused the connection: {exc}") from exc
