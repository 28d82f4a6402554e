"""A failover loses the newest writes: it is noticed and said, and offsets go on above the lost ones."""

import asyncio

import pytest

from recovery.commands import Append, Read
from recovery.offsets import Offset
from recovery.reasons import Reason
from tests.interleavings.clock import stopped_clock
from tests.interleavings.harness import Server, World, settle, until


def _fail_over(world: World, kept: Offset) -> None:
    """All servers lose their connections, and find a store that knows less."""
    for server in world.servers:
        server.store.cut_off()
    world.state.lose_writes(kept)


async def _noticed(world: World, *servers: Server) -> None:
    await until(lambda: all(server.runtime.epoch == world.state._stream.epoch for server in servers))
    await settle()


@pytest.mark.parametrize("clock", ["goes on", "is behind"])
async def test_everybody_is_told(world: World, clock: str) -> None:
    world.expects_errors = True
    one, two = world.server(), world.server()
    client, other, away = [await world.connected(server) for server in (one, two, one)]
    await one.sio.emit("n", 1)
    await settle()
    kept = one.runtime.dispatcher.position
    away.cut()
    await settle()
    await one.sio.emit("n", 2)
    await settle()
    epoch = one.runtime.epoch
    lost = two.runtime.dispatcher.position
    _fail_over(world, kept)
    if clock == "is behind":
        world.state._stream.last = Offset(kept.ms, kept.seq)
    await until(lambda: one.runtime.epoch != epoch)
    await _noticed(world, one, two)
    assert world.state._stream.last > lost
    for one_client, server in ((client, two), (other, one), (away, one)):
        await world.connect(one_client, server)
        assert one_client.outcomes == ["fresh", "fresh"]
    reasons = [server.manager.outcomes for server in (one, two)]
    assert sum(each.get(Reason.EPOCH_CHANGED, 0) for each in reasons) == 3
    other.cut()  # it has received nothing since, and presents an offset that is gone
    await settle()
    await two.sio.emit("n", 3)
    await settle()
    await world.connect(other, two)
    assert other.outcomes == ["fresh", "fresh", "recovered"]
    assert [each.got("n") for each in (client, other, away)] == [[1, 2, 3], [1, 2, 3], [1, 3]]


async def test_a_client_is_told_once_by_a_server_that_has_not_noticed_yet(world: World) -> None:
    """One server has noticed, and closed its client, which comes to one whose reader lags."""
    world.expects_errors = True
    one, two = world.server(), world.server()
    client, bystander = [await world.connected(server) for server in (one, two)]
    await one.sio.emit("n", 1)
    await settle()
    kept = one.runtime.dispatcher.position
    await one.sio.emit("n", 2)
    await settle()
    gate = two.store.hold_replies(Read)
    _fail_over(world, kept)
    await until(lambda: one.runtime.epoch == world.state._stream.epoch != two.runtime.epoch)
    await until(lambda: not client.is_connected)
    world.dial(client, two)
    await settle()
    gate.release()
    await _noticed(world, one, two)
    await until(lambda: client.is_connected)
    assert (client.outcomes, client.reasons[-1]) == (["fresh", "fresh"], Reason.EPOCH_CHANGED)
    assert not bystander.is_connected, "it was told when the reader went on"
    await one.sio.emit("n", 3)
    await settle()
    assert client.got("n") == [1, 2, 3]


async def test_a_lost_packet_that_nobody_had_read(world: World) -> None:
    """Its emitter knew it was stored; no reader misses it."""
    world.expects_errors = True
    one, two = world.server(), world.server()
    client = await world.connected(two)
    await one.sio.emit("n", 1)
    await settle()
    kept = one.runtime.dispatcher.position
    gates = [server.store.hold_replies(Read) for server in (one, two)]
    await one.sio.emit("n", 2)
    await settle()
    epoch = one.runtime.epoch
    _fail_over(world, kept)
    for gate in gates:
        gate.release()
    await until(lambda: one.runtime.epoch != epoch)
    await _noticed(world, one, two)
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "fresh"]
    assert client.got("n") == [1]


async def test_an_emit_whose_reply_was_lost_is_stored_again(world: World) -> None:
    one = world.server()
    client = await world.connected(one)
    await one.sio.emit("n", 1)
    await settle()
    kept = one.runtime.dispatcher.position
    gate = one.store.hold(Append)
    emitting = asyncio.create_task(one.sio.emit("n", 2))
    await until(lambda: gate.waiting)
    _fail_over(world, kept)
    gate.release()
    await emitting
    await until(lambda: client.got("n") == [1, 2])
    assert client.outcomes == ["fresh"]


async def test_a_lost_end_of_a_session_is_not_undone(world: World) -> None:
    """The client comes back before any reader has noticed that the store failed over."""
    world.expects_errors = True
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await world.connected(two)  # whose reader runs, and so has a connection to lose before it looks
    await one.sio.emit("n", 1)
    await settle()
    snapshot = world.state.snapshot()
    await two.sio.disconnect(client.sid)
    await until(lambda: client.ended)
    gates = [server.store.hold_replies(Read) for server in (one, two)]
    await settle()
    world.state.restore(snapshot)
    world.dial(client, two)
    await until(lambda: len(client.outcomes) == 2)
    assert client.outcomes == ["fresh", "fresh"]
    assert two.manager.outcomes == {Reason.EPOCH_CHANGED.value: 1}
    for server in (one, two):
        server.store.cut_off()
    for gate in gates:
        gate.release()
    await _noticed(world, one, two)
    await world.connect(client, one)
    assert "recovered" not in client.outcomes


async def test_a_proxy_that_leads_elsewhere_without_a_word(world: World) -> None:
    """No connection breaks, and the other store's clock is behind: the reader would wait for ever."""
    world.expects_errors = True
    with stopped_clock() as clock:
        server = world.server()
        client = await world.connected(server)
        snapshot = world.state.snapshot()
        await server.sio.emit("n", 1)
        await settle()
        epoch = server.runtime.epoch
        world.state.restore(snapshot)
        clock.advance(-600.0)
        await settle()
        clock.advance(615.0)
        await until(lambda: server.runtime.epoch != epoch)
        await settle()
        assert not client.is_connected


async def test_a_server_that_has_not_heard_of_the_new_epoch_yet_recovers_its_sessions(world: World) -> None:
    world.expects_errors = True
    late, two = world.server(), world.server()
    client = await world.connected(two)
    await late.runtime.start()
    await settle()
    kept = two.runtime.dispatcher.position
    await two.sio.emit("n", 1)
    await settle()
    gate = late.store.hold_replies(Read)
    await settle()
    world.state.lose_writes(kept)
    await two.sio.emit("n", 2)  # finds that the stream is short, and gives it a new epoch
    await _noticed(world, two)
    await world.connect(client, two)
    assert late.runtime.epoch != two.runtime.epoch
    client.cut()
    await two.sio.emit("n", 3)
    world.dial(client, late)
    await settle()
    assert client.outcomes == ["fresh", "fresh"], "it waits for its reader"
    gate.release()
    await until(lambda: client.is_connected)
    await settle()
    assert client.outcomes == ["fresh", "fresh", "recovered"]
    assert client.got("n")[-1] == 3
