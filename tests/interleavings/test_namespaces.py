"""Class-based namespaces, several of them, and servers that accept any."""

from typing import Any

import pytest
import socketio

from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle


class _Chat(socketio.AsyncNamespace):
    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.seen: list[tuple[str, bool]] = []
        self.heard: list[Any] = []

    async def on_connect(self, sid: str, environ: Any) -> None:
        recovery = environ["socketio.recovery"]
        assert self.server is not None, "it is registered"
        assert self.server.manager.recovery(sid, self.namespace) is recovery
        self.seen.append((sid, recovery.recovered))
        if not recovery.recovered:
            await self.enter_room(sid, "lobby")
            await self.save_session(sid, {"name": self.namespace})
        await self.emit("hello", sid, to=sid)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.heard.append(reason)

    async def on_say(self, sid: str, text: str) -> None:
        async with self.session(sid) as session:
            session["said"] = text
        await self.emit("said", text, room="lobby", skip_sid=sid)


class _Routed(socketio.AsyncNamespace):
    """One that routes its events itself."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.events: list[str] = []

    async def trigger_event(self, event: str, *args: Any) -> Any:
        if event == "connect" and len(args) != 3:
            raise TypeError("it takes three")
        self.events.append(event)


@pytest.fixture(autouse=True, params=[1, 3], ids=["one-stream", "three-streams"])
def _streams(request: pytest.FixtureRequest, world: World) -> None:
    world.settings["stream_count"] = request.param


def _client(world: World, *namespaces: str) -> Client:
    client = Client(*namespaces)
    world.clients.append(client)
    return client


def _chats(server: Server) -> list[_Chat]:
    chats = [_Chat("/a"), _Chat("/b")]
    for chat in chats:
        server.sio.register_namespace(chat)
    return chats


async def test_class_based_namespaces(world: World) -> None:
    one, two = world.server(), world.server()
    chats_one, chats_two = _chats(one), _chats(two)
    speaker = _client(world, "/a", "/b")
    client = _client(world, "/a", "/b")
    await world.connect(speaker, one)
    await world.connect(client, one)
    await settle()
    client.cut()
    await settle()
    assert [len(chat.heard) for chat in chats_one] == [1, 1]
    speaker.emit("say", "in a", namespace="/a")
    speaker.emit("say", "in b", namespace="/b")
    await settle()
    await world.connect(client, two)
    await settle()
    for name, chat in zip(("/a", "/b"), chats_two, strict=True):
        socket = client.sockets[name]
        assert socket.outcomes == ["fresh", "recovered"]
        assert chat.seen == [(socket.sid, True)]
        assert [args[0] for args in socket.events] == ["hello", "said", "hello"]
        assert socket.got("said") == [f"in {name[1:]}"]
        assert await two.sio.get_session(socket.sid, namespace=name) == {"name": name}
        assert await two.sio.get_session(speaker.sockets[name].sid, namespace=name) == {
            "name": name,
            "said": f"in {name[1:]}",
        }


async def test_a_namespace_that_routes_its_events_itself(world: World) -> None:
    server = world.server()
    routed = _Routed("/r")
    server.sio.register_namespace(routed)
    client = _client(world, "/r")
    await world.connect(client, server)
    client.cut()
    await settle()
    await server.sio.emit("n", 1, namespace="/r")
    await world.connect(client, server)
    client.emit("say", "x", namespace="/r")
    await settle()
    client.disconnect("/r")
    await settle()
    assert client.sockets["/r"].got("n") == [1]
    assert routed.events == ["connect", "disconnect", "connect", "say", "disconnect"]
    client.cut()
    await settle()
    assert server.residue() == {}


async def test_any_namespace(world: World) -> None:
    server = world.server(server_options={"namespaces": "*"})
    client = _client(world, "/x", "/y")
    await world.connect(client, server)
    client.cut()
    await settle()
    await server.sio.emit("n", 1, namespace="/x")
    await server.sio.emit("n", 2, namespace="/y")
    await world.connect(client, server)
    await settle()
    assert client.sockets["/x"].got("n") == [1]
    assert client.sockets["/y"].got("n") == [2]
    client.cut()
    await settle()
    assert server.residue() == {}


async def test_a_namespace_that_is_not_served(world: World) -> None:
    server = world.server()
    client = _client(world, "/nowhere")
    client.sockets["/nowhere"].pid = "x" * 32
    world.dial(client, server)
    await settle()
    assert client.sockets["/nowhere"].refused == "Unable to connect"
    client.cut()
    await settle()
    assert server.residue() == {}


async def test_a_catch_all_namespace_class(world: World) -> None:
    server = world.server(server_options={"namespaces": "*"})
    connected: list[tuple[str, str]] = []

    class Everywhere(socketio.AsyncNamespace):
        async def on_connect(self, namespace: str, sid: str, environ: Any) -> None:
            connected.append((namespace, sid))

        async def on_disconnect(self, namespace: str, sid: str, reason: str) -> None:
            pass

    server.sio.register_namespace(Everywhere("*"))
    client = _client(world, "/q")
    await world.connect(client, server)
    client.cut()
    await settle()
    await server.sio.emit("n", 1, namespace="/q")
    await world.connect(client, server)
    assert connected == [("/q", client.sockets["/q"].sid)] * 2
    assert client.sockets["/q"].got("n") == [1]
    client.cut()
    await settle()
    assert server.residue() == {}
