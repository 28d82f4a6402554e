"""Clients that do not take what is sent: given up, with all that the server kept for them."""

import asyncio
import logging

import pytest

from adapter import seams, websocket_seams
from tests.interleavings.harness import World, settle, until


def _tasks_of_websockets() -> int:
    """Tasks of python-engineio that read from WebSockets or write to them."""
    return sum("websocket" in getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())


async def test_nothing_is_left_of_a_websocket_whose_client_does_not_read(world: World) -> None:
    """Its writer hung in the middle of a packet, with all others in its hands, until TCP gave up."""
    server = world.server(max_client_buffer=10)
    reading = await world.connected(server)
    before = _tasks_of_websockets()
    slow = await world.connected(server)
    slow.transport.stall()
    for number in range(30):
        await server.sio.emit("n", number)
    await until(lambda: _tasks_of_websockets() == before, "the tasks have ended")
    await settle()
    assert len(server.sio.eio.sockets) == 1
    assert len(server.clients.all()) == 1
    await world.connect(slow, server)
    await settle()
    assert slow.outcomes == ["fresh", "recovered"]
    assert slow.got("n") == reading.got("n") == list(range(30))


async def test_nothing_is_left_of_a_websocket_whose_network_is_dead(world: World) -> None:
    """The server notices by its ping timeout; what it was writing meanwhile is given up, too."""
    server = world.server()
    before = _tasks_of_websockets()
    client = await world.connected(server)
    client.transport.stall()
    await server.sio.emit("n", 1)
    await settle()
    socket = server.socket_of(client)
    socket.last_ping = 1.0  # long ago
    await socket.check_ping_timeout()
    await until(lambda: _tasks_of_websockets() == before, "the tasks have ended")
    await world.connect(client, server)
    await settle()
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]


async def test_a_client_that_does_not_even_take_the_word_to_close_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_seams, "_CLOSE_PATIENCE", 0.01)
    server = world.server()
    before = _tasks_of_websockets()
    client = await world.connected(server)
    client.transport.stall()
    await seams.abort(server.sio, client.transport.eio_sid)  # nothing was being sent
    await until(lambda: _tasks_of_websockets() == before, "the tasks have ended")
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]


async def test_a_slow_client_is_closed_once_however_many_packets_a_batch_has(
    monkeypatch: pytest.MonkeyPatch, world: World, caplog: pytest.LogCaptureFixture
) -> None:  # in this order: the patience is short until the world has ended
    monkeypatch.setattr(websocket_seams, "_CLOSE_PATIENCE", 0.01)
    server = world.server(max_client_buffer=10)
    client = await world.connected(server)
    client.transport.stall()
    with caplog.at_level(logging.WARNING):
        await asyncio.gather(*(server.sio.emit("n", number) for number in range(100)))
        await settle()
    assert caplog.text.count("does not take its packets") == 1
    await world.connect(client, server)
    await settle()
    assert client.got("n") == list(range(100))
