"""A TCP proxy that does what networks do: it refuses, hangs, stalls, delays, resets, and loses replies.

It runs in the test's own event loop, listens on the loopback, and stands between our servers and Redis, or
between clients and servers.

1. What a peer sent is kept and delivered late, never dropped, unless the connection is reset: a packet that a
   stall held back arrives although its sender has given up meanwhile.
2. While it refuses, nobody listens on its port, and nobody else can take the port.
3. A *strike* waits for a command that contains some bytes, and hits the connection on which it came, once.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

__all__ = ["Direction", "Held", "Proxy", "Strike"]

T = TypeVar("T")

_CHUNK = 65536  # bytes; one read
_LONGEST_FRAGMENT = 256  # bytes of a command that may be looked for
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)  # a close then sends RST, and forgets what was not sent


class Direction(StrEnum):
    """A way through the proxy."""

    TO_SERVER = "to-server"
    TO_CLIENT = "to-client"


@dataclass(slots=True)
class Strike:
    """What happens to the reply of one command.

    Attributes:
        to: bytes that the command contains; b"" hits the next command of any connection.
        passes: bytes of the reply that reach the client.
        resets: whether the connection is reset then; else it stays open, and nothing comes back on it.
        struck: set when the first byte was kept from the client.
        seen: set when the command passed.
    """

    to: bytes
    passes: int
    resets: bool
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    seen: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Held:
    """A command that is held back, with all that comes after it on its connection.

    Attributes:
        containing: bytes that it contains.
        caught: set when it is there.
        delivered: set when it was sent on, after `release`.
    """

    containing: bytes
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Send it on, even if its sender has closed the connection."""
        self._released.set()

    async def wait(self) -> None:
        """Wait until it is released."""
        self.caught.set()
        await self._released.wait()


class Proxy:
    """A proxy in front of one server. You must `start` it and `close` it, or use it in ``async with``.

    Args:
        upstream: URL of the server: ``redis://host:port``, ``http://host:port``, ``unix:///path``.

    Attributes:
        accepted: how many connections were made so far.
        upstream: where new connections go to; see `redirect`.

    Example::

        async with Proxy(redis.url) as proxy:
            manager = AsyncRecoveryManager(proxy.url)
            proxy.hang()
            ...
            await proxy.forward()
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.accepted = 0
        self.delay = 0.0
        self._place = _reserve()
        self._listener: asyncio.Server | None = None
        self._gates = {direction: asyncio.Event() for direction in Direction}
        self._pipes: set[_Pipe] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._strikes: list[Strike] = []
        self._holds: list[Held] = []
        self._lift_stalls()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The port that it listens on; the same for ever."""
        port: int = self._place.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where to connect to, in the scheme of the upstream; a Unix socket becomes ``redis://``."""
        scheme = urlsplit(self.upstream).scheme
        return f"{'redis' if scheme == 'unix' else scheme}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._pipes)

    async def start(self) -> None:
        """Listen; harmless when it does already."""
        if self._listener is None:
            listener = _socket(self.port)
            self._listener = await asyncio.start_server(self._accept, sock=listener, backlog=512)

    async def close(self) -> None:
        """Reset all connections and end."""
        self._stop_listening()
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._place.close()

    async def forward(self) -> None:
        """Do what a network should, from now on; what was held back arrives. Strikes are forgotten."""
        self.delay = 0.0
        self._strikes.clear()
        for held in self._holds:
            held.release()
        self._holds.clear()
        self._lift_stalls()
        await self.start()

    def refuse(self) -> None:
        """Refuse connections; those that are open are reset."""
        self._stop_listening()
        self.reset()

    def hang(self) -> None:
        """Accept connections, and forward nothing: neither on new ones nor on those that are open."""
        for direction in Direction:
            self.stall(direction)

    def stall(self, direction: Direction) -> None:
        """Forward nothing in one direction."""
        self._gates[direction].clear()

    def slow_down(self, seconds: float) -> None:
        """Let whatever is forwarded arrive later by this much, in both directions."""
        self.delay = seconds

    def reset(self) -> int:
        """Reset all connections (RST), on both sides; return how many there were."""
        pipes = tuple(self._pipes)
        for pipe in pipes:
            pipe.reset()
        return len(pipes)

    def redirect(self, upstream: str) -> None:
        """Lead new connections to another server, and reset those that are open: a failover."""
        self.upstream = upstream
        self.reset()

    def cut_reply(self, *, after: int, to: bytes = b"") -> Strike:
        """Reset the connection `after` so many bytes of the reply to the next command that contains `to`."""
        strike = Strike(to, after, resets=True)
        self._strikes.append(strike)
        return strike

    def swallow_reply(self, *, to: bytes = b"", resets: bool = True) -> Strike:
        """Lose the whole reply to the next command that contains `to`.

        Args:
            resets: reset the connection instead; False: it stays open, and silent for ever.
        """
        strike = Strike(to, 0, resets=resets)
        self._strikes.append(strike)
        return strike

    def hold_command(self, containing: bytes) -> Held:
        """Hold back the next command that contains some bytes, and what follows on its connection."""
        held = Held(containing)
        self._holds.append(held)
        return held

    def strike_for(self, before: bytes, data: bytes) -> Strike | None:
        """Take the strike that these bytes of a client call for (for its pipe)."""
        return _taken(self._strikes, lambda strike: _completes(strike.to, before, data))

    def hold_for(self, before: bytes, data: bytes) -> Held | None:
        """Take the hold that these bytes of a client call for (for its pipe)."""
        return _taken(self._holds, lambda held: _completes(held.containing, before, data))

    async def may_pass(self, direction: Direction) -> None:
        """Wait as long as stalls and delays say (for a pipe)."""
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._gates[direction].wait()

    def _lift_stalls(self) -> None:
        for gate in self._gates.values():
            gate.set()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None, "asyncio runs it in a task"
        self._tasks.add(task)
        pipe = _Pipe(self, reader, writer)
        self._pipes.add(pipe)
        if self._listener is None:
            pipe.reset()  # it came in the moment in which we began to refuse
        try:
            await pipe.run()
        except asyncio.CancelledError:
            pipe.reset()  # the proxy was closed; a task of asyncio.start_server must not end cancelled
        finally:
            self._pipes.discard(pipe)
            self._tasks.discard(task)


