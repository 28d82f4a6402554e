"""A simulated cluster: servers, clients, a store and a network in one process, in virtual time.

The servers are real: `socketio.AsyncServer` with `AsyncRecoveryManager`, all of them. What is simulated is
what lies around them: time, randomness, the network, and what befalls a process or a store.

Methods are ordinary functions. Each lets as much virtual time pass as it needs, and no more; `advance` lets
it pass for its own sake. What happened stands in `history`, for `recovery.testing.checker`.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from recovery.errors import PublishError
from recovery.records import Audience, Room
from recovery.settings import SettingsOptions
from recovery.testing.adversity import Adversity
from recovery.testing.clients import SimulatedClient
from recovery.testing.history import History
from recovery.testing.network import Connection, Ends, Pace
from recovery.testing.servers import Application, Operation, SimulatedServer, example_application

__all__ = ["Drop", "SimulatedCluster", "Target"]

Drop = Literal["close", "reset", "silent", "deaf", "mute"]
"""How a client loses its connection: it closes it; both ends are told; the client alone knows it; what the
server sends is lost, or what the client sends, and nobody knows it."""

Target = SimulatedClient | Room
"""A client (by its sid), or a room."""

_PATIENCE = 60.0  # seconds of virtual time after which what a method waits for is given up
_HANDLERS_TAKE = 10.0  # seconds after which the connect handlers of plans have ended
_RETURNS_WITHIN = 1.0  # seconds after which a client that lost its connection is back at the latest


class SimulatedCluster(Adversity):
    """Servers that share a store, and their clients.

    Args:
        servers: how many; they are called "s1", "s2", ...
        seed: of all randomness. The same seed and the same calls give the same history.
        application: registers handlers on each server's `socketio.AsyncServer`.
        server_options: arguments of `socketio.AsyncServer`, such as ``ping_interval``.
        **settings: of the managers; see `recovery.settings.Settings`.

    Attributes:
        servers: by name. A restart puts a new one in place.
        clients: by name.
        operations: all that servers were asked to do.

    >>> with SimulatedCluster(servers=2, seed=1) as cluster:
    ...     anna = cluster.client("anna")
    ...     assert cluster.connect(anna, "s1")
    ...     cluster.drop(anna, "silent")
    ...     missed = cluster.emit("s2")
    ...     assert cluster.connect(anna, "s2")
    ...     anna.outcomes, [args[1] for args in anna.received] == [missed]
    (['fresh', 'recovered'], True)
    """

    def __init__(
        self,
        *,
        servers: int = 2,
        seed: int = 0,
        application: Application = example_application,
        server_options: dict[str, Any] | None = None,
        **settings: Unpack[SettingsOptions],
    ) -> None:
        super().__init__(
            servers=servers,
            seed=seed,
            application=application,
            server_options=server_options or {},
            settings=dict(settings),
        )
        self.clients: dict[str, SimulatedClient] = {}
        self._seed = seed
        self._returns: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    @property
    def history(self) -> History:
        """What has happened so far."""
        return self.recorder.history

    # Time ----------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_for(seconds)

    def settle(self, patience: float = _PATIENCE) -> bool:
        """Let time pass until all clients that are connected have received all they should.

        A packet to everybody is emitted by each running server; who got all of these, got all before. Returns
        False if one did not within `patience` seconds, or came meanwhile: it has had no time.
        """
        marks = [self.emit(name) for name, server in self.servers.items() if server.is_running]
        everyone = [client for client in self.clients.values() if client.connected]

        def all_have_all() -> bool:
            return all(_has(client, marks) for client in everyone)

        done = self.loop.run_until(all_have_all, patience=patience)
        self.recorder.finish(client.name for client in everyone if client.connected)
        return done and all(client in everyone for client in self.clients.values() if client.connected)

    def reunite(self, patience: float = _PATIENCE) -> bool:
        """Bring all clients to some server; False if one is not there within `patience` seconds.

        Those that were refused or disconnected, and those whose connection is silent, connect anew. Connect
        handlers let them in at once.
        """
        end = self.time + patience
        for client in self.clients.values():
            client.returns = True
            client.auth = {**client.auth, "delay": 0.0, "refuse": False}
            if client.connection is not None and not self._leads_anywhere(client.connection):
                self.drop(client, "silent")
        while self.time < end:
            for client in self.clients.values():
                if client.connection is None and (client.ended or not client.connected):
                    self.dial(client, self._somewhere(client))
            if self.loop.run_until(self._all_connected, patience=2.0):
                return True
        return False

    def part(self) -> None:
        """Let all clients leave, some of them without a word, and the servers notice it."""
        for number, client in enumerate(self.clients.values()):
            client.returns = False
            if number % 2:
                self.leave(client)
            else:
                self.drop(client, ("silent", "reset", "close")[number % 3])
        eios = [server.sio.eio for server in self.servers.values()]
        self.advance(max(eio.ping_interval + 2 * eio.ping_timeout for eio in eios) + _HANDLERS_TAKE)

    # Clients -------------------------------------------------------------------------------------------

    def client(self, name: str, *, returns: bool = False, **auth: Any) -> SimulatedClient:
        """Make a client that is connected to nothing yet.

        Args:
            returns: it comes back by itself, to any server, soon after it lost its connection.
            **auth: what its connect handler gets; see `example_application`.
        """
        client = SimulatedClient(name, self.loop, self.recorder, self._client_lost, {"name": name, **auth})
        client.returns = returns
        self.clients[name] = client
        return client

    def dial(self, client: SimulatedClient, server: str, *, pace: Pace | None = None) -> None:
        """Begin to connect a client, and do not wait. A connection that it has is left without a word."""
        if client.connection is not None:
            client.connection.silence()
        target = self.servers[server]
        self._returns[client.name] = self._returns.get(client.name, 0) + 1
        number = len(self._connections) + 1
        ends = Ends(client.heard, client.missed, client.closed)
        connection = Connection(
            self.loop, number, ends, seed=f"{self._seed}/{client.name}", pace=pace or Pace()
        )
        self._connections[number] = (target, connection)
        self.recorder.dials(number, target)
        client.take(connection)
        connection.open(target.process, target.app)

    def connect(self, client: SimulatedClient, server: str, *, patience: float = _PATIENCE) -> bool:
        """Connect a client, and wait until it is; False if it was refused, or had no answer in time."""
        self.dial(client, server)
        self.loop.run_until(lambda: client.connected or client.ended, patience=patience)
        return client.connected

    def drop(self, client: SimulatedClient, how: Drop = "reset") -> None:
        """Take a client's connection away."""
        connection = client.connection
        if connection is None:
            return
        if how == "reset":
            connection.reset()
        elif how in {"deaf", "mute"}:
            connection.silence(to_client=how == "deaf", to_server=how == "mute")
            return
        elif how == "close":
            connection.close()
        else:
            connection.silence()
        client.closed(connection)

    def leave(self, client: SimulatedClient) -> None:
        """Let a client send DISCONNECT: its session is to end."""
        if client.connected:
            self.recorder.leaves_for_good(client)
            client.disconnect()

    def stop_reading(self, client: SimulatedClient, seconds: float) -> None:
        """Let a client leave in its buffers what comes, for a while."""
        if client.connection is not None:
            client.connection.stop_reading()
            self.loop.call_outside(self.time + seconds, client.connection.read_on)

    # What an application does --------------------------------------------------------------------------

    def emit(
        self,
        server: str,
        to: Target | Sequence[Target] | None = None,
        *,
        skip: Target | Sequence[Target] | None = None,
        volatile: bool = False,
        event: str = "packet",
        wait: bool = True,
    ) -> str:
        """Emit an event whose first argument is its name, unlike any other; return that name.

        Args:
            wait: until the emit has returned or raised.
        """
        origin = self.servers[server]
        rooms, excluded = _rooms(to), _rooms(skip)
        lane = origin.lane()
        name = self.recorder.emit_begins(lane, Audience(rooms, excluded), volatile=volatile)

        async def emit() -> None:
            try:
                await origin.manager.emit(
                    event, name, to=list(rooms) or None, skip_sid=list(excluded) or None, volatile=volatile
                )
            except PublishError as exc:
                self.recorder.emit_ends(name, stored=None if exc.maybe_stored else False)
                raise
            self.recorder.emit_ends(name, stored=True)
            origin.note_confirmed(self.recorder.offset_of(name))

        self._do(origin, f"emit {name}", emit, wait=wait, lane=lane)
        return name

    def enter_room(self, server: str, client: SimulatedClient, room: Room, *, wait: bool = True) -> Operation:
        """Put a client into a room, wherever it is connected."""
        origin = self.servers[server]
        what = f"enter {client.name} into {room}"
        return self._do(origin, what, lambda: origin.sio.enter_room(client.sid, room), wait=wait)

    def leave_room(self, server: str, client: SimulatedClient, room: Room, *, wait: bool = True) -> Operation:
        """Take a client out of a room."""
        origin = self.servers[server]
        what = f"take {client.name} out of {room}"
        return self._do(origin, what, lambda: origin.sio.leave_room(client.sid, room), wait=wait)

    def close_room(self, server: str, room: Room, *, wait: bool = True) -> Operation:
        """Take everybody out of a room."""
        origin = self.servers[server]
        return self._do(origin, f"close {room}", lambda: origin.sio.close_room(room), wait=wait)

    def save_session(
        self, server: str, client: SimulatedClient, data: dict[str, Any], *, wait: bool = True
    ) -> Operation:
        """Save a client's user session."""
        origin = self.servers[server]
        what = f"save the session of {client.name}"
        return self._do(origin, what, lambda: origin.sio.save_session(client.sid, data), wait=wait)

    def disconnect(self, server: str, client: SimulatedClient, *, wait: bool = True) -> Operation:
        """Disconnect a client: its session ends, wherever it is."""
        origin = self.servers[server]
        what = f"disconnect {client.name}"
        return self._do(origin, what, lambda: origin.sio.disconnect(client.sid), wait=wait)

    # Inside --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all that runs."""
        self.loop.end()

    def _do(
        self,
        server: SimulatedServer,
        what: str,
        work: Callable[[], Awaitable[Any]],
        *,
        wait: bool,
        lane: str | None = None,
    ) -> Operation:
        operation = server.start(what, work)
        self.operations.append(operation)
        if lane is not None:
            server.occupy(lane, operation)
        if wait:
            self.loop.run_until(lambda: operation.done, patience=_PATIENCE)
        return operation

    def _client_lost(self, client: SimulatedClient) -> None:
        attempt = self._returns[client.name]
        due = self.time + self._chance(client).uniform(0, _RETURNS_WITHIN)
        self.loop.call_outside(due, self._return, client, self._somewhere(client), attempt)

    def _return(self, client: SimulatedClient, server: str, attempt: int) -> None:
        waits = client.connection is None and client.returns and not client.ended
        if waits and self._returns[client.name] == attempt:
            self.dial(client, server)

    def _leads_anywhere(self, connection: Connection) -> bool:
        server, _ = self._connections[connection.number]
        return server.is_alive and not connection.is_broken

    def _somewhere(self, client: SimulatedClient) -> str:
        """The server that a client finds next, which may be one that is down."""
        return self._chance(client).choice(sorted(self.servers))

    def _chance(self, client: SimulatedClient) -> random.Random:
        seed = f"{self._seed}/{client.name}/{self._returns.get(client.name, 0)}"
        return random.Random(seed)  # noqa: S311 - it has to repeat itself

    def _all_connected(self) -> bool:
        return all(client.connected for client in self.clients.values())


def _rooms(target: Target | Sequence[Target] | None) -> tuple[Room, ...]:
    if target is None:
        return ()
    if isinstance(target, SimulatedClient | str | int):
        target = [target]
    return tuple(each.sid if isinstance(each, SimulatedClient) else each for each in target)


def _has(client: SimulatedClient, names: Sequence[str]) -> bool:
    """Whether a client is gone, or the last of these packets have reached it."""
    recent = [args[1] for args in client.received[-3 * len(names) :] if len(args) > 1]
    return not client.connected or all(name in recent for name in names)
