"""Limits that are reached: said, and nothing is delivered in part."""

import asyncio
import logging

import pytest

from recovery.commands import Append
from recovery.errors import LimitError, PublishError
from recovery.reasons import Reason
from tests.interleavings.harness import World, settle


async def test_a_cap_that_cuts_into_the_window(world: World, caplog: pytest.LogCaptureFixture) -> None:
    server = world.server(max_len=20)
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    with caplog.at_level(logging.WARNING):
        for number in range(1, 60):
            await server.sio.emit("n", number)
    assert "max_len cuts into the recovery window" in caplog.text
    other = world.server(max_len=20)  # one whose log has only what the stream still has
    await world.connect(client, other)
    await settle()
    assert client.outcomes == ["fresh", "fresh"]
    assert client.got("n") == [0]
    assert other.manager.outcomes == {Reason.OFFSET_TRIMMED.value: 1}


async def test_a_server_that_still_has_what_the_stream_lost_recovers(world: World) -> None:
    server = world.server(max_len=20)
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    for number in range(1, 60):
        await server.sio.emit("n", number)
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == list(range(60))


@pytest.mark.parametrize("missed", [5, 6])
async def test_more_was_missed_than_may_be_replayed(world: World, missed: int) -> None:
    server = world.server(max_replay=5)
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    for number in range(1, missed + 1):
        await server.sio.emit("n", number)
        await server.sio.emit("other", number, room="nobody")
    await world.connect(client, server)
    await settle()
    if missed == 5:
        assert client.got("n") == [0, 1, 2, 3, 4, 5]
        return
    assert client.outcomes == ["fresh", "fresh"]
    assert client.got("n") == [0]
    assert server.manager.outcomes == {Reason.REPLAY_TOO_LARGE.value: 1}


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_replay_of_binary_packets_is_not_taken_for_a_slow_client(
    world: World, always_connect: bool
) -> None:
    """Each has several frames: the first packet after it would close the client, every time."""
    server = world.server(max_client_buffer=10, server_options={"always_connect": always_connect})
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    for number in range(1, 8):
        await server.sio.emit("n", (number, b"a", b"b", b"c"))
    held = False

    async def connect(sid: str, _environ: object, _auth: object = None) -> None:
        nonlocal held
        held = True
        for number in range(8, 10):
            await server.sio.emit("n", number, to=sid)

    server.sio.on("connect", connect)
    world.dial(client, server)
    await settle(200)
    assert held
    assert client.got("n") == list(range(10))
    assert client.is_connected


async def test_a_client_may_be_in_so_many_rooms_and_no_more(world: World) -> None:
    server = world.server(max_rooms=2)
    client = await world.connected(server)
    for room in ("a", "b", "a", client.sid):
        await server.sio.enter_room(client.sid, room)
    with pytest.raises(LimitError, match="max_rooms"):
        await server.sio.enter_room(client.sid, "c")
    assert set(server.sio.rooms(client.sid)) == {client.sid, "a", "b"}
    await server.sio.emit("n", 1)
    await server.sio.leave_room(client.sid, "a")
    with pytest.raises(LimitError):  # a packet for "a" may have to be replayed yet
        await server.sio.enter_room(client.sid, "c")
    await settle()
    await server.ping(client)
    await settle()
    await server.checkpoint()
    await server.sio.leave_room(client.sid, "b")  # saved, and with it what is proven is forgotten
    await server.sio.enter_room(client.sid, "c")
    assert set(server.sio.rooms(client.sid)) == {client.sid, "c"}


async def test_emits_that_find_no_place_to_wait_are_refused(world: World) -> None:
    server = world.server(max_waiting_bytes=10_000)
    client = await world.connected(server)
    gate = server.store.hold(Append)
    waiting = [asyncio.create_task(server.sio.emit("n", number)) for number in range(20)]
    await settle()
    refused = [task for task in waiting if task.done()]
    assert 0 < len(refused) < len(waiting)
    for task in refused:
        assert isinstance(task.exception(), PublishError)
    gate.release()
    await asyncio.gather(*waiting, return_exceptions=True)
    await settle()
    assert client.got("n") == list(range(len(waiting) - len(refused)))
