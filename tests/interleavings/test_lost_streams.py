"""The stream is deleted while servers run: every reader notices, and nobody is told that all is well."""

import pytest

from recovery.commands import Read
from recovery.reasons import Reason
from tests.interleavings.harness import Server, World, settle, until


async def _noticed(world: World, *servers: Server) -> None:
    """Until all servers have read what is in the stream now."""
    await until(lambda: all(server.runtime.epoch == world.state._stream.epoch for server in servers))
    await settle()


async def test_every_server_notices_and_says_so(world: World) -> None:
    world.expects_errors = True  # the gap is logged
    servers = [world.server(), world.server()]
    clients = [await world.connected(server) for server in servers]
    away = await world.connected(servers[0])
    await servers[0].sio.emit("n", 1)
    await settle()
    away.cut()
    await settle()
    world.state.delete_stream()
    await servers[0].sio.emit("n", 2)
    await _noticed(world, *servers)
    for client, server in zip(clients, servers, strict=True):
        assert not client.is_connected
        await world.connect(client, server)
        assert client.outcomes == ["fresh", "fresh"]
    await world.connect(away, servers[1])
    assert away.outcomes == ["fresh", "fresh"]
    counted: dict[str, int] = {}
    for server in servers:
        for reason, times in server.manager.outcomes.items():
            counted[reason] = counted.get(reason, 0) + times
    assert counted == {Reason.EPOCH_CHANGED.value: 3}
    for number, server in enumerate(servers):
        await server.sio.emit("m", number)
    await settle()
    for client in (*clients, away):
        assert client.got("n") == [1]
        assert client.got("m") == [0, 1]
        client.cut()
    await settle()
    await servers[0].sio.emit("m", 2)
    for client in clients:
        await world.connect(client, servers[1])
        assert client.outcomes == ["fresh", "fresh", "recovered"]
        assert client.got("m") == [0, 1, 2]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("how", ["deleted", "trimmed"])
async def test_packets_beyond_a_gap_reach_no_old_connection(world: World, how: str, turns: int) -> None:
    """Their offsets would make the client look as if it had all before them.

    A local packet that is on its way in this very moment has woken the transport's writer.
    """
    world.expects_errors = True
    one, two = world.server(), world.server(max_len=150)
    client = await world.connected(one)
    gate = one.store.hold(Read)
    await two.sio.emit("n", 0)
    await until(lambda: gate.waiting)
    sent = 300
    for number in range(1, sent):
        await two.sio.emit("n", number)
        if how == "deleted" and number == 200:
            world.state.delete_stream()
    await settle()
    await one.sio.emit("local", 0, ignore_queue=True)
    await settle(turns)
    gate.release()
    await settle()
    client.cut()
    await world.connect(client, one)
    await settle()
    assert client.got("n") == [0]
    assert client.outcomes == ["fresh", "fresh"]


async def test_a_stream_that_is_gone_while_nobody_emits(world: World) -> None:
    world.expects_errors = True
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    world.state.delete_stream()
    client.cut()
    await settle()
    other = world.server()
    newcomer = await world.connected(other)  # its reader makes the stream anew
    await _noticed(world, server, other)
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "fresh"]
    await server.sio.emit("n", 2)
    await settle()
    assert (client.got("n"), newcomer.got("n")) == ([1, 2], [2])
