"""A server that says what a test tells it to say: Engine.IO 4 over WebSocket, and nothing of its own."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from socketio import packet as sio_packet
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

__all__ = ["PID", "ScriptedServer", "Visit", "event", "joined", "offset", "refused", "scripted"]

PID = "p" * 20
_OPEN = '0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
Frame = str | bytes
Answer = Callable[["Visit", str, Any], Sequence[Frame]]


def offset(number: int) -> str:
    """The offset of a packet."""
    return f"1700000000{number:03}-0"


def frames(kind: int, data: Any, namespace: str = "/", packet_id: int | None = None) -> list[Frame]:
    """A packet as it goes over a WebSocket."""
    encoded = sio_packet.Packet(kind, data=data, namespace=namespace, id=packet_id).encode()
    head, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return [f"4{head}", *attachments]


def joined(pid: str | None = PID, namespace: str = "/", sid: str = "s", **more: Any) -> list[Frame]:
    """CONNECT."""
    return frames(
        sio_packet.CONNECT, {"sid": sid, **({} if pid is None else {"pid": pid}), **more}, namespace
    )


def refused(namespace: str = "/", **data: Any) -> list[Frame]:
    """CONNECT_ERROR."""
    return frames(sio_packet.CONNECT_ERROR, data, namespace)


def event(name: str, *args: Any, namespace: str = "/", packet_id: int | None = None) -> list[Frame]:
    """An event."""
    return frames(sio_packet.EVENT, [name, *args], namespace, packet_id)


@dataclass(slots=True, eq=False)
class Visit:
    """One connection of a client.

    Attributes:
        query: of its URL.
        auths: what came with CONNECT, by namespace.
        packets: what else came, without the ``4``.
    """

    connection: ServerConnection
    query: dict[str, list[str]]
    auths: dict[str, Any] = field(default_factory=dict[str, Any])
    packets: list[str] = field(default_factory=list[str])
    closed: bool = False

    async def send(self, *packets: Sequence[Frame]) -> None:
        """Send packets."""
        for packet in packets:
            for frame in packet:
                await self.connection.send(frame)

    def cut(self) -> None:
        """Reset the connection."""
        self.connection.transport.abort()


class ScriptedServer:
    """Answers each CONNECT with what `answer` returns for it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.url = ""
        self.visits: list[Visit] = []

    async def visited(self, count: int) -> Visit:
        """Wait for the so-manieth connection to have sent a CONNECT."""
        async with asyncio.timeout(10):
            while len(self.visits) < count or not self.visits[count - 1].auths:
                await asyncio.sleep(0.005)
        return self.visits[count - 1]

    async def serve(self, connection: ServerConnection) -> None:
        """Talk to one client until it has gone."""
        assert connection.request is not None
        visit = Visit(connection, parse_qs(urlsplit(connection.request.path).query))
        self.visits.append(visit)
        try:
            await connection.send(_OPEN)
            async for frame in connection:
                await self._hear(visit, frame)
        except ConnectionClosed:
            pass
        finally:
            visit.closed = True

    async def _hear(self, visit: Visit, frame: str | bytes) -> None:
        if not isinstance(frame, str) or not frame.startswith("4"):
            return
        packet = sio_packet.Packet(encoded_packet=frame[1:])
        if packet.packet_type != sio_packet.CONNECT:
            visit.packets.append(frame[1:])
            return
        namespace = packet.namespace or "/"
        visit.auths[namespace] = json.loads(json.dumps(packet.data))
        await visit.send(self.answer(visit, namespace, packet.data))


@asynccontextmanager
async def scripted(*answers: Sequence[Frame] | Answer) -> AsyncGenerator[ScriptedServer]:
    """A server that gives its answers to one CONNECT after the other, the last one to all further ones."""
    left = list(answers)

    def answer(visit: Visit, namespace: str, auth: Any) -> Sequence[Frame]:
        given = left.pop(0) if len(left) > 1 else left[0]
        return given(visit, namespace, auth) if callable(given) else given

    server = ScriptedServer(answer)
    async with serve(server.serve, "127.0.0.1", 0, close_timeout=0.2) as listener:
        server.url = f"http://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}"
        yield server
