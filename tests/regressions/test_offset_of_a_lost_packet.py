"""A client that held a packet which Redis had lost was recovered, as if nothing had happened to the stream.

After a failover that lost writes, the servers that knew the lost entries notice when they read again. A
server that did not know them let a client in whose last packet was among them, as soon as another emit had
moved the stream's end above it. What else was lost with it (a room that was left, say) was back then.
"""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from recovery.commands import Read
from recovery.reasons import Reason
from tests.interleavings.client import Client
from tests.interleavings.harness import World, open_world, settle


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def _with_lost_packet(world: World) -> tuple[Client, Callable[[], None]]:
    """A client that was away when its last packet was lost; its own server does not notice."""
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    kept = server.runtime.dispatcher.position
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [0, 1]
    client.cut()
    await settle()
    gate = server.store.hold(Read)
    world.state.lose_writes(kept)
    return client, gate.release


@pytest.mark.parametrize("later", [0, 1, 5])
async def test_the_offset_of_a_lost_packet_is_unknown(world: World, later: int) -> None:
    world.expects_errors = True  # the server that knew the packet says so at the end
    client, release = await _with_lost_packet(world)
    other = world.server()
    for number in range(later):
        await other.sio.emit("n", f"later {number}")
    await world.connect(client, other)
    assert client.outcomes == ["fresh", "fresh"]
    assert dict(other.manager.outcomes) == {Reason.OFFSET_UNKNOWN.value: 1}
    release()
    await settle()


async def test_the_offset_of_a_packet_that_the_log_has_forgotten_is_known(world: World) -> None:
    one = world.server()
    client = await world.connected(one)
    for number in range(20):
        await one.sio.emit("n", number)
    await settle()
    client.cut()
    await settle()
    for server in (world.server(), world.server(log_max_entries=5)):
        await server.sio.emit("n", "later")
        await world.connect(client, server)
        assert client.outcomes[-1] == "recovered"
        client.cut()
        await settle()
