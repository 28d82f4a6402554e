"""What is done when a transport closes concerns its own connections, and none that came after them."""

import asyncio
from typing import Any

import pytest

from tests.interleavings.harness import World, settle, until


@pytest.mark.parametrize("slow", ["/", "/b"])
async def test_one_namespace_is_back_while_the_other_is_still_being_seen_out(world: World, slow: str) -> None:
    """The sid of the one that is back is the same: cleaning up after its old connection must spare it."""
    server = world.server()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def disconnect(_sid: str, _reason: Any) -> None:
        entered.set()
        await leave.wait()

    server.sio.on("connect", server._on_connect, namespace="/b")
    server.sio.on("disconnect", disconnect, namespace=slow)
    client = world.client("/", "/b")
    await world.connect(client, server)
    client.cut()
    await until(entered.is_set)
    world.dial(client, server)
    await settle()
    leave.set()
    await until(lambda: client.is_connected)
    await settle()
    for name, socket in client.sockets.items():
        assert server.manager.is_connected(socket.sid, name)
        await server.sio.enter_room(socket.sid, "room", namespace=name)
        await server.sio.emit("n", name, room="room", namespace=name)
    await settle()
    assert {name: socket.got("n") for name, socket in client.sockets.items()} == {"/": ["/"], "/b": ["/b"]}
    assert [socket.outcomes for socket in client.sockets.values()] == [["fresh", "recovered"]] * 2
    client.cut()
    await settle()
    assert server.residue() == {}
