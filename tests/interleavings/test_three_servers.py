"""Three servers and two presenters of one pid; the first holder reads late."""

import pytest

from recovery.commands import Read
from recovery.core.connection import Phase
from tests.interleavings.harness import Server, World, settle, until


def _live(*servers: Server) -> int:
    return sum(
        connection.phase is Phase.LIVE
        for server in servers
        for connection in server.runtime.dispatcher.connections()
    )


@pytest.mark.parametrize("order", ["holder last", "holder first", "second late"])
async def test_two_presenters_and_a_takeover_that_arrives_late(world: World, order: str) -> None:
    one = world.server(takeover_timeout=0.02)
    two, three = world.server(takeover_timeout=0.02), world.server(takeover_timeout=0.02)
    client = await world.connected(one)
    await one.sio.emit("n", 1)
    await settle()
    twin = world.client()
    twin.sockets["/"].pid, twin.sockets["/"].offset = client.pid, client.offset
    twin.sockets["/"].events = list(client.sockets["/"].events)
    lagging = one.store.hold(Read)
    second = two.store.hold_replies(Read) if order == "second late" else None
    world.dial(twin, two)
    world.dial(client, three)
    await three.sio.emit("n", 2)
    if order == "holder first":
        lagging.release()
    if second is not None:
        await settle(200)
        second.release()
    await until(lambda: client.is_connected or twin.is_connected, "one of them gets it")
    await three.sio.emit("n", 3)
    lagging.release()
    await settle(300)
    await until(lambda: _live(one, two, three) <= 2)
    winners = [each for each in (client, twin) if each.is_connected and each.outcomes[-1] == "recovered"]
    assert len(winners) <= 1
    for winner in winners:
        assert winner.got("n") == [1, 2, 3]
    sids = [
        connection.sid
        for server in (one, two, three)
        for connection in server.runtime.dispatcher.connections()
    ]
    assert len(sids) == len(set(sids)), "no session is held twice"
    for each in (client, twin):
        each.cut()
    await settle(200)
    assert [server.residue() for server in (one, two, three)] == [{}, {}, {}]


async def test_a_session_moves_on_before_its_first_holder_hears_of_it(world: World) -> None:
    one, two, three = (world.server(takeover_timeout=0.02) for _ in range(3))
    client = await world.connected(one)
    await one.sio.emit("n", 1)
    await settle()
    lagging = one.store.hold(Read)
    world.dial(client, two)
    await until(lambda: client.is_connected)
    await two.sio.emit("n", 2)
    world.dial(client, three)
    await until(lambda: client.is_connected)
    await three.sio.emit("n", 3)
    world.dial(client, one)  # back where it began, and whose reader has heard of nothing yet
    await settle()
    await three.sio.emit("n", 4)
    lagging.release()
    await until(lambda: client.is_connected)
    await one.sio.emit("n", 5)
    await settle(200)
    assert client.got("n") == [1, 2, 3, 4, 5]
    assert client.outcomes == ["fresh"] + ["recovered"] * 3
    assert _live(one, two, three) == 1
    client.cut()
    await settle()
    assert [server.residue() for server in (one, two, three)] == [{}, {}, {}]
