"""Rooms and user sessions: a change made at any moment is saved, wherever the client is by then."""

import asyncio

import pytest

from recovery.commands import Read, SaveSession
from recovery.errors import EncodingError, RecoveryError, SaveError
from tests.interleavings.client import Client
from tests.interleavings.harness import Gate, Server, World, settle, until


async def _held_at_first_save(world: World, server: Server) -> tuple[Client, Gate]:
    """A new client whose session is being saved for the first time: CONNECT has not gone out."""
    await server.runtime.start()
    gate = server.store.hold(SaveSession)
    client = world.client()
    world.dial(client, server)
    await until(lambda: gate.waiting)
    return client, gate


def _only_sid(server: Server) -> str:
    (connection,) = server.runtime.dispatcher.connections()
    return connection.sid


async def _move_silently(world: World, client: Client, old: Server, new: Server) -> None:
    """The client proves all it has, and moves; its old server has not noticed yet."""
    await old.ping(client)
    await settle()
    await old.checkpoint()
    client.transport.vanish()
    await world.connect(client, new)
    assert client.outcomes == ["fresh", "recovered"]


async def test_a_room_entered_elsewhere_while_the_first_save_is_under_way(world: World) -> None:
    one, two = world.server(), world.server()
    client, gate = await _held_at_first_save(world, one)
    await two.sio.enter_room(_only_sid(one), "room")
    await settle()
    gate.release()
    await until(lambda: client.is_connected)
    await settle()
    await _move_silently(world, client, one, two)
    await two.sio.emit("n", 1, room="room")
    await settle()
    assert client.got("n") == [1]


async def test_a_room_entered_here_while_the_first_save_is_under_way(world: World) -> None:
    one, two = world.server(), world.server()
    client, gate = await _held_at_first_save(world, one)
    entering = asyncio.create_task(one.sio.enter_room(_only_sid(one), "room"))
    await settle()
    gate.release()
    await entering
    await until(lambda: client.is_connected)
    client.transport.vanish()
    await world.connect(client, two)
    await two.sio.emit("n", 1, room="room")
    await settle()
    assert client.got("n") == [1]


async def test_a_user_session_saved_while_the_first_save_is_under_way(world: World) -> None:
    one, two = world.server(), world.server()
    client, gate = await _held_at_first_save(world, one)
    saving = asyncio.create_task(one.sio.save_session(_only_sid(one), {"name": "ann"}))
    await settle()
    gate.release()
    await saving
    await until(lambda: client.is_connected)
    client.transport.vanish()
    await world.connect(client, two)
    assert await two.sio.get_session(client.sid) == {"name": "ann"}


async def test_a_user_session_saved_elsewhere_while_the_first_save_is_under_way(world: World) -> None:
    one, two = world.server(), world.server()
    client, gate = await _held_at_first_save(world, one)
    await two.sio.save_session(_only_sid(one), {"name": "ann"})
    await settle()
    gate.release()
    await until(lambda: client.is_connected)
    await settle()
    await _move_silently(world, client, one, two)
    assert await two.sio.get_session(client.sid) == {"name": "ann"}


@pytest.mark.parametrize("by", ["same server", "other server"])
async def test_a_room_entered_while_away(world: World, by: str) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    client.cut()
    await settle()
    server = one if by == "same server" else two
    await server.sio.emit("n", 0, room="room")
    await server.sio.enter_room(client.sid, "room")
    await server.sio.emit("n", 1, room="room")
    await world.connect(client, two)
    await one.sio.emit("n", 2, room="room")
    await settle()
    assert client.got("n") == [1, 2]
    assert "room" in two.sio.rooms(client.sid)


