"""Whatever a client sends, this server goes on: nothing of ours raises, nobody else notices, nothing is left.

What python-socketio itself does with such frames (it logs most of them with a traceback, and ignores them) is
as it is without recovery.
"""

import asyncio
import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from socketio.msgpack_packet import MsgPackPacket

from recovery.errors import EncodingError
from recovery.packing import pack
from tests.hostile.errors import collected_errors
from tests.hostile.frames import Frames, conversations
from tests.interleavings.harness import Server, World, open_world, settle
from tests.interleavings.transports import PollingTransport, WebSocketTransport

_EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _nobody(*_args: Any) -> None:
    """A callback that is only there to be called."""


def _serve(world: World, **options: Any) -> Server:
    """A server that sends back what it gets, and asks for acknowledgements."""
    server = world.server(**options)

    async def echo(sid: str, *args: Any) -> None:
        with contextlib.suppress(EncodingError):  # the application's: it sends back what cannot be sent
            await server.sio.emit("back", args, to=sid, callback=_nobody)

    async def message(_sid: str, *_args: Any) -> None:
        pass

    async def arrive(_sid: str, _environ: Any, _auth: Any = None) -> None:
        pass

    for namespace in ("/", "/chat"):
        server.sio.on("echo", echo, namespace=namespace)
        server.sio.on("message", message, namespace=namespace)
        server.sio.on("connect", arrive, namespace=namespace)
    return server


async def _suffer(conversation: list[Frames], *, msgpack: bool = False, polling: bool = False) -> None:
    with collected_errors() as errors:
        await _converse(conversation, msgpack=msgpack, polling=polling)
        assert errors.of_ours() == []


async def _converse(conversation: list[Frames], *, msgpack: bool, polling: bool) -> None:
    """Let a client say all that, and see that nobody else notices and nothing is left."""
    async with open_world() as world:
        world.expects_errors = True  # of python-socketio
        server = _serve(world, server_options={"serializer": MsgPackPacket} if msgpack else {})
        bystander = await world.connected(server, msgpack=msgpack)
        transport = PollingTransport(server.app) if polling else WebSocketTransport(server.app)
        transport.open("", lambda _frame: None, lambda: None)
        await settle()
        for frames in conversation:
            for frame in frames:
                transport.send(frame)
        await settle(100)
        await server.sio.emit("still there")
        await settle()
        assert bystander.events == [["still there"]]
        transport.cut()
        bystander.cut()
        await settle(100)
        await _time_out(server)
        assert server.residue() == {}
        assert not server.sio._binary_packet


@_EXAMPLES
@given(conversations)
@example([["40"], ['42["disconnect"]'], ['42["connect",{"socketio.recovery":null},{}]']])
@example([["40"], ['450-["echo"]'], ["43999[]"], ['461-["x"]', b"1"]])
@example([['40{"pid":"' + "x" * 20 + '","offset":"1-0"}'], ["41"], ['40{"pid":"' + "x" * 20 + '"}']])
def test_nothing_that_a_websocket_brings_disturbs_the_server(conversation: list[Frames]) -> None:
    asyncio.run(_suffer(conversation))


@settings(_EXAMPLES, max_examples=20)
@given(conversations)
def test_nothing_that_a_post_brings_disturbs_the_server(conversation: list[Frames]) -> None:
    asyncio.run(_suffer(conversation, polling=True))


async def _time_out(server: Server) -> None:
    """What python-engineio does with transports that answer no PING.

    Those by polling, and those whose frame it could not read: there it ends the task, and forgets to close.
    """
    for eio_sid, socket in list(server.sio.eio.sockets.items()):
        await socket.close(wait=False, abort=True)
        del server.sio.eio.sockets[eio_sid]
    await settle(100)


_PACKED: list[object] = [
    {"type": 0, "nsp": ["/"]},
    {"type": 0, "nsp": 7},
    {"type": 0, "nsp": None, "data": {b"pid": 1, "pid": b"x" * 20, 5: 6}},
    {"type": 0, "nsp": "/", "data": {"pid": "x" * 20, "offset": b"1-0"}},
    {"type": 0, "nsp": {}, "data": {"pid": [[]]}},
    {"type": 2, "nsp": "/", "data": ["echo", math.nan, {1: {2: b"\xff"}}]},
    {"type": 2, "nsp": "/", "data": {"echo": 1}},
    {"type": 2, "nsp": "/", "data": [["echo"]]},
    {"type": 3, "nsp": "/", "id": [1], "data": []},
    {"type": 3, "nsp": "/", "id": math.nan, "data": 5},
    {"type": "0", "nsp": "/"},
    {"type": 99, "nsp": "/"},
    {},
    [],
    "text",
    None,
]


def test_nothing_that_messagepack_can_say_disturbs_the_server() -> None:
    """Where ``serializer="msgpack"``, a namespace or an id may be of any type."""
    hello = pack({"type": 0, "nsp": "/"})
    frames: list[Frames] = [[pack(packet)] for packet in _PACKED]
    asyncio.run(_suffer([[hello], *frames], msgpack=True))
    asyncio.run(_suffer(frames, msgpack=True))


@pytest.mark.parametrize("depth", [400, 600, 950, 5000])
async def test_an_acknowledgement_nested_too_deeply_for_the_stream_is_lost_alone(
    world: World, depth: int
) -> None:
    """It travels to the server that asked, through the stream, where its client may be anybody."""
    world.expects_errors = True  # of python-socketio, which may not read it either
    first, second = world.server(), world.server()
    client = await world.connected(second)
    answers: list[Any] = []

    def answer(*args: Any) -> None:
        answers.append(args)

    with collected_errors() as errors:
        await first.sio.emit("n", 1, to=client.sid, callback=answer)
        await first.sio.emit("n", 2, to=client.sid, callback=answer)
        client.held_back = []
        await settle(100)
        first_ack, second_ack = client.held_back
        assert isinstance(first_ack, str)
        prefix = first_ack[: first_ack.index("[")]
        assert client.transport is not None
        client.transport.send(f"{prefix}{'[' * depth}{']' * depth}")
        client.transport.send(second_ack)
        await settle(100)
        await second.sio.emit("n", 3)
        await settle()
        assert errors.of_ours() == []
    assert answers[-1] == ("ack", 2)
    assert client.got("n") == [1, 2, 3]


async def test_a_client_that_never_acknowledges_does_not_fill_the_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.acknowledgements._MOST_ACKS", 10)
    server = world.server()
    client = await world.connected(server)
    client.held_back = []
    for number in range(50):
        await server.sio.emit("n", number, to=client.sid, callback=_nobody)
    await settle()
    assert len(server.manager.callbacks[client.sid]) == 10
    assert client.got("n") == list(range(50))


async def test_the_same_namespace_again_and_again_is_one_client(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    assert client.transport is not None
    for _ in range(200):
        client.transport.send("40" + json.dumps({"pid": client.pid}))
    await settle(200)
    assert len(server.clients.all()) == 1
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [1]
