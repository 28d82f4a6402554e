"""Proven positions: what a PONG proves, and what it does not."""

import asyncio

from recovery.commands import Read
from recovery.offsets import parse_offset
from tests.interleavings.harness import World, settle


def _trim_to_newest(world: World) -> None:
    """Retention has passed: the newest entry alone is left."""
    del world.state._stream.entries[:-1]


async def test_a_quiet_client_recovers_though_its_offset_is_gone(world: World) -> None:
    one, cold = world.server(), world.server()
    client = await world.connected(one)
    await one.sio.emit("n", 1)
    await settle()
    for number in range(10):
        await one.sio.emit("others", number, room="elsewhere")
    await settle()
    await one.ping(client)
    await settle()
    await one.checkpoint()
    _trim_to_newest(world)
    client.transport.vanish()
    await one.sio.emit("n", 2)
    await world.connect(client, cold)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1, 2]


async def test_a_client_that_never_received_a_packet_recovers(world: World) -> None:
    one, cold = world.server(), world.server()
    client = await world.connected(one)
    await one.sio.emit("others", 1, room="elsewhere")
    await settle()
    await one.ping(client)
    await settle()
    await one.checkpoint()
    _trim_to_newest(world)
    client.transport.vanish()
    await one.sio.emit("n", 1)
    await world.connect(client, cold)
    assert client.offset
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]


async def test_packets_after_the_ping_are_not_proven_by_its_pong(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.answers_pings = False
    await server.ping(client)
    await settle()
    client.deaf = True
    await server.sio.emit("n", 1)
    await settle()
    client.pong()
    await settle()
    await server.checkpoint()
    client.cut()
    client.deaf = False
    await world.connect(client, server)
    assert client.got("n") == [1]


async def test_packets_that_wait_behind_a_lagging_reader_are_not_proven(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    lag = server.store.hold_replies(Read)
    await server.sio.emit("n", 1)
    await settle()
    await server.ping(client)
    await settle()
    await server.checkpoint()
    client.cut()
    await settle()
    lag.release()
    await world.connect(client, server)
    assert client.got("n") == [1]


async def test_a_ping_before_the_replay_proves_nothing_of_it(world: World) -> None:
    """The PING is queued while the client is held; what it missed is queued after that."""
    server = world.server()
    client = await world.connected(server)
    client.cut()
    await server.sio.emit("n", 1)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def connect(sid: str, environ: object, auth: object = None) -> None:
        entered.set()
        await go_on.wait()

    server.sio.on("connect", connect)
    world.dial(client, server)
    await entered.wait()
    await server.ping(client)
    await settle()
    client.transport.vanish()
    go_on.set()
    await settle()
    await server.checkpoint()
    client.cut()
    await world.connect(client, server)
    assert client.got("n") == [1]


async def test_an_offset_of_the_future_is_refused_and_nothing_is_lost(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await settle()
    offset = client.sockets["/"].offset
    client.sockets["/"].offset = _a_day_later(offset)
    pid = client.pid
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"
    client.cut()
    await settle()
    client.sockets["/"].pid, client.sockets["/"].offset = pid, offset
    await server.sio.emit("n", 2)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert client.got("n") == [1, 2]


def _a_day_later(text: str) -> str:
    offset = parse_offset(text)
    return str(offset._replace(ms=offset.ms + 86_400_000))