class _Pipe:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._writers = [writer]
        self._strike: Strike | None = None
        self._cut = asyncio.Event()

    async def run(self) -> None:
        """Forward until one side closes, or a reset."""
        cut = asyncio.create_task(self._cut.wait())
        forwarding = asyncio.create_task(self._forward())
        try:
            await asyncio.wait([cut, forwarding], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (cut, forwarding):
                task.cancel()
            await asyncio.gather(cut, forwarding, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    def reset(self) -> None:
        """Send RST to both sides."""
        self._cut.set()
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
            writer.transport.abort()

    async def _forward(self) -> None:
        await self._proxy.may_pass(Direction.TO_SERVER)  # a network that hangs shows nothing of its far side
        try:
            reader, writer = await _connect(self._proxy.upstream)
        except OSError:
            self.reset()
            return
        self._writers.append(writer)
        there = asyncio.create_task(self._to_server(writer))
        back = asyncio.create_task(self._to_client(reader))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _to_server(self, writer: asyncio.StreamWriter) -> None:
        before = b""  # what a command is looked for in may be split between two reads
        while data := await _read(self._client[0]):
            held = self._proxy.hold_for(before, data)
            if held is not None:
                await held.wait()
            await self._proxy.may_pass(Direction.TO_SERVER)
            strike = self._proxy.strike_for(before, data)
            if strike is not None:
                self._strike = strike
                strike.seen.set()
            before = (before + data)[-_LONGEST_FRAGMENT:]
            await _write(writer, data)
            if held is not None:
                held.delivered.set()
        await self._proxy.may_pass(Direction.TO_SERVER)

    async def _to_client(self, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            await self._proxy.may_pass(Direction.TO_CLIENT)
            strike = self._strike
            if strike is None:
                await _write(self._client[1], data)
                continue
            await _write(self._client[1], _survivors(strike, data))
            if strike.struck.is_set() and strike.resets:
                self.reset()
                return
        await self._proxy.may_pass(Direction.TO_CLIENT)


def _survivors(strike: Strike, data: bytes) -> bytes:
    """Return what of a reply still reaches the client."""
    passing = data[: strike.passes]
    strike.passes -= len(passing)
    if len(passing) < len(data):
        strike.struck.set()
    return passing


def _completes(fragment: bytes, before: bytes, data: bytes) -> bool:
    """Whether a fragment ends in these bytes; it may have begun in those before."""
    assert len(fragment) <= _LONGEST_FRAGMENT, "too long to be looked for"
    begun = before[max(0, len(before) - len(fragment) + 1) :]
    return fragment in begun + data


def _taken(items: list[T], matches: Callable[[T], bool]) -> T | None:
    for item in items:
        if matches(item):
            items.remove(item)
            return item
    return None


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the next bytes; none if the peer has closed, politely or not."""
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send; a peer that has gone is noticed by whoever reads from it."""
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()


async def _connect(upstream: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(upstream)
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(parts.path)
    return await asyncio.open_connection(parts.hostname, parts.port)


def _reserve() -> socket.socket:
    """Bind a port without listening: it refuses, and nobody else gets it."""
    return _socket(0)


def _socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
