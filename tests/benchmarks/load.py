"""The load: raw WebSocket clients of our own, thousands in one thread, that look at bytes and little else.

1. A client does what `socket.io-client` does, in its order: HTTP upgrade, Engine.IO's OPEN, CONNECT.
2. What comes in is kept, and read only afterwards, so that looking costs nothing while time is taken.
3. PINGs are answered, where a packet comes alone, as they do on a quiet connection.
"""

import errno
import json
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

__all__ = ["Client", "Load", "Presented"]

_REQUEST = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PING = b"\x81\x012"
_PONG = b"\x81\x81\0\0\0\x003"
_EVENT = b'["e",'
_NUMBER = re.compile(rb'\["e",\{"n":(\d+),')
_OFFSET = re.compile(rb'"(\d+-\d+)"\]')
_CHUNK = 1 << 18
_BEHIND = 16  # bytes in which a word may begin that ends in the next chunk

Presented = dict[str, str]
"""``pid`` and ``offset``, as JavaScript sends them when it reconnects."""


@dataclass(slots=True)
class Client:
    """One connection.

    Attributes:
        auth: sent with CONNECT.
        sid: what the server gave it; empty until then.
        pid: the same.
        chunks: what came in since `forget`.
        events: how many events these hold.
        connected_at: when the answer to CONNECT had come, `time.perf_counter`.
    """

    raw: socket.socket
    auth: Presented | None
    sid: str = ""
    pid: str = ""
    opened: bool = False
    closed: bool = False
    events: int = 0
    connected_at: float = 0.0
    chunks: list[bytes] = field(default_factory=list[bytes])
    _tail: bytes = b""

    def take(self, chunk: bytes) -> None:
        """Keep what came in, and count the events in it."""
        self.chunks.append(chunk)
        joined = self._tail + chunk
        self.events += joined.count(_EVENT) - self._tail.count(_EVENT)
        self._tail = joined[-_BEHIND:]

    def received(self) -> bytes:
        """Everything since `forget`."""
        return b"".join(self.chunks)

    def numbers(self) -> list[int]:
        """The numbers of its events, in the order in which they came."""
        return [int(number) for number in _NUMBER.findall(self.received())]

    def presented(self) -> Presented:
        """What it presents when it comes back: its pid, and the offset of the last event."""
        offsets = _OFFSET.findall(self.received())
        return {"pid": self.pid, **({"offset": offsets[-1].decode()} if offsets else {})}

    def forget(self) -> None:
        """Let go of what came in."""
        self.chunks.clear()
        self.events, self._tail = 0, b""

    def send(self, text: str) -> None:
        """Send a packet, which is short."""
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self.raw.sendall(b"\x81" + size + b"\0\0\0\0" + data)

    def step(self) -> None:
        """Go on with the handshake as far as what came in allows."""
        data = self.received()
        if not self.opened and (begin := data.find(b'0{"sid"')) >= 0 and b"}" in data[begin:]:
            self.opened = True
            self.send("40" if self.auth is None else f"40{json.dumps(self.auth)}")
        begin = data.find(b'40{"sid"') if self.opened else -1
        if begin >= 0 and (end := data.find(b"}", begin)) >= 0:
            answer: dict[str, Any] = json.loads(data[begin + 2 : end + 1])
            self.sid, self.pid = answer["sid"], answer.get("pid", "")
            self.connected_at = time.perf_counter()
        elif b"44{" in data:
            raise ConnectionError(f"refused: {data[-200:]!r}")


class Load:
    """Clients, and the one loop in which they live. Use it as ``with Load() as load``."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self._poll = select.epoll()
        self._by_number: dict[int, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._poll.close()

    def connect(
        self, port: int, auths: Sequence[Presented | None], *, at_once: int = 0, timeout: float = 120.0
    ) -> list[Client]:
        """Connect a client for each auth; return when all have the answer to CONNECT.

        Args:
            at_once: how many may be on their way; 0 for all.
        """
        added: list[Client] = []
        for start in range(0, len(auths), at_once or len(auths) or 1):
            some = auths[start : start + (at_once or len(auths))]
            group = [self._begin(port, auth) for auth in some]
            added += group
            self.run(lambda group=group: all(client.sid for client in group), timeout=timeout)  # type: ignore[misc]
        return added

    def run(self, done: Callable[[], bool], *, timeout: float = 60.0) -> None:
        """Take what comes in until something is so.

        Raises:
            TimeoutError: it was not so in time.
            ConnectionError: a server has closed a connection.
        """
        end = time.monotonic() + timeout
        while not done():
            if time.monotonic() > end:
                counts = sorted(client.events for client in self.clients)
                connected = sum(1 for client in self.clients if client.sid)
                raise TimeoutError(
                    f"not done within {timeout} s: {connected} of {len(counts)} clients are connected,"
                    f" with {counts[:1]} to {counts[-1:]} events"
                )
            for number, flags in self._poll.poll(0.05, 1024):
                self._serve(self._by_number[number], flags)

    def run_for(self, seconds: float) -> None:
        """Take what comes in for a while."""
        end = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= end, timeout=seconds + 60)

    def until_events(self, clients: Iterable[Client], count: int, *, timeout: float = 60.0) -> None:
        """Take what comes in until each of these clients has so many events."""
        waiting = list(clients)

        def done() -> bool:
            while waiting and waiting[-1].events >= count:
                waiting.pop()
            return not waiting

        self.run(done, timeout=timeout)

    def drop(self) -> None:
        """Close all connections at once, without a word to the server."""
        for client in self.clients:
            if not client.closed:
                self._poll.unregister(client.raw)
                client.raw.close()
        self.clients.clear()
        self._by_number.clear()

    def _begin(self, port: int, auth: Presented | None) -> Client:
        raw = socket.socket()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setblocking(False)
        if raw.connect_ex(("127.0.0.1", port)) not in {0, errno.EINPROGRESS}:
            raise ConnectionError("cannot connect")
        client = Client(raw, auth)
        self.clients.append(client)
        self._by_number[raw.fileno()] = client
        self._poll.register(raw, select.EPOLLOUT)
        return client

    def _serve(self, client: Client, flags: int) -> None:
        if flags & select.EPOLLOUT:
            self._poll.modify(client.raw, select.EPOLLIN)
            client.raw.sendall(_REQUEST.format(port=client.raw.getpeername()[1]).encode())
            return
        try:
            chunk = client.raw.recv(_CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._poll.unregister(client.raw)
            client.raw.close()
            client.closed = True
            raise ConnectionError(f"the server closed a connection after {client.received()[-200:]!r}")
        if chunk == _PING:
            client.raw.sendall(_PONG)
            return
        client.take(chunk)
        if not client.sid:
            client.step()
