"""The handler ``session_expired``: called once for whoever does not return, and for nobody else."""

import asyncio
from typing import Any

import pytest

from recovery.commands import Command
from recovery.deadlines import BurySession, DueSessions, ExpireSession, NoteDeadline
from recovery.errors import StoreError
from recovery.reasons import Reason
from recovery.records import Pid
from tests.interleavings.clock import Clock
from tests.interleavings.expiry import (
    LEASE,
    LIFE,
    LOOKS,
    PINGS,
    SETTLES,
    WINDOW,
    Witness,
    awake,
    die,
    expiring_server,
    leave,
    pass_time,
)
from tests.interleavings.harness import World, settle


async def test_the_handler_gets_what_the_application_knew(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = expiring_server(world, witness)
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "lobby")
    await server.sio.save_session(client.sid, {"user": "ann"})
    await pass_time(clock, SETTLES)
    sid = await leave(client)
    await pass_time(clock, WINDOW - 1)
    assert witness.calls == []
    await pass_time(clock, 1 + LOOKS)
    [(_, session)] = witness.calls
    assert (session.sid, session.namespace, session.data) == (sid, "/", {"user": "ann"})
    assert set(session.rooms) == {sid, "lobby"}
    assert session.offline_for is not None
    assert WINDOW <= session.offline_for <= WINDOW + LOOKS + 1
    await pass_time(clock, 2 * LEASE)
    assert len(witness.calls) == 1
    assert world.state._deadlines._look_at == {}, "nothing is left on the list"


async def test_of_three_servers_one_calls_its_handler(world: World, clock: Clock, witness: Witness) -> None:
    servers = [await awake(expiring_server(world, witness, str(n))) for n in range(3)]
    clients = [await world.connected(server) for server in servers for _ in range(5)]
    await pass_time(clock, SETTLES)
    sids = [await leave(client) for client in clients]
    await pass_time(clock, WINDOW + 3 * LEASE)
    assert sorted(witness.sids) == sorted(sids)


async def test_two_servers_look_at_once(world: World, clock: Clock, witness: Witness) -> None:
    """Even if both were told that the session is due: the claim decides."""
    servers = [await awake(expiring_server(world, witness, str(n))) for n in range(2)]
    gates = [server.store.hold(ExpireSession) for server in servers]
    await pass_time(clock, SETTLES)
    sid = await leave(await world.connected(servers[0]))
    await pass_time(clock, WINDOW + LOOKS)
    first = [gate.waiting for gate in gates].index(1)
    servers[first].store.hold(DueSessions)
    await pass_time(clock, LEASE + LOOKS)  # the lease of the list has run out
    assert [gate.waiting for gate in gates] == [1, 1]
    for gate in gates:
        gate.release()
    await pass_time(clock, 2 * LEASE)
    assert witness.sids == [sid]