@pytest.mark.parametrize("change", ["enter_room", "leave_room", "save_session"])
async def test_a_change_while_the_disconnect_handler_runs(world: World, change: str) -> None:
    """It returns without an error, so it has to be in force when the client is back."""
    server = world.server()
    finish = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        server.disconnected.append((sid, reason))
        await finish.wait()

    server.sio.on("disconnect", disconnect)
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "old room")
    client.cut()
    await until(lambda: server.disconnected)
    if change == "enter_room":
        await server.sio.enter_room(client.sid, "room")
    elif change == "leave_room":
        await server.sio.leave_room(client.sid, "old room")
    else:
        await server.sio.save_session(client.sid, {"name": "ann"})
    finish.set()
    await settle()
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    rooms = set(server.sio.rooms(client.sid)) - {client.sid}
    if change == "enter_room":
        assert rooms == {"old room", "room"}
    elif change == "leave_room":
        assert rooms == set()
    else:
        assert await server.sio.get_session(client.sid) == {"name": "ann"}


async def test_a_change_where_only_the_old_disconnect_handler_still_runs(world: World) -> None:
    """The client is live on another server by now."""
    one, two = world.server(takeover_timeout=0.01), world.server(takeover_timeout=0.01)
    finish = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        await finish.wait()

    one.sio.on("disconnect", disconnect)
    client = await world.connected(one)
    client.cut()
    await settle()
    await world.connect(client, two)
    await one.sio.enter_room(client.sid, "room")
    await one.sio.save_session(client.sid, {"name": "ann"})
    await settle()
    await one.sio.emit("n", 1, room="room")
    await settle()
    assert client.got("n") == [1]
    assert await two.sio.get_session(client.sid) == {"name": "ann"}
    assert await one.sio.get_session(client.sid) == {"name": "ann"}
    finish.set()


@pytest.mark.parametrize("change", ["enter_room", "save_session"])
async def test_a_change_that_is_being_saved_while_the_session_moves(world: World, change: str) -> None:
    """Either it is in force on the new server, or the caller is told that it is not."""
    one, two = world.server(), world.server()
    client = await world.connected(one)
    gate = one.store.hold(SaveSession)
    if change == "enter_room":
        work = asyncio.create_task(one.sio.enter_room(client.sid, "room"))
    else:
        work = asyncio.create_task(one.sio.save_session(client.sid, {"name": "ann"}))
    await until(lambda: gate.waiting)
    client.transport.vanish()
    await world.connect(client, two)
    gate.release()
    result = (await asyncio.gather(work, return_exceptions=True))[0]
    assert result is None or isinstance(result, SaveError)
    if result is None:
        if change == "enter_room":
            assert "room" in two.sio.rooms(client.sid)
        else:
            assert await two.sio.get_session(client.sid) == {"name": "ann"}


async def test_changes_ahead_of_the_reader_move_with_the_client(world: World) -> None:
    """Own emits, then enter and leave, in one task, with a reader that lags; then the client moves."""
    one, two = world.server(), world.server(takeover_timeout=0.2)
    client = await world.connected(one)
    lag = one.store.hold_replies(Read)
    await settle()
    await one.sio.emit("n", 0, room="room")
    await one.sio.enter_room(client.sid, "room")
    await one.sio.emit("n", 1, room="room")
    await one.sio.leave_room(client.sid, "room")
    await one.sio.emit("n", 2, room="room")
    client.transport.vanish()
    await world.connect(client, two)
    lag.release()
    await settle()
    assert client.got("n") == [1]


async def test_what_the_session_cannot_hold_is_refused_and_nothing_changes(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.save_session(client.sid, {"name": "ann"})
    with pytest.raises(EncodingError):
        await server.sio.save_session(client.sid, {"name": object()})
    client.cut()
    await settle()
    await world.connect(client, server)
    assert await server.sio.get_session(client.sid) == {"name": "ann"}
    assert issubclass(EncodingError, RecoveryError)


async def test_a_checkpoint_of_a_session_that_the_store_lost(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "room")
    world.state._claims[client.pid].value = None  # evicted
    await server.checkpoint()
    await settle()
    client.cut()
    await settle()
    await server.sio.emit("n", 1, room="room")
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]


async def test_a_session_that_the_store_lost_wholly(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    del world.state._claims[client.pid]
    await server.checkpoint()
    await settle()
    client.cut()
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
