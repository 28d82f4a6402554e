"""Servers, clients and a store in one event loop, where a test decides what happens before what.

Real `socketio.AsyncServer`s with real managers, over one store in memory whose commands can be held back;
real Engine.IO sockets over ASGI transports that are a pair of queues. Nothing sleeps: `settle` lets all
that can run run, and what is held stays held.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import socketio
from engineio import packet as eio_packet

from adapter import AsyncRecoveryManager
from adapter.clients import Clients
from adapter.gate import Gate as AdmissionGate
from adapter.sessions import Sessions
from recovery.aio.runtime import Runtime
from recovery.commands import Command, Read
from recovery.errors import StoreError, StoreUnavailableError
from recovery.records import HolderState
from recovery.stores.memory import AsyncMemoryStore, MemoryState
from tests.interleavings.client import Client
from tests.interleavings.transports import PollingTransport, WebSocketTransport

__all__ = ["Gate", "HeldStore", "Server", "World", "open_world", "settle", "until"]

_ROUNDS = 60  # turns of the loop that the longest chain of tasks in these tests needs, and some


async def settle(rounds: int = _ROUNDS) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def until(predicate: Callable[[], object], what: str = "") -> None:
    """Let others run until something is so; fail if it is not within 5 s."""
    deadline = time.monotonic() + 5
    while not predicate():
        assert time.monotonic() < deadline, f"{what or predicate} was not so within 5 s"
        await asyncio.sleep(0)


class Gate:
    """Holds commands of one kind back: before the store carries them out, or their replies.

    Attributes:
        waiting: how many are held now.
    """

    def __init__(self, kind: type[Command[Any]], only: Callable[[Any], bool]) -> None:
        self.waiting = 0
        self._kind = kind
        self._only = only
        self._open = asyncio.Event()

    def release(self) -> None:
        """Let go what is held, and hold nothing any more."""
        self._open.set()

    async def pass_through(self, command: Command[Any]) -> None:
        """Wait if this command is to be held."""
        if not isinstance(command, self._kind) or not self._only(command) or self._open.is_set():
            return
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1


class Failure:
    """Lets commands of one kind fail: they do not arrive, or the store answers with an error."""

    def __init__(self, kind: type[Command[Any]], error: StoreError) -> None:
        self._kind = kind
        self._error = error
        self._over = False

    def clear(self) -> None:
        """Let nothing fail any more."""
        self._over = True

    def of(self, command: Command[Any]) -> StoreError | None:
        """The error of a command, or None."""
        return self._error if isinstance(command, self._kind) and not self._over else None


class HeldStore:
    """One server's way to the store of all.

    Attributes:
        performed: how many commands of each kind were carried out.
        streams: the ways to further streams, by name.
        before_each: called before each command but reading, with its number from 1.
    """

    def __init__(self, state: MemoryState) -> None:
        self.performed: Counter[str] = Counter()
        self.before_each: Callable[[int, Command[Any]], None] | None = None
        self.streams: dict[str, HeldStore] = {}
        self._state = state
        self._store = AsyncMemoryStore(state)
        self._before: list[Gate] = []
        self._after: list[Gate] = []
        self._failures: list[Failure] = []
        self._number = 0
        self._cuts = 0
        self._cut = asyncio.Event()

    def stream(self, name: str) -> "HeldStore":
        """Open a further stream."""
        self.streams[name] = HeldStore(self._state.stream(name))
        return self.streams[name]

    def cut_off(self) -> None:
        """Lose the connection: reads under way fail, whatever they had found."""
        self._cuts += 1
        self._cut.set()
        self._cut = asyncio.Event()

    def hold(self, kind: type[Command[Any]], only: Callable[[Any], bool] = lambda _: True) -> Gate:
        """Hold commands back before they are carried out."""
        gate = Gate(kind, only)
        self._before.append(gate)
        return gate

    def fail(self, kind: type[Command[Any]], error: StoreError | None = None) -> Failure:
        """Let commands fail; by default as if the store were away."""
        away = StoreUnavailableError("the store is away", maybe_applied=False)
        failure = Failure(kind, error or away)
        self._failures.append(failure)
        return failure

    def hold_replies(self, kind: type[Command[Any]], only: Callable[[Any], bool] = lambda _: True) -> Gate:
        """Let commands be carried out, but hold their replies back: a reader lags, for one."""
        gate = Gate(kind, only)
        self._after.append(gate)
        return gate

    async def execute(self, command: Command[Any]) -> Any:
        """Carry out a command, as far as the gates let it through."""
        await self._pass(self._before, command)
        self._count(command)
        error = self._error_of(command)
        if error is not None:
            raise error
        if not isinstance(command, Read):
            reply = await self._store.execute(command)
            await self._pass(self._after, command)
            return reply
        cuts = self._cuts
        reply = await self._read(command)
        await self._pass(self._after, command)
        if self._cuts != cuts:
            raise StoreUnavailableError("the connection is lost", maybe_applied=True)
        return reply

    async def _read(self, command: Read) -> Any:
        """Read until something is found, or the connection is lost."""
        reading = asyncio.create_task(self._store.execute(command))
        cut = asyncio.create_task(self._cut.wait())
        try:
            await asyncio.wait([reading, cut], return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            cut.cancel()

    async def execute_many(self, commands: Sequence[Command[Any]]) -> list[Any | StoreError]:
        """Carry out commands; all wait if one of them does."""
        for command in commands:
            await self._pass(self._before, command)
            self._count(command)
        errors = [self._error_of(command) for command in commands]
        arriving = [command for command, error in zip(commands, errors, strict=True) if error is None]
        answers = iter(await self._store.execute_many(arriving))
        replies = [next(answers) if error is None else error for error in errors]
        for command in commands:
            await self._pass(self._after, command)
        return replies

    async def close(self) -> None:
        """Refuse further commands."""
        await self._store.close()

    @staticmethod
    async def _pass(gates: list[Gate], command: Command[Any]) -> None:
        for gate in list(gates):
            await gate.pass_through(command)

    def _error_of(self, command: Command[Any]) -> StoreError | None:
        return next(filter(None, (failure.of(command) for failure in self._failures)), None)

    def _count(self, command: Command[Any]) -> None:
        kind = type(command).__name__
        self.performed[kind] += 1
        if kind == "Read":
            return
        self._number += 1
        if self.before_each is not None:
            self.before_each(self._number, command)


class Server:
    """One server process."""

    def __init__(
        self, state: MemoryState, *, server_options: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.store = HeldStore(state)
        self.manager = AsyncRecoveryManager(self.store, **options)
        self.sio = socketio.AsyncServer(
            async_mode="asgi", client_manager=self.manager, monitor_clients=False, **(server_options or {})
        )
        self.app = socketio.ASGIApp(self.sio)
        self.disconnected: list[tuple[str, str]] = []
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)

    @property
    def runtime(self) -> Runtime[Any]:
        """Its store, reader and publisher."""
        return self.manager._process.runtime_of("/")

    @property
    def clients(self) -> Clients:
        """Its clients, in whatever phase."""
        return self.manager._process.clients

    @property
    def sessions(self) -> Sessions:
        """What writes their sessions."""
        return self.manager._process.sessions

    @property
    def gate(self) -> AdmissionGate:
        """What lets clients in."""
        gate = self.manager._gate
        assert gate is not None, "a server has a gate"
        return gate

    @property
    def connecting(self) -> set[tuple[str, str]]:
        """Transports and namespaces whose CONNECT is being dealt with."""
        return self.gate._connecting

    async def ping(self, client: Client) -> None:
        """Send a PING now, as the heartbeat would."""
        socket = self.socket_of(client)
        socket.last_ping = time.time()
        await socket.send(eio_packet.Packet(eio_packet.PING))

    async def checkpoint(self) -> None:
        """Save the proven positions of all clients now, as every ``checkpoint_interval``."""
        sessions, clients = self.sessions, self.clients
        for client in clients.live():
            await sessions.save_quietly(client, HolderState.LIVE, whole=False)

    def socket_of(self, client: Client) -> Any:
        """The Engine.IO socket of a client's transport."""
        assert client.transport is not None, "the client has a transport"
        return self.sio.eio.sockets[client.transport.eio_sid]

    def residue(self) -> dict[str, object]:
        """All that is left of clients; empty when nobody is connected and nothing leaked."""
        manager = self.manager
        dispatchers = [runtime.dispatcher for runtime in manager._process.streams.made()]
        tables: dict[str, Any] = {
            "rooms": manager.rooms,
            "pending_connect": manager.pending_connect,
            "pending_disconnect": manager.pending_disconnect,
            "callbacks": manager.callbacks,
            "clients": self.clients._by_sid,
            "transports": self.clients._by_transport,
            "connections": [each._clients for each in dispatchers if each._clients],
            "members": [each._members for each in dispatchers if each._members],
            "environ": self.sio.environ,
            # Two that close one socket at once leave it to engineio's monitor, which does not run here.
            "sockets": [socket for socket in self.sio.eio.sockets.values() if not socket.closed],
            "connecting": self.connecting,
        }
        return {name: table for name, table in tables.items() if table}

    async def _on_connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        pass

    async def _on_disconnect(self, sid: str, reason: str) -> None:
        self.disconnected.append((sid, reason))