async def test_a_client_that_returns_in_time_has_not_expired(
    world: World, clock: Clock, witness: Witness
) -> None:
    one, two = [await awake(expiring_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await pass_time(clock, SETTLES)
    await leave(client)
    await pass_time(clock, WINDOW - 0.2)
    await world.connect(client, two)
    assert client.outcomes[-1] == "recovered"
    await pass_time(clock, 4 * LEASE)
    assert witness.calls == []
    assert client.is_connected


async def test_a_client_that_returns_at_the_last_moment_has_time_to_get_in(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Its claim was granted before the deadline, and its connect handler is slow."""
    one, two = [await awake(expiring_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await pass_time(clock, SETTLES)
    await leave(client)
    await pass_time(clock, WINDOW - 0.2)
    accept = asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        await accept.wait()

    two.sio.on("connect", connect)
    world.dial(client, two)
    await settle()
    await pass_time(clock, 20)
    accept.set()
    await settle()
    assert client.outcomes[-1] == "recovered"
    assert witness.calls == []


async def test_a_client_that_never_got_in_expires(world: World, clock: Clock, witness: Witness) -> None:
    """Its claim was granted, and then its transport died in the connect handler, and its server, too."""
    one, two = [await awake(expiring_server(world, witness, name)) for name in ("one", "two")]
    client = await world.connected(one)
    await pass_time(clock, SETTLES)
    sid = await leave(client)

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        await asyncio.Event().wait()

    two.sio.on("connect", connect)
    world.dial(client, two)
    await settle()
    assert "SaveSession" not in two.store.performed
    dead = die(two, client)
    await pass_time(clock, PINGS)
    assert witness.calls == [], "it might still get in"
    await pass_time(clock, WINDOW + LOOKS)
    assert [(name, session.sid) for name, session in witness.calls] == [("one", sid)]
    dead.release()  # its tasks are still in this process


async def test_a_client_that_returns_later_is_told(world: World, clock: Clock, witness: Witness) -> None:
    """Both while the handler runs and when it has."""
    server = expiring_server(world, witness)
    witness.pause = asyncio.Event()
    client = await world.connected(server)
    pid, offset = client.pid, client.offset
    await pass_time(clock, SETTLES)
    sid = await leave(client)
    await pass_time(clock, WINDOW + LOOKS)
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
    owner = await awake(expiring_server(world, witness, "owner"))
    await awake(expiring_server(world, witness, "other"))
    client = await world.connected(owner)
    await pass_time(clock, SETTLES)
    sid = client.sid
    die(owner, client)
    await pass_time(clock, LIFE - SETTLES - 1)
    assert witness.calls == []
    await pass_time(clock, LOOKS + SETTLES)
    [(name, session)] = witness.calls
    assert (name, session.sid, session.offline_for) == ("other", sid, None)


async def test_a_client_that_left_has_not_expired(world: World, clock: Clock, witness: Witness) -> None:
    server = expiring_server(world, witness)
    by_itself, thrown_out = await world.connected(server), await world.connected(server)
    by_itself.disconnect()
    await server.sio.disconnect(thrown_out.sid)
    await settle()
    for client in (by_itself, thrown_out):
        client.cut()
    await pass_time(clock, 4 * LEASE)
    assert witness.calls == []
    assert world.state._deadlines._look_at == {}


async def test_each_namespace_of_a_client_expires_by_itself(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = expiring_server(world, witness)
    server.sio.on("connect", server._on_connect, namespace="/chat")
    client = world.client("/", "/chat")
    await world.connect(client, server)
    sids = {name: socket.sid for name, socket in client.sockets.items()}
    await leave(client)
    await pass_time(clock, WINDOW + LOOKS + 1)
    assert {session.namespace: session.sid for _, session in witness.calls} == sids


async def test_a_connected_client_costs_one_look_in_each_life_of_its_session(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = expiring_server(world, witness)
    client = await world.connected(server)
    await pass_time(clock, 4 * LIFE)
    assert client.is_connected
    assert witness.calls == []
    assert 3 <= server.store.performed["ExpireSession"] <= 4


@pytest.mark.parametrize("kind", [DueSessions, ExpireSession, BurySession])
async def test_the_store_is_away_when_a_session_is_due(
    world: World, clock: Clock, witness: Witness, kind: type[Command[Any]]
) -> None:
    server = expiring_server(world, witness)
    client = await world.connected(server)
    await pass_time(clock, SETTLES)
    sid = await leave(client)
    failing = server.store.fail(kind)
    await pass_time(clock, WINDOW + LEASE)
    assert witness.finished == ([sid] if kind is BurySession else [])
    failing.clear()
    await pass_time(clock, 2 * LEASE)
    assert witness.sids == [sid]
    assert world.state._deadlines._look_at == {}


async def test_clients_that_are_connected_do_not_expire_with_an_outage(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Their deadlines have passed when the store is back, but their servers write before anybody looks."""
    servers = [await awake(expiring_server(world, witness, str(n))) for n in range(2)]
    clients = [await world.connected(server) for server in servers]
    await pass_time(clock, SETTLES)
    failing = [server.store.fail(Command) for server in servers]
    await pass_time(clock, LIFE + 1)
    for each in failing:
        each.clear()
    await awake(expiring_server(world, witness, "started just now"))
    await pass_time(clock, 2 * LIFE)
    assert witness.calls == []
    assert all(client.is_connected for client in clients)


async def test_a_frozen_owner_learns_that_its_client_has_expired(
    world: World, clock: Clock, witness: Witness
) -> None:
    owner, other = [await awake(expiring_server(world, witness, name)) for name in ("owner", "other")]
    client = await world.connected(owner)
    await pass_time(clock, SETTLES)
    frozen = owner.store.hold(Command)
    await pass_time(clock, LIFE)
    for _ in range(round(LOOKS + 1)):
        if not witness.calls:
            await pass_time(clock, 1)
    assert witness.sids == [client.sid]
    frozen.release()
    await pass_time(clock, LOOKS + 1)
    assert not client.is_connected, "its transport was closed"
    await world.connect(client, other)
    assert other.manager.outcomes == {Reason.SESSION_EXPIRED.value: 1}


async def test_a_session_that_cannot_be_read_is_buried(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    server = expiring_server(world, witness)
    client = await world.connected(server)
    await leave(client)
    [claim] = world.state._claims.values()
    claim.value = b"poison"
    await pass_time(clock, WINDOW + LOOKS + 1)
    assert not witness.calls
    assert world.state._claims[Pid(client.pid)].value is None
    assert [record.message for record in caplog.records if getattr(record, "event", "") == "expiry.failed"]
    assert client.pid not in caplog.text


async def test_without_a_handler_nothing_is_noted_or_kept(world: World, clock: Clock) -> None:
    server = world.server(max_disconnection_duration=WINDOW, checkpoint_interval=LOOKS)
    await leave(await world.connected(server))
    await pass_time(clock, WINDOW + LEASE)
    [claim] = world.state._claims.values()
    assert claim.value_until == claim.deadline
    assert not {"NoteDeadline", "DueSessions"} & server.store.performed.keys()


async def test_a_note_that_fails_does_no_harm_to_the_session(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a store of somebody's own that does not know the commands of expiry."""
    server = expiring_server(world, witness)
    server.store.fail(NoteDeadline, StoreError("the store does not know the command"))
    client = await world.connected(server)
    await leave(client)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert server.store.performed["SaveSession"] > 1
    assert "a deadline is not noted" in caplog.text
