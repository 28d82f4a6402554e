"""The handler ``session_expired``: on one server, when a client has not returned, whatever happened."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import pytest_asyncio

from recovery.commands import Command
from recovery.deadlines import BurySession, DueSessions, ExpireSession, NoteDeadline
from recovery.errors import StoreError
from recovery.flows.expiring import MOST_ATTEMPTS
from recovery.reasons import Reason
from recovery.records import ExpiredSession
from tests.interleavings.client import Client
from tests.interleavings.clock import Clock, stopped_clock
from tests.interleavings.harness import Gate, Server, World, settle

_WINDOW = 10.0
_LOOKS = 4.0  # seconds between two looks, at most
_PINGS = 45.0
_SETTLES = 5.0  # seconds before the first look
_RETENTION = _WINDOW + _LOOKS + _PINGS
_LEASE = 30.0


class Witness:
    """What the handlers of all servers were called with.

    Attributes:
        calls: servers and sessions, in order.
        failures: how many calls will raise yet.
        pause: calls wait for it.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, ExpiredSession]] = []
        self.finished: list[str] = []
        self.failures = 0
        self.pause: asyncio.Event | None = None

    @property
    def sids(self) -> list[str]:
        """Sids of the sessions, in order."""
        return [session.sid for _, session in self.calls]

    def handler(self, name: str) -> Any:
        """The handler of one server."""

        async def session_expired(session: ExpiredSession) -> None:
            self.calls.append((name, session))
            if self.pause is not None:
                await self.pause.wait()
            if self.failures:
                self.failures -= 1
                raise RuntimeError("the application failed")
            self.finished.append(session.sid)

        return session_expired


@pytest_asyncio.fixture
async def clock() -> Any:
    """A clock that stands still until moved."""
    with stopped_clock() as stopped:
        yield stopped


@pytest.fixture
def witness() -> Witness:
    """Sees all calls."""
    return Witness()


def _server(world: World, witness: Witness, name: str = "one", **options: Any) -> Server:
    return world.server(
        session_expired=witness.handler(name),
        max_disconnection_duration=_WINDOW,
        checkpoint_interval=_LOOKS,
        publish_timeout=1.0,
        takeover_timeout=0.5,
        **options,
    )


async def _awake(server: Server) -> Server:
    """A server that has begun to look, without a client."""
    await server.sio.emit("awake")
    return server


async def _pass(clock: Clock, seconds: float) -> None:
    """Let time pass, second by second, with whatever happens meanwhile."""
    whole, part = divmod(seconds, 1)
    for step in [1.0] * int(whole) + [part]:
        clock.advance(step)
        await settle()


async def _leave(client: Client) -> str:
    """Lose a client's transport; its sid."""
    sid: str = client.sid
    client.cut()
    await settle()
    return sid


def _die(server: Server, *clients: Client) -> Gate:
    """Let nothing of a server reach the store or its clients any more, as when its process is killed."""
    gate = server.store.hold(Command)
    for client in clients:
        if client.transport is not None:
            client.transport = None  # the server is not told, either
            client.cut()
    return gate


async def test_the_handler_gets_what_the_application_knew(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = _server(world, witness)
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "lobby")
    await server.sio.save_session(client.sid, {"user": "ann"})
    await _pass(clock, _SETTLES)
    sid = await _leave(client)
    await _pass(clock, _WINDOW - 1)
    assert witness.calls == []
    await _pass(clock, 1 + _LOOKS)
    [(_, session)] = witness.calls
    assert (session.sid, session.namespace, session.data) == (sid, "/", {"user": "ann"})
    assert set(session.rooms) == {sid, "lobby"}
    assert session.offline_for is not None
    assert _WINDOW <= session.offline_for <= _WINDOW + _LOOKS + 1
    await _pass(clock, 2 * _LEASE)
    assert len(witness.calls) == 1
    assert world.state._deadlines._look_at == {}, "nothing is left on the list"


async def test_a_function_is_as_good_as_a_coroutine_function(world: World, clock: Clock) -> None:
    calls: list[ExpiredSession] = []
    server = world.server(
        session_expired=calls.append,
        max_disconnection_duration=_WINDOW,
        checkpoint_interval=_LOOKS,
        publish_timeout=1.0,
    )
    sid = await _leave(await world.connected(server))
    await _pass(clock, _WINDOW + _LOOKS + 1)
    assert [session.sid for session in calls] == [sid]


async def test_of_three_servers_one_calls_its_handler(world: World, clock: Clock, witness: Witness) -> None:
    servers = [await _awake(_server(world, witness, str(n))) for n in range(3)]
    clients = [await world.connected(server) for server in servers for _ in range(5)]
    await _pass(clock, _SETTLES)
    sids = [await _leave(client) for client in clients]
    await _pass(clock, _WINDOW + 3 * _LEASE)
    assert sorted(witness.sids) == sorted(sids)


