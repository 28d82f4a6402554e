"""The handler ``session_expired`` that is slow, fails, or dies with its server."""

import asyncio

import pytest

from recovery.commands import Command
from recovery.flows.expiring import MOST_ATTEMPTS
from recovery.records import ExpiredSession
from tests.interleavings.clock import Clock
from tests.interleavings.expiry import (
    LEASE,
    LOOKS,
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


async def test_a_function_is_as_good_as_a_coroutine_function(world: World, clock: Clock) -> None:
    calls: list[ExpiredSession] = []
    server = world.server(
        session_expired=calls.append,
        max_disconnection_duration=WINDOW,
        checkpoint_interval=LOOKS,
        publish_timeout=1.0,
    )
    sid = await leave(await world.connected(server))
    await pass_time(clock, WINDOW + LOOKS + 1)
    assert [session.sid for session in calls] == [sid]


async def test_a_server_that_dies_within_the_handler_is_replaced(
    world: World, clock: Clock, witness: Witness
) -> None:
    one = await awake(expiring_server(world, witness, "one"))
    witness.pause = asyncio.Event()
    client = await world.connected(one)
    await pass_time(clock, SETTLES)
    sid = await leave(client)
    await pass_time(clock, WINDOW + LOOKS)
    assert [name for name, _ in witness.calls] == ["one"]
    die(one)
    two = await awake(expiring_server(world, witness, "two"))
    witness.pause = None
    await pass_time(clock, LEASE - LOOKS - 1)
    assert len(witness.calls) == 1
    await pass_time(clock, LEASE)
    assert [(name, session.sid) for name, session in witness.calls] == [("one", sid), ("two", sid)]
    assert two.store.performed["BurySession"] == 1
    await pass_time(clock, 2 * LEASE)
    assert len(witness.calls) == 2


async def test_a_server_that_was_frozen_within_the_handler_buries_nothing(
    world: World, clock: Clock, witness: Witness
) -> None:
    """Another one has the session by then, and its handler may still be running."""
    one = await awake(expiring_server(world, witness, "one"))
    first, second = asyncio.Event(), asyncio.Event()
    witness.pause = first
    sid = await leave(await world.connected(one))
    await pass_time(clock, WINDOW + LOOKS + 1)
    frozen = one.store.hold(Command)
    witness.pause = second
    await awake(expiring_server(world, witness, "two"))
    await pass_time(clock, 2 * LEASE)
    assert [(name, session.sid) for name, session in witness.calls] == [("one", sid), ("two", sid)]
    frozen.release()
    first.set()
    await settle()
    [claim] = world.state._claims.values()
    assert witness.finished == [sid]
    assert claim.value is not None, "the second handler may fail yet"
    second.set()
    await pass_time(clock, 2 * LEASE)
    assert world.state._claims[claim.saved.pid].value is None


async def test_a_slow_handler_is_not_run_twice(world: World, clock: Clock, witness: Witness) -> None:
    one = await awake(expiring_server(world, witness, "one"))
    await awake(expiring_server(world, witness, "two"))
    witness.pause = asyncio.Event()
    sid = await leave(await world.connected(one))
    await pass_time(clock, WINDOW + 5 * LEASE)
    assert witness.sids == [sid]
    witness.pause.set()
    await pass_time(clock, 2 * LEASE)
    assert witness.sids == witness.finished == [sid]


async def test_a_handler_that_raises_is_run_again(world: World, clock: Clock, witness: Witness) -> None:
    world.expects_errors = True
    server = expiring_server(world, witness)
    witness.failures = 1
    sid = await leave(await world.connected(server))
    await pass_time(clock, WINDOW + 2 * LEASE)
    assert witness.sids == [sid, sid]
    assert witness.finished == [sid]


async def test_a_handler_that_always_raises_is_given_up(
    world: World, clock: Clock, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    world.expects_errors = True
    server = expiring_server(world, witness)
    witness.failures = 100
    sid = await leave(await world.connected(server))
    await pass_time(clock, WINDOW + 6 * LEASE)
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
        server = await awake(expiring_server(world, witness, str(n)))
        sid = sid or await leave(await world.connected(server))
        await pass_time(clock, SETTLES + WINDOW + LEASE + LOOKS)
        die(server)
    assert witness.sids == [sid] * MOST_ATTEMPTS


async def test_a_crowd_is_seen_off_a_few_at_a_time(world: World, clock: Clock, witness: Witness) -> None:
    server = await awake(expiring_server(world, witness))
    clients = [await world.connected(server) for _ in range(100)]
    await pass_time(clock, SETTLES)
    witness.pause = asyncio.Event()
    sids = [await leave(client) for client in clients]
    await pass_time(clock, WINDOW + LOOKS)
    assert len(witness.calls) == 16
    witness.pause.set()
    await pass_time(clock, LOOKS + 1)
    assert sorted(witness.sids) == sorted(sids)


async def test_a_server_that_closes_lets_handlers_finish(
    world: World, clock: Clock, witness: Witness
) -> None:
    server = expiring_server(world, witness)
    witness.pause = asyncio.Event()
    sid = await leave(await world.connected(server))
    await pass_time(clock, WINDOW + LOOKS + 1)
    closing = asyncio.create_task(server.manager.close())
    await settle()
    assert not closing.done()
    witness.pause.set()
    await settle()
    assert closing.done(), "it waits for nothing else"
    assert witness.finished == [sid]
    assert server.store.performed["BurySession"] == 1


async def test_a_server_that_closes_within_the_handler_leaves_it_to_another(
    world: World, clock: Clock, witness: Witness
) -> None:
    one = expiring_server(world, witness, "one")
    witness.pause = asyncio.Event()
    sid = await leave(await world.connected(one))
    await pass_time(clock, WINDOW + LOOKS + 1)
    closing = asyncio.create_task(one.manager.close())
    await settle()
    clock.advance(2)
    await closing
    witness.pause = None
    await awake(expiring_server(world, witness, "two"))
    await pass_time(clock, 2 * LEASE)
    assert witness.finished == [sid]
    assert [name for name, _ in witness.calls] == ["one", "two"]
