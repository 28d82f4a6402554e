"""What stock python-socketio did otherwise in some release from 5.13 on, and what holds here on all."""

from typing import Any

import pytest

from tests.interleavings.harness import Server, World, settle

always = pytest.mark.parametrize("always_connect", [False, True], ids=["connect_after", "always_connect"])


def _server(world: World, always_connect: bool) -> Server:
    return world.server(server_options={"always_connect": always_connect})


@always
async def test_a_client_counts_as_connected_from_its_connect_packet_on(
    world: World, always_connect: bool
) -> None:
    server = _server(world, always_connect)
    manager: Any = server.manager
    seen: list[tuple[bool, bool]] = []

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        await settle()
        participants = [participant for participant, _ in manager.get_participants("/", None)]
        assert participants == [sid]
        seen.append((manager.is_connected(sid, "/"), manager.is_pre_connected(sid, "/")))

    server.sio.on("connect", connect)
    client = await world.connected(server)
    assert seen == [(always_connect, not always_connect)]
    assert manager.is_connected(client.sid, "/")
    assert not manager.is_pre_connected(client.sid, "/")
    client.cut()
    await settle()
    await world.connect(client, server)
    assert seen[1:] == [(always_connect, not always_connect)], "recovered"
    client.cut()
    await settle()
    assert server.residue() == {}


@always
@pytest.mark.parametrize("recovered", [False, True], ids=["fresh", "recovered"])
async def test_a_client_that_is_disconnected_within_its_connect_handler_is_not_connected_after_it(
    world: World, always_connect: bool, recovered: bool
) -> None:
    server, ended = _server(world, always_connect), False
    client = world.client()
    if recovered:
        await world.connect(client, server)
        client.cut()
        await settle()
    ended_before = len(server.disconnected)

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        nonlocal ended
        await server.sio.disconnect(sid)
        ended = True

    server.sio.on("connect", connect)
    world.dial(client, server)
    await settle()
    assert ended
    assert client.ended, "it was told"
    assert not client.is_connected
    assert len(server.disconnected) - ended_before == 1, "its disconnect handler ran once, after the other"
    assert not list(server.manager.get_participants("/", None))
    client.cut()
    await settle()
    assert server.residue() == {}


async def test_nobody_gets_into_the_room_of_another_client(world: World) -> None:
    server = world.server()
    client, other = await world.connected(server), await world.connected(server)
    with pytest.raises(ValueError, match="sid room"):
        await server.sio.enter_room(other.sid, client.sid)
    with pytest.raises(ValueError, match="sid room"):
        await server.sio.close_room(client.sid)
    await server.sio.enter_room(client.sid, client.sid)
    await server.sio.emit("n", 1, to=client.sid)
    await settle()
    assert (client.got("n"), other.got("n")) == ([1], [])
    other.cut()
    await settle()
    await world.connect(other, server)
    await server.sio.emit("n", 2, to=client.sid)
    await settle()
    assert (client.got("n"), other.got("n")) == ([1, 2], [])


async def test_a_binary_packet_of_which_a_part_is_missing_goes_with_its_transport(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.transport.send('451-["n",{"_placeholder":true,"num":0}]')
    await settle()
    assert server.sio._binary_packet
    client.cut()
    await settle()
    assert not server.sio._binary_packet
