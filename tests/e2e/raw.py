"""Engine.IO 4 and Socket.IO 5 by hand, over a WebSocket or HTTP long-polling: packets as text."""

import asyncio
import json
from typing import Any, Self

import aiohttp

from tests.e2e.cluster import Server
from tests.e2e.wire import Json

__all__ = ["RawPolling", "RawWebSocket", "engine_url"]

_WAIT_SECONDS = 5.0
_SEPARATOR = "\x1e"
_CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


def engine_url(server: Server, transport: str = "polling", **query: str) -> str:
    """Return the URL of an Engine.IO request; a query value of "" leaves the key out."""
    pairs = {"EIO": "4", "transport": transport, **query}
    text = "&".join(f"{key}={value}" for key, value in pairs.items() if value)
    return f"{server.url}{server.path}/?{text}"


class RawWebSocket:
    """A WebSocket on which a test writes packets itself. Use it as ``async with``."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, **query: str) -> None:
        self._http = http
        self._url = engine_url(server, "websocket", **query)
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        self._socket = await self._http.ws_connect(self._url)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open().close()

    async def send(self, packet: str | bytes) -> None:
        """Send one Engine.IO packet; bytes are a binary message."""
        if isinstance(packet, bytes):
            await self._open().send_bytes(packet)
        else:
            await self._open().send_str(packet)

    async def receive(self, *, pings: bool = False) -> str | bytes:
        """Return the next packet; NOOPs are passed over, and PINGs answered, unless wanted."""
        while True:
            async with asyncio.timeout(_WAIT_SECONDS):
                message = await self._open().receive()
            assert message.type not in _CLOSED, "the server closed the connection"
            packet: str | bytes = message.data
            if packet == "2" and not pings:
                await self.send("3")
            elif packet != "6":
                return packet

    async def closes(self) -> None:
        """Wait until the server closes the connection; packets before that are ignored."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while (await self._open().receive()).type not in _CLOSED:
                pass

    async def handshake(self) -> dict[str, Json]:
        """Return what the server says when an Engine.IO connection opens."""
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        return _object(packet[1:])

    async def connect(self, auth: Json = None, namespace: str = "") -> dict[str, Json]:
        """Open Engine.IO, connect to a namespace (such as "/chat,"), and return the answer's data."""
        await self.handshake()
        return await self.join(auth, namespace)

    async def join(self, auth: Json = None, namespace: str = "") -> dict[str, Json]:
        """Connect to a namespace on an open connection; return the answer's data."""
        await self.send(f"40{namespace}{'' if auth is None else json.dumps(auth)}")
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet.startswith(f"40{namespace}"), packet
        return _object(packet.removeprefix(f"40{namespace}"))

    def _open(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket


class RawPolling:
    """An HTTP long-polling session. You must call `open` first."""

    def __init__(self, http: aiohttp.ClientSession, server: Server) -> None:
        self.sid = ""
        self._http = http
        self._server = server
        self._closed = False

    async def open(self) -> dict[str, Json]:
        """Open the session; return what the server says."""
        async with self._http.get(engine_url(self._server)) as response:
            assert response.status == 200
            packet = await response.text()
        assert packet[0] == "0"
        answer = _object(packet[1:])
        self.sid = answer["sid"]
        return answer

    async def poll(self) -> list[str]:
        """Return the packets of one poll."""
        status, text = await self.get()
        assert status == 200, (status, text)
        return text.split(_SEPARATOR)

    async def get(self) -> tuple[int, str]:
        """Poll once; return the status and the body."""
        async with asyncio.timeout(_WAIT_SECONDS):
            async with self._http.get(engine_url(self._server, sid=self.sid)) as response:
                return response.status, await response.text()

    async def push(self, *packets: str) -> int:
        """Send packets in one request; return the status."""
        url = engine_url(self._server, sid=self.sid)
        async with self._http.post(url, data=_SEPARATOR.join(packets)) as response:
            return response.status

    async def close(self) -> None:
        """Send the CLOSE packet, once."""
        if not self._closed:
            self._closed = True
            await self.push("1")

    async def poll_for(self, start: str) -> str:
        """Poll until there is a packet that starts with `start`; answer PINGs; return it."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while True:
                for packet in await self.poll():
                    if packet.startswith(start):
                        return packet
                    if packet == "2":
                        await self.push("3")


def _object(text: str) -> dict[str, Json]:
    value: Any = json.loads(text)
    assert isinstance(value, dict)
    return value
