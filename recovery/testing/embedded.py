"""A cluster of an application's real servers in one process, on a real store, in real time.

No web server and no network: clients reach the servers' ASGI applications through queues. Clients keep pid
and offset as ``socket.io-client`` does, so they lose their connections, come back, and recover; they remember
all that they got. Binary events are not supported.

For a cluster that can also be killed, frozen and cut off, in virtual time, see `recovery.testing.cluster`.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack, cast

import socketio

from adapter import AsyncRecoveryManager
from recovery.settings import SettingsOptions
from recovery.testing.clients import SimulatedClient
from recovery.testing.servers import Application

__all__ = ["EmbeddedClient", "EmbeddedCluster"]

_PATIENCE = 5.0  # seconds that whatever a client waits for may take


class EmbeddedCluster:
    """Servers of one application that share a store; use it in an ``async with`` statement.

    Args:
        application: registers handlers on each `socketio.AsyncServer`.
        url: of the store, such as that of the fixture `recovery_store_url`.
        servers: how many.
        server_options: arguments of `socketio.AsyncServer`.
        **settings: of the managers; see `recovery.settings.Settings`.

    Attributes:
        servers: the `socketio.AsyncServer` objects.
        clients: by name.

    Example::

        async with EmbeddedCluster(register_handlers, url="embedded://") as cluster:
            anna = cluster.client("anna")
            await anna.connect(cluster.servers[0])
            anna.drop()
            await cluster.servers[1].emit("news", "while she was away")
            await anna.connect(cluster.servers[1])
            await anna.until(lambda: anna.got("news") == [["while she was away"]])
    """

    def __init__(
        self,
        application: Application,
        *,
        url: str,
        servers: int = 2,
        server_options: dict[str, Any] | None = None,
        **settings: Unpack[SettingsOptions],
    ) -> None:
        self.clients: dict[str, EmbeddedClient] = {}
        self.servers: list[Any] = []  # python-socketio ships no types
        for _ in range(servers):
            manager = AsyncRecoveryManager(url, **settings)
            sio = socketio.AsyncServer(
                async_mode="asgi", client_manager=manager, monitor_clients=False, **(server_options or {})
            )
            application(sio)
            self.servers.append(sio)

    def client(self, name: str, **auth: Any) -> "EmbeddedClient":
        """Make a client that is connected to nothing yet; `auth` is what the connect handler gets."""
        self.clients[name] = client = EmbeddedClient(name, auth)
        return client

    async def close(self) -> None:
        """Take all clients' connections away, and close all servers."""
        for client in self.clients.values():
            client.drop()
        for sio in self.servers:
            await sio.manager.close()
        for client in self.clients.values():
            await client.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class EmbeddedClient:
    """A client that remembers what it got; `EmbeddedCluster.client` makes it."""

    def __init__(self, name: str, auth: dict[str, Any]) -> None:
        # A simulated client asks of its loop the time, and to be called then: any clock will do.
        self._rules = SimulatedClient(name, cast("Any", _Clock()), _Nobody(), _stay_away, auth)
        self._lines: list[_Line] = []
        self._progress = asyncio.Event()

    @property
    def name(self) -> str:
        """What it was called."""
        return self._rules.name

    @property
    def sid(self) -> str:
        """The one that it was given last; "" before."""
        return self._rules.sid

    @property
    def connected(self) -> bool:
        """It was let in on the connection that it has."""
        return self._rules.connected

    @property
    def received(self) -> list[list[Any]]:
        """Arguments of all events, the event's name first, without offsets, over all connections."""
        return self._rules.received

    @property
    def outcomes(self) -> list[str]:
        """Was it "recovered" or "fresh"; for each time that it was let in."""
        return self._rules.outcomes

    def got(self, event: str) -> list[list[Any]]:
        """The arguments of all events of this name, in the order in which they came."""
        return [args for name, *args in self.received if name == event]

    async def connect(self, server: Any, *, seconds: float = _PATIENCE) -> bool:
        """Connect, or come back; False if the connect handler refused. A connection that it has is left.

        Raises:
            TimeoutError: there was no answer within so many seconds.
        """
        self.drop()
        line = _Line(len(self._lines) + 1, socketio.ASGIApp(server), self)
        self._lines.append(line)
        self._rules.take(cast("Any", line))  # it has what a client uses of a simulated connection
        line.open()
        await self.until(lambda: self._rules.connected or self._rules.ended, seconds=seconds)
        return self._rules.connected

    def drop(self, *, silently: bool = False) -> None:
        """Lose the connection; nothing happens if there is none.

        Args:
            silently: the server is not told, and goes on writing into nothing.
        """
        line: Any = self._rules.connection
        if line is not None:
            line.lose(silently=silently)
            self._rules.closed(line)

    def disconnect(self) -> None:
        """Send DISCONNECT: the session is to end."""
        if self.connected:
            self._rules.disconnect()

    def emit(self, event: str, *args: Any) -> None:
        """Send an event; lost if it is not connected."""
        self._rules.emit(event, *args)

    async def until(self, predicate: Callable[[], bool], *, seconds: float = _PATIENCE) -> None:
        """Wait until something is true, which is looked at whenever something came.

        Raises:
            TimeoutError: it was not within so many seconds.
        """
        try:
            async with asyncio.timeout(seconds):
                while not predicate():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            recent = self.received[-5:]
            text = f"{self.name} waited {seconds} s in vain; connected: {self.connected}; last got: {recent}"
            raise TimeoutError(text) from None

    async def finish(self) -> None:
        """End all that its connections began."""
        await asyncio.gather(*(line.finish() for line in self._lines))

    def hear(self, line: "_Line", frame: str) -> None:
        """A frame came from a server."""
        self._rules.heard(cast("Any", line), frame)
        self._progress.set()

    def lost(self, line: "_Line") -> None:
        """The server closed a connection."""
        self._rules.closed(cast("Any", line))
        self._progress.set()


