"""The network between clients and servers: WebSockets whose two directions are queues with a delay.

A frame arrives after all that were sent before it by the same connection, and as much later as chance wants;
frames of different connections overtake each other. The server sees an ASGI WebSocket, as of any web server.

What can happen to a connection, in the order of how much is told:

- it is *closed*: the other end learns it, after what was sent before;
- it is *reset*: both ends learn it, and what was under way is lost;
- a direction is *silenced*: what is sent is lost, and nobody learns anything;
- the client *stops reading*: the server's writes wait, as soon as the buffers between are full.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from recovery.testing.loop import Process, State, VirtualLoop

__all__ = ["Connection", "Ends", "Frame", "Pace"]

Frame = str | bytes

_CLOSE: Final = None
_BUFFER = 64  # frames that the buffers between the ends hold, about 64 kB
_PATIENCE = 60.0  # seconds after which an operating system gives up on a peer that acknowledges nothing


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a frame travels: seconds, at least and at most."""

    fastest: float = 0.0005
    slowest: float = 0.005


@dataclass(frozen=True, slots=True)
class Ends:
    """What is told of a connection.

    Attributes:
        heard: a frame reached the client.
        missed: a frame that the server wrote was lost.
        closed: the client learned that the connection is gone.
    """

    heard: Callable[["Connection", Frame], None]
    missed: Callable[["Connection", Frame], None]
    closed: Callable[["Connection"], None]


class Connection:
    """One WebSocket between a client and a server.

    Args:
        number: of this connection; with `seed`, it decides how long its frames travel.
    """

    def __init__(self, loop: VirtualLoop, number: int, ends: Ends, *, seed: object, pace: Pace) -> None:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311 - it has to repeat itself
        self.number = number
        self.is_over = False
        self._loop = loop
        self._ends = ends
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_server = _Path(loop, chance, pace, self._reach_server, _ignore)
        self._to_client = _Path(loop, chance, pace, self._reach_client, self._miss)
        self.process: Process | None = None

    # The client's end ----------------------------------------------------------------------------------

    def open(self, process: Process, app: Any, query: str = "") -> None:
        """Connect to a server; a process that was killed refuses."""
        self.process = process
        if process.state is State.KILLED:
            self._to_client.send(_CLOSE)
            return
        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": f"EIO=4&transport=websocket{query}".encode(),
            "headers": [(b"upgrade", b"websocket"), (b"connection", b"upgrade")],
        }
        self._received.put_nowait({"type": "websocket.connect"})
        self._loop.start(process, app(scope, self._received.get, self._write))

    def send(self, frame: Frame) -> None:
        """Send a frame to the server."""
        self._to_server.send(frame)

    def close(self) -> None:
        """Leave: the server learns it, after what was sent before. What it sends is lost."""
        self._to_server.send(_CLOSE)
        self._to_client.silence()

    def reset(self) -> None:
        """Cut: both ends learn it, and what was under way is lost."""
        for path in (self._to_server, self._to_client):
            path.clear()
            path.send(_CLOSE)

    def silence(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Lose what is sent from now on, in one direction or both, and tell nobody."""
        if to_server:
            self._to_server.silence()
        if to_client:
            self._to_client.silence()

    @property
    def is_broken(self) -> bool:
        """Whether something that is sent by it is lost."""
        return self._to_server.is_silent or self._to_client.is_silent

    def stop_reading(self) -> None:
        """Leave what the server sends in the buffers between."""
        self._to_client.pause()

    def read_on(self) -> None:
        """Read again."""
        self._to_client.go_on()

    # The server's end ----------------------------------------------------------------------------------

    def die(self) -> None:
        """The server's process was killed: its operating system sends what was written, and closes."""
        self._to_client.send(_CLOSE)

    async def _write(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.send":
            await self._to_client.wait_for_room()
            self._to_client.send(event["bytes"] if event.get("bytes") is not None else event["text"])
        elif event["type"] == "websocket.close":
            self._to_client.send(_CLOSE)
            self._received.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def _reach_server(self, frame: Frame | None) -> None:
        if frame is None:
            self._to_client.fail()
            self._received.put_nowait({"type": "websocket.disconnect", "code": 1006})
            return
        kind = "bytes" if isinstance(frame, bytes) else "text"
        self._received.put_nowait({"type": "websocket.receive", kind: frame})

    def _reach_client(self, frame: Frame | None) -> None:
        if frame is not None:
            self._ends.heard(self, frame)
            return
        self.is_over = True
        self._to_client.silence()
        self._ends.closed(self)

    def _miss(self, frame: Frame | None) -> None:
        if frame is not None:
            self._ends.missed(self, frame)


class _Path:
    """One direction: what goes in comes out later, in the same order, or never."""

    def __init__(
        self,
        loop: VirtualLoop,
        chance: random.Random,
        pace: Pace,
        arrive: Callable[[Frame | None], None],
        lose: Callable[[Frame | None], None],
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._pace = pace
        self._arrive = arrive
        self._lose = lose
        self._under_way: deque[tuple[float, Frame | None]] = deque()
        self._latest = 0.0
        self._unread = 0  # frames that nobody will ever acknowledge
        self.is_silent = False
        self._paused = False
        self._failed = False
        self._room: asyncio.Future[None] | None = None

    def send(self, frame: Frame | None) -> None:
        if self.is_silent:
            self._unread += 1
            self._lose(frame)
            return
        travel = self._chance.uniform(self._pace.fastest, self._pace.slowest)
        self._latest = max(self._latest, self._loop.time() + travel)
        self._under_way.append((self._latest, frame))
        self._loop.call_outside(self._latest, self._deliver)

    async def wait_for_room(self) -> None:
        """Return when the buffers take another frame; raise `OSError` if that will not be."""
        while not self._failed and len(self._under_way) + self._unread >= _BUFFER:
            self._room = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._room
            except TimeoutError:
                self._failed = True
        if self._failed:
            raise OSError("the connection is gone")

    def clear(self) -> None:
        """Lose what is under way."""
        lost, self._under_way = self._under_way, deque()
        for _, frame in lost:
            self._lose(frame)

    def silence(self) -> None:
        self.is_silent = True
        self._unread += len(self._under_way)
        self.clear()

    def fail(self) -> None:
        """The reading end is gone, and the writing one has learned it."""
        self._failed = True
        self.silence()
        self._wake()

    def pause(self) -> None:
        self._paused = True

    def go_on(self) -> None:
        self._paused = False
        self._deliver()

    def _deliver(self) -> None:
        while self._under_way and not self._paused and self._under_way[0][0] <= self._loop.time():
            _, frame = self._under_way.popleft()
            self._arrive(frame)
        self._wake()

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _ignore(_frame: Frame | None) -> None:
    """What a client sent and lost is nobody's business."""
