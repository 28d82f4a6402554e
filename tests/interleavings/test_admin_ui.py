"""The hooks of the Admin UI (`sio.instrument()`): they see what they are to see, and nobody else pays."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest_asyncio

from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until

ADMIN = "/admin"
MARK = "the mark"


@pytest_asyncio.fixture
async def server(world: World) -> AsyncIterator[Server]:
    """A server with the Admin UI's hooks; these change classes of python-engineio, which has to be undone."""
    server = world.server()
    instrumented = server.sio.instrument(auth=False, mode="development", server_stats_interval=1)
    yield server
    await instrumented.shutdown()
    instrumented.uninstrument()


async def _admin(world: World, server: Server) -> Client:
    admin = world.client(ADMIN)
    await world.connect(admin, server)
    return admin


def _events(client: Client, name: str) -> list[list[Any]]:
    return [event[1:] for event in client.sockets[ADMIN].events if event[0] == name]


def _was_seen_to_go(admin: Client, sid: str, times: int) -> bool:
    return [event[1] for event in _events(admin, "socket_disconnected")].count(sid) == times


async def test_an_admin_sees_what_happens(world: World, server: Server) -> None:
    admin = await _admin(world, server)
    await until(lambda: _events(admin, "all_sockets"), "the admin gets the list of sockets")
    client = await world.connected(server)
    sid = client.sid
    await server.sio.enter_room(sid, "hall")
    await server.sio.emit("news", MARK, room="hall")
    await until(
        lambda: ["/", "hall", sid] in [event[0:3] for event in _events(admin, "room_joined")],
        "the admin hears of the room",
    )
    await until(lambda: _events(admin, "server_stats"), "the admin gets the statistics")
    assert sid in [socket["id"] for socket, _ in _events(admin, "socket_connected")]
    assert ["/", sid, ["news", MARK]] in [event[0:3] for event in _events(admin, "event_sent")]


async def test_what_admins_are_told_is_not_in_the_stream(world: World, server: Server) -> None:
    await _admin(world, server)
    clients = [await world.connected(server) for _ in range(5)]
    before = server.store.performed["Append"]
    await server.sio.emit("news", MARK)
    await until(lambda: all(client.got("news") for client in clients), "all have the news")
    await settle()
    assert server.store.performed["Append"] == before + 1


async def test_a_client_recovers_under_the_eyes_of_an_admin(world: World, server: Server) -> None:
    admin = await _admin(world, server)
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "hall")
    for number in (1, 2, 3):
        client.cut()
        await until(partial(_was_seen_to_go, admin, client.sid, number), "the admin has seen it go")
        await server.sio.emit("news", MARK, room="hall")
        await world.connect(client, server)
        assert client.outcomes[-1] == "recovered"
    await settle()
    assert client.got("news") == [MARK] * 3
    assert len(_events(admin, "socket_connected")) >= 4


async def test_another_namespace_for_admins_stays_local_too(world: World) -> None:
    server = world.server()
    instrumented = server.sio.instrument(
        auth=False, mode="production", namespace="/watch", server_stats_interval=1
    )
    try:
        watcher = world.client("/watch")
        await world.connect(watcher, server)
        before = server.store.performed["Append"]
        await server.sio.emit("note", MARK, namespace="/watch")
        await settle()
        assert server.store.performed["Append"] == before
        assert ["note", MARK] in watcher.sockets["/watch"].events
    finally:
        await instrumented.shutdown()
        instrumented.uninstrument()