class _Line:
    """A WebSocket between a client and an ASGI application."""

    def __init__(self, number: int, app: Any, client: EmbeddedClient) -> None:
        self.number = number
        self._app = app
        self._client = client
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._over = False
        self._silent = False
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Connect to the server."""
        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": b"EIO=4&transport=websocket",
            "headers": [(b"upgrade", b"websocket"), (b"connection", b"upgrade")],
        }
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._app(scope, self._to_server.get, self._send))

    def send(self, frame: str) -> None:
        """Send a frame to the server."""
        if not self._over and not self._silent:
            self._to_server.put_nowait({"type": "websocket.receive", "text": frame})

    def close(self) -> None:
        """Close it; what was sent before arrives."""
        self.lose()

    def lose(self, *, silently: bool = False) -> None:
        """Hear nothing more; the server is told, or is not."""
        if silently:
            self._silent = True
        elif not self._over:
            self._over = True
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def finish(self) -> None:
        """End its task."""
        self._over = True
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_PATIENCE)
            self._task.cancel()

    async def _send(self, event: dict[str, Any]) -> None:
        if self._over:
            raise OSError("the connection is gone")
        if event["type"] == "websocket.send" and not self._silent:
            self._client.hear(self, event["text"])
        elif event["type"] == "websocket.close":
            self._over = True
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
            self._client.lost(self)


class _Clock:
    """What a client knows of time."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_outside(self, due: float, callback: Callable[..., None], *args: Any) -> None:
        asyncio.get_running_loop().call_at(due, callback, *args)


class _Nobody:
    """Writes nothing down."""

    def asks(self, client: SimulatedClient, connection: int) -> None: ...

    def accepted(self, client: SimulatedClient, connection: int, *, recovered: bool) -> None: ...

    def received(
        self, client: SimulatedClient, connection: int, args: list[Any], offset: str | None, *, heard: bool
    ) -> None: ...

    def left(self, client: SimulatedClient, connection: int) -> None: ...


def _stay_away(_client: SimulatedClient) -> None:
    """A client comes back when the test says so."""
