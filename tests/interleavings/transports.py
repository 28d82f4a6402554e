"""Transports without a network: ASGI scopes whose two directions are queues."""

import asyncio
import base64
import urllib.parse
from collections.abc import Callable
from typing import Any

__all__ = ["Frame", "PollingTransport", "UpgradingTransport", "WebSocketTransport"]

Frame = str | bytes
_SEPARATOR = "\x1e"  # between the packets of a polling payload


class WebSocketTransport:
    """A WebSocket. Frames reach the client as the server sends them, until it is cut.

    Attributes:
        eio_sid: set by the client when it has read OPEN.
        closed: the server closed it.
    """

    def __init__(self, app: Any) -> None:
        self.eio_sid = ""
        self.closed = False
        self._app = app
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._dead = False
        self._vanished = False
        self._stalled: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self, query: str, on_frame: Callable[[Frame], None], on_close: Callable[[], None]) -> None:
        """Connect; frames and the server's close are told from now on."""
        self._on_frame, self._on_close = on_frame, on_close
        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": f"EIO=4&transport=websocket{query}".encode(),
            "headers": [(b"upgrade", b"websocket"), (b"connection", b"upgrade")],
        }
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._app(scope, self._to_server.get, self._send))
        self._task.add_done_callback(self._application_ended)

    def send(self, frame: Frame) -> None:
        """Send a frame to the server; lost if the transport is cut."""
        if not self._dead:
            kind = "bytes" if isinstance(frame, bytes) else "text"
            self._to_server.put_nowait({"type": "websocket.receive", kind: frame})

    def cut(self) -> None:
        """The network is gone, and both ends are told: the server as soon as it reads or writes."""
        if not self._dead:
            self._dead = True
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})
        if self._stalled is not None:
            self._stalled.set()

    def vanish(self) -> None:
        """The network is gone, and the server is not told: it goes on writing into nothing."""
        self._vanished = True

    def stall(self) -> None:
        """The client stops reading: the server's next write waits."""
        self._stalled = asyncio.Event()

    def unstall(self) -> None:
        """The client reads again."""
        assert self._stalled is not None, "it was stalled"
        self._stalled.set()
        self._stalled = None

    async def _send(self, event: dict[str, Any]) -> None:
        if self._stalled is not None:
            await self._stalled.wait()
        if self._dead:
            raise OSError("the connection is gone")
        if event["type"] == "websocket.send":
            if not self._vanished:
                self._on_frame(event["bytes"] if event.get("bytes") is not None else event["text"])
        elif event["type"] == "websocket.close":
            self._dead = self.closed = True
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
            if not self._vanished:
                self._on_close()

    def _application_ended(self, _task: asyncio.Task[None]) -> None:
        """A web server closes the connection then, if the application has not."""
        if self._dead:
            return
        self._dead = self.closed = True
        if not self._vanished:
            self._on_close()


class PollingTransport:
    """HTTP long polling: one GET at a time waits for packets, POSTs carry the client's."""

    def __init__(self, app: Any) -> None:
        self.eio_sid = ""
        self.closed = False
        self._app = app
        self._dead = False
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, query: str, on_frame: Callable[[Frame], None], on_close: Callable[[], None]) -> None:
        """Connect, and go on polling."""
        self._query, self._on_frame, self._on_close = query, on_frame, on_close
        self._start(self._poll())

    def send(self, frame: Frame) -> None:
        """POST one packet; lost if the transport is cut."""
        if not self._dead:
            text = frame if isinstance(frame, str) else "b" + _base64(frame)
            self._start(self._request("POST", text.encode()))

    def cut(self) -> None:
        """The client polls no more; the server finds out by its ping timeout."""
        self._dead = True

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll(self) -> None:
        while self._may_poll():
            await asyncio.sleep(0)  # a GET within an upgrade is answered without waiting
            status, body = await self._request("GET", b"")
            if self._dead:
                return
            if status != 200:
                self._dead = self.closed = True
                self._on_close()
                return
            for part in body.decode().split(_SEPARATOR):
                if part.startswith("b"):
                    self._on_frame(_unbase64(part[1:]))
                elif part == "1":  # CLOSE
                    self._dead = self.closed = True
                    self._on_close()
                elif part:
                    self._on_frame(part)

    def _may_poll(self) -> bool:
        return True

    async def _request(self, method: str, body: bytes) -> tuple[int, bytes]:
        query = f"EIO=4&transport=polling{self._query}"
        if self.eio_sid:
            query += f"&sid={urllib.parse.quote(self.eio_sid)}"
        scope = {
            "type": "http",
            "method": method,
            "path": "/socket.io/",
            "query_string": query.encode(),
            "headers": [(b"content-length", str(len(body)).encode())],
        }
        status, parts = 0, list[bytes]()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                nonlocal status
                status = event["status"]
            else:
                parts.append(event.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts)


class UpgradingTransport(PollingTransport):
    """Long polling that becomes a WebSocket in steps, each when the test says so.

    As ``engine.io-client`` does it: probe; when that is answered, stop polling and wait for the GET under
    way; then say UPGRADE.

    Attributes:
        probed: the server has answered the probe.
        paused: no GET is under way, nor will be.
    """

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.probed = False
        self.paused = False
        self._pausing = False
        self._upgraded = False
        self._websocket = WebSocketTransport(app)

    def probe(self) -> None:
        """Open the WebSocket, and ask whether it works."""
        self._websocket.open(f"&sid={self.eio_sid}{self._query}", self._heard, self._on_websocket_close)
        self._websocket.send("2probe")

    def pause(self) -> None:
        """Poll no more, once the GET under way is answered."""
        self._pausing = True

    def upgrade(self) -> None:
        """Send by WebSocket from now on."""
        assert self.probed, "the protocol wants it so"
        assert self.paused, "the protocol wants it so"
        self._upgraded = True
        self._websocket.send("5")

    def send(self, frame: Frame) -> None:
        """Send a frame by whichever transport is in use."""
        if self._upgraded:
            self._websocket.send(frame)
        else:
            super().send(frame)

    def cut(self) -> None:
        """Lose both."""
        super().cut()
        self._websocket.cut()

    def _heard(self, frame: Frame) -> None:
        if frame == "3probe":
            self.probed = True
        else:
            self._on_frame(frame)

    def _on_websocket_close(self) -> None:
        self._dead = self.closed = True
        self._on_close()

    def _may_poll(self) -> bool:
        self.paused = self._pausing
        return not self._pausing


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text)
