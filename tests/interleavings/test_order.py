"""One order: own emits and the changes that follow them, while the reader lags, on every server."""

import asyncio
import contextlib

import pytest

from recovery.commands import Append, Read, ReadBack
from recovery.errors import SaveError
from tests.interleavings.harness import World, settle, until


async def test_an_emit_and_what_follows_it_in_one_task(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    lag = server.store.hold_replies(Read)
    await server.sio.emit("n", 0, room="room")
    await server.sio.enter_room(client.sid, "room")
    await server.sio.emit("n", 1, room="room")
    await server.sio.leave_room(client.sid, "room")
    await server.sio.emit("n", 2, room="room")
    await server.sio.enter_room(client.sid, "room")
    await server.sio.emit("n", 3, room="room")
    closing = asyncio.create_task(server.sio.close_room("room"))
    await settle()
    lag.release()
    await closing
    await server.sio.emit("n", 4, room="room")
    await settle()
    assert client.got("n") == [1, 3]
    assert "room" not in server.sio.rooms(client.sid)


async def test_two_servers_emit_at_once(world: World) -> None:
    one, two = world.server(), world.server()
    clients = [await world.connected(one), await world.connected(two)]
    late = two.store.hold_replies(Append)
    work = [
        asyncio.create_task(server.sio.emit("n", number)) for number in range(20) for server in (one, two)
    ]
    await settle()
    late.release()
    await asyncio.gather(*work)
    await settle()
    assert clients[0].got("n") == clients[1].got("n")
    assert sorted(clients[0].got("n")) == sorted([*range(20), *range(20)])
    assert clients[0].offsets == clients[1].offsets


async def test_a_closed_room_is_closed_for_who_is_away(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await one.sio.enter_room(client.sid, "room")
    await one.sio.emit("n", 1, room="room")
    client.cut()
    await one.sio.emit("n", 2, room="room")
    await two.runtime.start()
    await two.sio.close_room("room")
    await two.sio.emit("n", 3, room="room")
    await world.connect(client, two)
    await settle()
    assert client.got("n")[-1:] == [2]
    assert 3 not in client.got("n")
    assert "room" not in two.sio.rooms(client.sid)


@pytest.mark.parametrize("server_of_emit", [0, 1])
async def test_a_room_entered_elsewhere_while_held(world: World, server_of_emit: int) -> None:
    servers = world.server(), world.server()
    client = await world.connected(servers[0])
    client.cut()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def connect(sid: str, environ: object, auth: object = None) -> None:
        entered.set()
        await go_on.wait()

    servers[0].sio.on("connect", connect)
    world.dial(client, servers[0])
    await entered.wait()
    await servers[1].sio.emit("n", 0, room="room")
    await servers[1].sio.enter_room(client.sid, "room")
    await servers[server_of_emit].sio.emit("n", 1, room="room")
    await settle()
    go_on.set()
    await until(lambda: client.is_connected)
    await settle()
    assert client.got("n") == [1]
    assert "room" in servers[0].sio.rooms(client.sid)


async def test_a_room_entered_elsewhere_while_taking_over(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await two.runtime.start()
    held = two.store.hold_replies(Append)
    world.dial(client, two)
    await until(lambda: held.waiting)
    with contextlib.suppress(SaveError):  # "not durable" may be said here
        await one.sio.enter_room(client.sid, "before")
    await settle()
    held.release()
    await until(lambda: client.is_connected)
    await one.sio.enter_room(client.sid, "after")
    await settle()
    await one.sio.emit("n", 1, room="after")
    await settle()
    assert client.got("n") == [1]


async def test_a_fresh_client_sees_nothing_older_than_itself(world: World) -> None:
    server = world.server()
    await world.connected(server)
    lag = server.store.hold_replies(Read)
    await settle()
    await server.sio.emit("n", 1)
    client = await world.connected(server)
    await server.sio.emit("n", 2)
    lag.release()
    await settle()
    assert client.got("n") == [2]


async def test_an_unrecovered_client_presents_an_offset_of_its_earlier_session(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.disconnect()
    client.cut()
    await settle()
    await server.sio.emit("n", 2)
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"
    assert client.offset  # JavaScript keeps it
    client.cut()
    await server.sio.emit("n", 3)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert client.got("n") == [1, 3]


async def test_volatile_and_local_packets_are_not_replayed(world: World) -> None:
    server = world.server(volatile_events=("cursor",))
    client = await world.connected(server)
    await server.manager.emit("v", "a string", volatile=True)
    await server.sio.emit("cursor", "a string")
    await server.sio.emit("local", "a string", ignore_queue=True)
    await settle()
    assert client.got("v") + client.got("cursor") + client.got("local") == ["a string"] * 3
    client.cut()
    await server.sio.emit("n", 1)
    await server.manager.emit("v", "missed", volatile=True)
    await server.sio.emit("cursor", "missed")
    await server.sio.emit("local", "missed", ignore_queue=True)
    await server.sio.emit("n", 2)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert client.got("n") == [1, 2]
    assert "missed" not in client.got("v") + client.got("cursor") + client.got("local")


async def test_a_local_packet_ahead_of_the_stream_does_not_hide_what_is_on_its_way(world: World) -> None:
    """It carries the reader's position; were it the stream's end, the client would claim to have it all."""
    server = world.server()
    client = await world.connected(server)
    lag = server.store.hold_replies(Read)
    await server.sio.emit("n", 1)
    await server.sio.emit("local", "x", ignore_queue=True)
    await settle()
    assert client.got("local") == ["x"]
    client.cut()
    await settle()
    lag.release()
    await world.connect(client, server)
    assert client.got("n") == [1]


async def test_older_entries_are_read_once_for_everybody(world: World) -> None:
    one = world.server()
    clients = [await world.connected(one) for _ in range(5)]
    await one.sio.emit("n", 0)
    await settle()
    for client in clients:
        client.cut()
    for number in range(1, 30):
        await one.sio.emit("n", number)
    cold = world.server(read_count=10)
    await cold.runtime.start()
    held = cold.store.hold(ReadBack, lambda read: read.count > 1)
    for client in clients:
        world.dial(client, cold)
    await until(lambda: held.waiting)
    await one.sio.emit("n", 30)
    held.release()
    await until(lambda: all(client.is_connected for client in clients))
    await settle()
    assert [client.got("n") for client in clients] == [list(range(31))] * 5
    looks = len(clients) + 1  # at the last entry known: with each claim, and before the first read
    assert cold.store.performed["ReadBack"] <= 5 + looks


async def test_a_log_that_cannot_hold_what_was_missed_refuses(world: World) -> None:
    server = world.server(log_max_entries=5)
    client = await world.connected(server)
    client.cut()
    await settle()
    for number in range(20):
        await server.sio.emit("n", number)
    await settle()
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"
    assert client.got("n") == []
    assert server.manager.recovery(client.sid).reason is not None
    await server.sio.emit("n", 20)
    await settle()
    assert client.got("n") == [20]
