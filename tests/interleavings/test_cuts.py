"""The transport dies at every step of admission, and the client comes back: nothing lost, nothing left."""

from typing import Any

import pytest

from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until

MOST_STEPS = 8  # store commands of an admission that takes over, and some


def _cut_at(server: Server, client: Client, step: int, how: str) -> None:
    """Cut the client just before this server's k-th store command from now on."""
    first = server.store._number

    def cut(number: int, _command: Any) -> None:
        if number - first == step and client.transport is not None:
            if how == "noticed" and client.transport.eio_sid in server.sio.eio.sockets:
                socket = server.socket_of(client)
                client.keep(socket.close(wait=False, abort=True, reason="transport close"))
            client.cut()

    server.store.before_each = cut


@pytest.mark.parametrize("how", ["unnoticed", "noticed"])
@pytest.mark.parametrize("which", ["same server", "other server"])
@pytest.mark.parametrize("step", range(1, MOST_STEPS + 1))
async def test_cut_before_the_kth_store_command(world: World, step: int, which: str, how: str) -> None:
    old = world.server(takeover_timeout=0.01)
    new = old if which == "same server" else world.server(takeover_timeout=0.01)
    client = await world.connected(old)
    await new.runtime.start()
    await old.sio.enter_room(client.sid, "room")
    await old.sio.emit("n", 1, room="room")
    await settle()
    client.transport.vanish()
    await old.sio.emit("n", 2, room="room")
    _cut_at(new, client, step, how)
    world.dial(client, new)
    await settle()
    await old.sio.emit("n", 3, room="room")
    await settle()
    new.store.before_each = None
    client.cut()
    await world.connect(client, new)
    await old.sio.emit("n", 4, room="room")
    await settle()
    assert client.got("n") == [1, 2, 3, 4]
    assert set(client.outcomes[1:]) == {"recovered"}
    client.cut()
    await until(lambda: set(new.residue()) <= {"environ", "sockets"}, "nothing left")
    # What vanished without a word is found by its ping timeout; nothing else may be left.
    assert len(new.sio.environ) <= (1 if old is new else 0)


@pytest.mark.parametrize("which", ["same server", "two servers"])
async def test_cut_ten_times_at_growing_steps(world: World, which: str) -> None:
    servers = [world.server(takeover_timeout=0.01)]
    servers.append(servers[0] if which == "same server" else world.server(takeover_timeout=0.01))
    client = await world.connected(servers[0])
    for turn in range(10):
        server = servers[turn % 2]
        await servers[0].sio.emit("n", turn)
        _cut_at(server, client, turn // 2, "unnoticed")
        world.dial(client, server)
        await settle()
        server.store.before_each = None
        client.cut()
    await world.connect(client, servers[1])
    await settle()
    assert client.got("n") == list(range(10))
    assert set(client.outcomes[1:]) == {"recovered"}
    client.cut()
    await until(
        lambda: all(set(server.residue()) <= {"environ", "sockets"} for server in servers), "nothing left"
    )
    assert sum(len(server.sio.environ) for server in set(servers)) <= 1  # the first one was never closed


async def test_ten_reconnections_without_traffic(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    for turn in range(10):
        client.cut()
        await world.connect(client, (one, two)[turn % 2])
    await one.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [1]
    assert client.outcomes == ["fresh"] + ["recovered"] * 10


@pytest.mark.parametrize("step", range(1, 4))
@pytest.mark.parametrize("how", ["unnoticed", "noticed"])
async def test_a_new_client_is_cut_before_the_kth_store_command(world: World, step: int, how: str) -> None:
    server = world.server()
    client = world.client()
    _cut_at(server, client, step, how)
    world.dial(client, server)
    await settle()
    server.store.before_each = None
    client.cut()
    await until(lambda: server.residue() == {}, "nothing left")
    await world.connect(client, server)


async def test_a_burst_of_clients_at_once(world: World) -> None:
    one, two = world.server(), world.server()
    clients = [await world.connected(one) for _ in range(30)]
    await one.sio.emit("n", 1)
    await settle()
    for client in clients:
        client.cut()
    await one.sio.emit("n", 2)
    for client in clients:
        world.dial(client, two)
    await two.sio.emit("n", 3)
    await until(lambda: all(client.is_connected for client in clients))
    await settle()
    assert [client.got("n") for client in clients] == [[1, 2, 3]] * 30