async def test_two_servers_look_at_once(world: World, clock: Clock, witness: Witness) -> None:
    """Even if both were told that the session is due: the claim decides."""
    servers = [await _awake(_server(world, witness, str(n))) for n in range(2)]
    gates = [server.store.hold(ExpireSession) for server in servers]
    await _pass(clock, _SETTLES)
    sid = await _leave(await world.connected(servers[0]))
    await _pass(clock, _WINDOW + _LOOKS)
    first = [gate.waiting for gate in gates].index(1)
    servers[first].store.hold(DueSessions)
    await _pass(clock, _LEASE + _LOOKS)  # the lease of the list has run out
    assert [gate.waiting for gate in gates] == [1, 1]
    for gate in gates:
        gate.release()
    await _pass(clock, 2 * _LEASE)
    assert witness.sids == [sid]


async def test_a_client_that_returns_in_time_has_not_expired(
    world: World, clock: Clock, witness: Witness
) -> None:
    one, two = [await _awake(_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await _pass(clock, _SETTLES)
    await _leave(client)
    await _pass(clock, _WINDOW - 0.2)
    await world.connect(client, two)
    assert client.outcomes[-1] == "recovered"
    await _pass(clock, 4 * _LEASE)
    assert witness.calls == []
    assert client.is_connected


async def test_a_client_that_returns_at_the_last_moment_has_time_to_get_in(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Its claim was granted before the deadline, and its connect handler is slow."""
    one, two = [await _awake(_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await _pass(clock, _SETTLES)
    await _leave(client)
    await _pass(clock, _WINDOW - 0.2)
    leave = asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        await leave.wait()

    two.sio.on("connect", connect)
    world.dial(client, two)
    await settle()
    await _pass(clock, 20)
    leave.set()
    await settle()
    assert client.outcomes[-1] == "recovered"
    assert witness.calls == []


async def test_a_client_that_never_got_in_expires(world: World, clock: Clock, witness: Witness) -> None:
    """Its claim was granted, and then its transport died in the connect handler, and its server, too."""
    one, two = [await _awake(_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await _pass(clock, _SETTLES)
    sid = await _leave(client)

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        await asyncio.Event().wait()

    two.sio.on("connect", connect)
    world.dial(client, two)
    await settle()
    assert "SaveSession" not in two.store.performed
    dead = _die(two, client)
    await _pass(clock, _PINGS)
    assert witness.calls == [], "it might still get in"
    await _pass(clock, _WINDOW + _LOOKS)
    assert [(name, session.sid) for name, session in witness.calls] == [("one", sid)]
    dead.release()  # its tasks are still in this process


async def test_a_client_that_returns_later_is_told(world: World, clock: Clock, witness: Witness) -> None:
    """Both while the handler runs and when it has."""
    server = _server(world, witness)
    witness.pause = asyncio.Event()
    client = await world.connected(server)
    pid, offset = client.pid, client.offset
    await _pass(clock, _SETTLES)
    sid = await _leave(client)
    await _pass(clock, _WINDOW + _LOOKS)
    assert witness.sids == [sid]
    await world.connect(client, server)
    witness.pause.set()
    await settle()
    again = world.client()
    again.sockets["/"].pid, again.sockets["/"].offset = pid, offset
    await world.connect(again, server)
    assert (client.outcomes[-1], again.outcomes[-1]) == ("fresh", "fresh")
    assert server.manager.outcomes == {Reason.SESSION_EXPIRED.value: 2}


async def test_the_session_of_a_crashed_server_expires(world: World, clock: Clock, witness: Witness) -> None:
    owner = await _awake(_server(world, witness, "owner"))
    await _awake(_server(world, witness, "other"))
    client = await world.connected(owner)
    await _pass(clock, _SETTLES)
    sid = client.sid
    _die(owner, client)
    await _pass(clock, _RETENTION - 1)
    assert witness.calls == []
    await _pass(clock, _LOOKS + _SETTLES)
    [(name, session)] = witness.calls
    assert (name, session.sid, session.offline_for) == ("other", sid, None)


async def test_a_server_that_dies_within_the_handler_is_replaced(
    world: World, clock: Clock, witness: Witness
) -> None:
    one = await _awake(_server(world, witness, "one"))
    witness.pause = asyncio.Event()
    client = await world.connected(one)
    await _pass(clock, _SETTLES)
    sid = await _leave(client)
    await _pass(clock, _WINDOW + _LOOKS)
    assert [name for name, _ in witness.calls] == ["one"]
    _die(one)
    two = await _awake(_server(world, witness, "two"))
    witness.pause = None
    await _pass(clock, _LEASE - _LOOKS - 1)
    assert len(witness.calls) == 1
    await _pass(clock, _LEASE)
    assert [(name, session.sid) for name, session in witness.calls] == [("one", sid), ("two", sid)]
    assert two.store.performed["BurySession"] == 1
    await _pass(clock, 2 * _LEASE)
    assert len(witness.calls) == 2


async def test_a_server_that_was_frozen_within_the_handler_buries_nothing(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Another one has the session by then, and its handler may still be running."""
    one = await _awake(_server(world, witness, "one"))
    witness.pause = asyncio.Event()
    sid = await _leave(await world.connected(one))
    await _pass(clock, _WINDOW + _LOOKS + 1)
    held = one.store.hold(Command)
    await _awake(_server(world, witness, "two"))
    await _pass(clock, 2 * _LEASE)
    assert witness.sids == [sid, sid]
    held.release()
    [claim] = world.state._claims.values()
    burials = Counter(two=claim.value is None)
    witness.pause.set()
    await settle()
    assert burials == {"two": False}
    await _pass(clock, 2 * _LEASE)
    assert claim.value is None
    assert witness.sids == [sid, sid]


async def test_a_slow_handler_is_not_run_twice(world: World, clock: Clock, witness: Witness) -> None:
    one = await _awake(_server(world, witness, "one"))
    await _awake(_server(world, witness, "two"))
    witness.pause = asyncio.Event()
    sid = await _leave(await world.connected(one))
    await _pass(clock, _WINDOW + 5 * _LEASE)
    assert witness.sids == [sid]
    witness.pause.set()
    await _pass(clock, 2 * _LEASE)
    assert witness.sids == witness.finished == [sid]


async def test_a_handler_that_raises_is_run_again(world: World, clock: Clock, witness: Witness) -> None:
    world.expects_errors = True
    server = _server(world, witness)
    witness.failures = 1
    sid = await _leave(await world.connected(server))
    await _pass(clock, _WINDOW + 2 * _LEASE)
    assert witness.sids == [sid, sid]
    assert witness.finished == [sid]


async def test_a_handler_that_always_raises_is_given_up(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    world.expects_errors = True
    server = _server(world, witness)
    witness.failures = 100
    sid = await _leave(await world.connected(server))
    await _pass(clock, _WINDOW + 6 * _LEASE)
    assert witness.sids == [sid] * MOST_ATTEMPTS
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events.count("handler.failed") == MOST_ATTEMPTS
    assert events.count("expiry.abandoned") == 1


async def test_a_handler_that_kills_its_server_is_given_up(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Else it would kill one server after the other."""
    world.expects_errors = True
    witness.pause = asyncio.Event()
    sid = ""
    for n in range(MOST_ATTEMPTS + 2):
        server = await _awake(_server(world, witness, str(n)))
        sid = sid or await _leave(await world.connected(server))
        await _pass(clock, _SETTLES + _WINDOW + _LEASE + _LOOKS)
        _die(server)
    assert witness.sids == [sid] * MOST_ATTEMPTS


async def test_a_client_that_left_has_not_expired(world: World, clock: Clock, witness: Witness) -> None:
    server = _server(world, witness)
    by_itself, thrown_out = await world.connected(server), await world.connected(server)
    by_itself.disconnect()
    await server.sio.disconnect(thrown_out.sid)
    await settle()
    for client in (by_itself, thrown_out):
        client.cut()
    await _pass(clock, 4 * _LEASE)
    assert witness.calls == []
    assert world.state._deadlines._look_at == {}


async def test_each_namespace_of_a_client_expires_by_itself(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = _server(world, witness)
    server.sio.on("connect", server._on_connect, namespace="/chat")
    client = world.client("/", "/chat")
    await world.connect(client, server)
    sids = {name: socket.sid for name, socket in client.sockets.items()}
    await _leave(client)
    await _pass(clock, _WINDOW + _LOOKS + 1)
    assert {session.namespace: session.sid for _, session in witness.calls} == sids


async def test_a_connected_client_costs_one_look_in_each_retention(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = _server(world, witness)
    client = await world.connected(server)
    await _pass(clock, 4 * _RETENTION)
    assert client.is_connected
    assert witness.calls == []
    assert 3 <= server.store.performed["ExpireSession"] <= 4


@pytest.mark.parametrize("kind", [DueSessions, ExpireSession, BurySession])
async def test_the_store_is_away_when_a_session_is_due(
    world: World, clock: Clock, witness: Witness, kind: type[Command[Any]]
) -> None:
    server = _server(world, witness)
    client = await world.connected(server)
    await _pass(clock, _SETTLES)
    sid = await _leave(client)
    failing = server.store.fail(kind)
    await _pass(clock, _WINDOW + _LEASE)
    assert witness.finished == ([sid] if kind is BurySession else [])
    failing.clear()
    await _pass(clock, 2 * _LEASE)
    assert witness.sids == [sid]
    assert world.state._deadlines._look_at == {}


async def test_clients_that_are_connected_do_not_expire_with_an_outage(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Their deadlines have passed when the store is back, but their servers write before anybody looks."""
    servers = [await _awake(_server(world, witness, str(n))) for n in range(2)]
    clients = [await world.connected(server) for server in servers]
    await _pass(clock, _SETTLES)
    failing = [server.store.fail(Command) for server in servers]
    await _pass(clock, _RETENTION + 1)
    for each in failing:
        each.clear()
    await _awake(_server(world, witness, "started just now"))
    await _pass(clock, 2 * _RETENTION)
    assert witness.calls == []
    assert all(client.is_connected for client in clients)


async def test_a_frozen_owner_learns_that_its_client_has_expired(
    world: World, clock: Clock, witness: Witness
) -> None:
    owner, other = [await _awake(_server(world, witness, name)) for name in ("owner", "other")]
    client = await world.connected(owner)
    await _pass(clock, _SETTLES)
    frozen = owner.store.hold(Command)
    await _pass(clock, _RETENTION)
    while not witness.calls:
        await _pass(clock, 1)
    assert witness.sids == [client.sid]
    frozen.release()
    await _pass(clock, _LOOKS + 1)
    assert not client.is_connected, "its transport was closed"
    await world.connect(client, other)
    assert other.manager.outcomes == {Reason.SESSION_EXPIRED.value: 1}


async def test_nobody_waits_for_a_crowd_of_slow_handlers(
    world: World, clock: Clock, witness: Witness
) -> None:
    """More than run at a time, and each is called, by whichever server has a hand free."""
    servers = [await _awake(_server(world, witness, str(n))) for n in range(2)]
    clients = [await world.connected(servers[0]) for _ in range(50)]
    await _pass(clock, _SETTLES)
    witness.pause = asyncio.Event()
    sids = [await _leave(client) for client in clients]
    await _pass(clock, _WINDOW + _LOOKS)
    assert Counter(name for name, _ in witness.calls) == {"0": 16, "1": 16}
    witness.pause.set()
    await _pass(clock, _LEASE + _LOOKS)
    assert sorted(witness.sids) == sorted(sids)


async def test_a_server_that_closes_lets_handlers_finish(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = _server(world, witness)
    witness.pause = asyncio.Event()
    sid = await _leave(await world.connected(server))
    await _pass(clock, _WINDOW + _LOOKS + 1)
    closing = asyncio.create_task(server.manager.close())
    await settle()
    witness.pause.set()
    await closing
    assert witness.finished == [sid]
    assert server.store.performed["BurySession"] == 1


async def test_a_server_that_closes_within_the_handler_leaves_it_to_another(
    world: World, clock: Clock, witness: Witness
) -> None:
    one = _server(world, witness, "one")
    witness.pause = asyncio.Event()
    sid = await _leave(await world.connected(one))
    await _pass(clock, _WINDOW + _LOOKS + 1)
    closing = asyncio.create_task(one.manager.close())
    await settle()
    clock.advance(2)
    await closing
    witness.pause = None
    await _awake(_server(world, witness, "two"))
    await _pass(clock, 2 * _LEASE)
    assert witness.finished == [sid]
    assert [name for name, _ in witness.calls] == ["one", "two"]


async def test_a_session_that_cannot_be_read_is_buried(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    server = _server(world, witness)
    client = await world.connected(server)
    await _leave(client)
    [claim] = world.state._claims.values()
    claim.value = b"poison"
    await _pass(clock, _WINDOW + _LOOKS + 1)
    assert (witness.calls, claim.value) == ([], None)
    assert [record.message for record in caplog.records if getattr(record, "event", "") == "expiry.failed"]
    assert client.pid not in caplog.text


async def test_without_a_handler_nothing_is_noted_or_kept(world: World, clock: Clock) -> None:
    server = world.server(max_disconnection_duration=_WINDOW, checkpoint_interval=_LOOKS)
    await _leave(await world.connected(server))
    await _pass(clock, _WINDOW + _LEASE)
    [claim] = world.state._claims.values()
    assert claim.value_until == claim.deadline
    assert not {"NoteDeadline", "DueSessions"} & server.store.performed.keys()


async def test_a_note_that_fails_does_no_harm_to_the_session(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a store of somebody's own that does not know the commands of expiry."""
    server = _server(world, witness)
    server.store.fail(NoteDeadline, StoreError("the store does not know the command"))
    client = await world.connected(server)
    await _leave(client)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert server.store.performed["SaveSession"] > 1
    assert "a deadline is not noted" in caplog.text
