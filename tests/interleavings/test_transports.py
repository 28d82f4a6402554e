"""Transports and encodings: polling, upgrades' mixes, MessagePack, binary, two namespaces, slow consumers."""

from typing import Any

import pytest
from engineio import packet as eio_packet

from tests.interleavings.client import Client
from tests.interleavings.harness import World, settle, until


async def test_binary_to_polling_and_websocket_clients(world: World) -> None:
    """engineio caches one encoding per packet object, and polling's differs."""
    server = world.server()
    by_polling, by_websocket, later = world.client(), world.client(), world.client()
    world.dial(by_polling, server, polling=True)
    await until(lambda: by_polling.is_connected)
    await world.connect(by_websocket, server)
    await world.connect(later, server)
    later.cut()
    await settle()
    await server.sio.emit("n", {"raw": b"\x00\x01", "deep": [b"\x02"]})
    await settle()
    await world.connect(later, server)
    for client in (by_polling, by_websocket, later):
        assert client.got("n") == [{"raw": b"\x00\x01", "deep": [b"\x02"]}]


async def test_a_polling_client_recovers_by_websocket(world: World) -> None:
    server = world.server()
    client = world.client()
    world.dial(client, server, polling=True)
    await until(lambda: client.is_connected)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await server.sio.emit("n", 2)
    await world.connect(client, server)
    await server.sio.emit("n", 3)
    await settle()
    assert client.got("n") == [1, 2, 3]
    assert client.outcomes == ["fresh", "recovered"]


async def test_a_close_by_the_server_shares_no_payload_with_an_event(world: World) -> None:
    """JavaScript would run the event's handler after the reconnection, and get it replayed as well."""
    server = world.server()
    client = world.client()
    world.dial(client, server, polling=True)
    await until(lambda: client.is_connected)
    await settle()
    eio_sid = client.transport.eio_sid
    payloads: list[list[eio_packet.Packet]] = []
    socket = server.socket_of(client)
    poll = socket.poll

    async def watched() -> Any:
        packets = await poll()
        payloads.append(packets)
        return packets

    socket.poll = watched
    client.deaf = True
    await server.sio.emit("n", 0)  # ends the GET that waits
    for number in range(1, 4):
        await server.sio.emit("n", number)
    world.expects_errors = True  # engineio logs the next GET of a session that it closed
    await server.sio.eio.disconnect(eio_sid)
    await settle()
    for packets in payloads:
        kinds = {packet.packet_type for packet in packets}
        assert not {eio_packet.CLOSE, eio_packet.MESSAGE} <= kinds
    client.cut()
    client.deaf = False
    await world.connect(client, server)
    assert client.got("n") == [0, 1, 2, 3]


async def test_messagepack(world: World) -> None:
    one = world.server(server_options={"serializer": "msgpack"})
    two = world.server(server_options={"serializer": "msgpack"})
    client = await world.connected(one, msgpack=True)
    await one.sio.emit("n", {"a": b"\x00"})
    await settle()
    client.cut()
    await one.sio.emit("n", {"b": [b"\x01", None]})
    await world.connect(client, two)
    assert client.got("n") == [{"a": b"\x00"}, {"b": [b"\x01", None]}]
    assert client.outcomes == ["fresh", "recovered"]


async def test_two_namespaces_on_one_transport(world: World) -> None:
    one, two = world.server(), world.server()
    for server in (one, two):
        server.sio.on("connect", server._on_connect, namespace="/b")
    client = Client("/", "/b")
    world.clients.append(client)
    await world.connect(client, one)
    root, other = client.sockets["/"], client.sockets["/b"]
    await one.sio.emit("n", 1)
    await one.sio.emit("n", 2, namespace="/b")
    await settle()
    client.cut()
    await one.sio.emit("n", 3)
    await one.sio.emit("n", 4, namespace="/b")
    await world.connect(client, two)
    await settle()
    assert (root.got("n"), other.got("n")) == ([1, 3], [2, 4])
    assert root.outcomes == other.outcomes == ["fresh", "recovered"]
    client.disconnect("/b")
    await settle()
    client.cut()
    await two.sio.emit("n", 5)
    await two.sio.emit("n", 6, namespace="/b")
    await world.connect(client, one)
    assert (root.outcomes[-1], other.outcomes[-1]) == ("recovered", "fresh")
    assert (root.got("n"), other.got("n")) == ([1, 3, 5], [2, 4])


async def test_one_namespace_held_while_the_other_is_live(world: World) -> None:
    server = world.server()
    server.sio.on("connect", server._on_connect, namespace="/b")
    client = Client("/", "/b")
    world.clients.append(client)
    await world.connect(client, server)
    pid = client.sockets["/b"].pid
    await server.sio.emit("n", 1, to=client.sockets["/b"].sid, namespace="/")
    await server.sio.emit("n", 2, namespace="/b")
    await settle()
    assert pid != client.sockets["/"].pid
    assert (client.sockets["/"].got("n"), client.sockets["/b"].got("n")) == ([], [2])


async def test_a_pid_of_another_namespace_is_refused(world: World) -> None:
    server = world.server()
    server.sio.on("connect", server._on_connect, namespace="/b")
    client = Client("/", "/b")
    world.clients.append(client)
    await world.connect(client, server)
    client.cut()
    await settle()
    root, other = client.sockets["/"], client.sockets["/b"]
    root.pid, other.pid = other.pid, root.pid
    await world.connect(client, server)
    assert (root.outcomes[-1], other.outcomes[-1]) == ("fresh", "fresh")


async def test_a_stock_python_client_gets_no_offset(world: World) -> None:
    server = world.server()
    client = await world.connected(server, stock_python=True)
    await server.sio.emit("n", ("a", "b"))
    await settle()
    assert client.events == [["n", "a", "b"]]
    client.cut()
    await settle()
    assert server.residue() == {}


@pytest.mark.parametrize("extra", [0, 3])
async def test_a_slow_consumer_is_closed_and_recovers(world: World, extra: int) -> None:
    """Its queue is cleared, so all of that is missed, and has to fit into a replay."""
    server = world.server(max_client_buffer=10)
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await settle()
    transport = client.transport
    transport.stall()
    number = 0
    while list(server.clients.live()):
        number += 1
        await server.sio.emit("n", number)
        await settle()
        assert number < 50
    for _ in range(extra):
        number += 1
        await server.sio.emit("n", number)
    transport.cut()
    client.cut()
    await settle()
    await world.connect(client, server)
    await settle()
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == list(range(number + 1))


async def test_the_queue_of_a_dead_transport_is_not_lost(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.transport.stall()
    for number in range(5):
        await server.sio.emit("n", number)
    await settle()
    client.cut()
    await settle()
    await world.connect(client, server)
    assert client.got("n") == [0, 1, 2, 3, 4]