class World:
    """Servers and clients around one store.

    Attributes:
        settings: of all servers.
        expects_errors: errors may be logged.
    """

    def __init__(self) -> None:
        self.state = MemoryState()
        self.servers: list[Server] = []
        self.clients: list[Client] = []
        self.expects_errors = False
        self.settings: dict[str, Any] = {}

    def server(self, **options: Any) -> Server:
        """Start a server."""
        server = Server(self.state, **{**self.settings, **options})
        self.servers.append(server)
        return server

    def client(self, *namespaces: str, **options: Any) -> Client:
        """Make a client that is connected to nothing yet."""
        client = Client(*namespaces, **options)
        self.clients.append(client)
        return client

    async def connected(self, server: Server, **options: Any) -> Client:
        """A client that is connected to a server in all its namespaces."""
        client = self.client(**options)
        await self.connect(client, server)
        return client

    async def connect(self, client: Client, server: Server) -> None:
        """Bring a client to a server, and wait until it is connected."""
        self.dial(client, server)
        await until(lambda: client.is_connected, "connected")
        await settle()

    def dial(self, client: Client, server: Server, *, polling: bool = False) -> None:
        """Begin to connect a client; its old transport stays as it is."""
        kind = PollingTransport if polling else WebSocketTransport
        client.open(kind(server.app))

    async def close(self) -> None:
        """End all that runs."""
        for client in self.clients:
            client.cut()
        current = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@asynccontextmanager
async def open_world() -> AsyncGenerator[World, None]:
    """A world that ends with the block; fails if anything was logged as an error meanwhile."""
    errors = _Errors(logging.ERROR)
    logging.getLogger().addHandler(errors)
    world = World()
    try:
        yield world
    finally:
        logging.getLogger().removeHandler(errors)
        await world.close()
    failures = [failure for client in world.clients for failure in client.failures]
    assert not failures, failures
    assert world.expects_errors or not errors.messages, errors.messages


class _Errors(logging.Handler):
    """Collects what is logged as an error: nothing in these tests may be."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))
