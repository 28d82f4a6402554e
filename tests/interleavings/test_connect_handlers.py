"""Connect handlers that are slow, refuse, raise, emit, or outlive their transport."""

import asyncio
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError as RefusedError

from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until

always = pytest.mark.parametrize("always_connect", [False, True], ids=["connect_after", "always_connect"])


class _Doorman:
    """A connect handler that a test opens."""

    def __init__(self, server: Server) -> None:
        self.entered: list[str] = []
        self.open = asyncio.Event()
        self.verdicts: list[Any] = []
        server.sio.on("connect", self.connect)

    async def connect(self, sid: str, environ: Any, auth: Any = None) -> Any:
        self.entered.append(sid)
        number = len(self.entered)
        await self.open.wait()
        verdict = self.verdicts[number - 1] if number <= len(self.verdicts) else None
        if isinstance(verdict, BaseException):
            raise verdict
        return verdict


def _server(world: World, always_connect: bool) -> Server:
    return world.server(server_options={"always_connect": always_connect})


@always
async def test_traffic_while_the_handler_is_slow(world: World, always_connect: bool) -> None:
    server = _server(world, always_connect)
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await settle()
    await server.sio.emit("n", 2)
    doorman = _Doorman(server)
    world.dial(client, server)
    await until(lambda: doorman.entered)
    await server.sio.emit("n", 3)
    await settle()
    assert client.got("n") == [1], "missed packets leave only after the handler accepted"
    doorman.open.set()
    await until(lambda: client.is_connected)
    await server.sio.emit("n", 4)
    await settle()
    assert client.got("n") == [1, 2, 3, 4]
    assert client.outcomes == ["fresh", "recovered"]


@always
async def test_emits_from_within_the_handler(world: World, always_connect: bool) -> None:
    server = _server(world, always_connect)

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        await server.sio.enter_room(sid, "room")
        await server.sio.emit("n", 1, to=sid)
        await server.sio.emit("n", 2, room="room")
        await server.sio.emit("n", 3)

    server.sio.on("connect", connect)
    client = await world.connected(server)
    await settle()
    assert client.got("n") == [1, 2, 3]
    client.cut()
    await server.sio.emit("n", 0)
    await world.connect(client, server)
    await settle()
    assert client.got("n") == [1, 2, 3, 0, 1, 2, 3]


@always
@pytest.mark.parametrize(
    "verdict",
    [
        False,
        RefusedError("no"),
        ConnectionRefusedError("no"),
        RuntimeError("a defect of the application"),
    ],
    ids=lambda verdict: type(verdict).__name__,
)
async def test_a_refused_recovery_can_be_tried_again(
    world: World, always_connect: bool, verdict: Any
) -> None:
    server = _server(world, always_connect)
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "room")
    client.cut()
    await server.sio.emit("n", 1, room="room")
    doorman = _Doorman(server)
    doorman.verdicts = [verdict]
    doorman.open.set()
    world.expects_errors = isinstance(verdict, RuntimeError)
    world.dial(client, server)
    await settle()
    await server.sio.emit("n", 2, room="room")
    client.cut()
    await settle()
    await world.connect(client, server)
    await settle()
    assert client.got("n") == [1, 2]
    assert set(client.outcomes[1:]) == {"recovered"}
    client.cut()
    await settle()
    assert server.residue() == {}


@always
@pytest.mark.parametrize(
    "verdict", [None, False, RuntimeError("a defect")], ids=["accepts", "refuses", "raises"]
)
async def test_the_transport_dies_within_the_handler(
    world: World, always_connect: bool, verdict: Any
) -> None:
    """Noticed at once, as with polling: the stale handler may do no harm, however late it answers."""
    server = _server(world, always_connect)
    client = await world.connected(server)
    client.cut()
    await server.sio.emit("n", 1)
    doorman = _Doorman(server)
    doorman.verdicts = [verdict]
    world.expects_errors = isinstance(verdict, RuntimeError)
    world.dial(client, server)
    await until(lambda: doorman.entered)
    await server.socket_of(client).close(wait=False, abort=True, reason="transport close")
    client.cut()
    await settle()
    world.dial(client, server)
    await settle()
    doorman.open.set()
    await until(lambda: client.is_connected)
    await settle()
    await server.sio.emit("n", 2)
    await settle()
    assert client.got("n") == [1, 2]
    assert client.is_connected
    assert client.outcomes[-1] == "recovered"
    client.cut()
    await settle()
    assert server.residue() == {}


@always
@pytest.mark.parametrize("verdict", [None, False], ids=["accepts", "refuses"])
async def test_the_transport_of_a_new_client_dies_within_the_handler(
    world: World, always_connect: bool, verdict: Any
) -> None:
    server = _server(world, always_connect)
    doorman = _Doorman(server)
    doorman.verdicts = [verdict]
    client = world.client()
    world.dial(client, server)
    await until(lambda: doorman.entered)
    await server.socket_of(client).close(wait=False, abort=True, reason="transport close")
    client.cut()
    await settle()
    doorman.open.set()
    await settle()
    assert server.residue() == {}
    await world.connect(client, server)


@always
async def test_the_handler_disconnects_its_client(world: World, always_connect: bool) -> None:
    server = _server(world, always_connect)

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        await server.sio.disconnect(sid)

    server.sio.on("connect", connect)
    client = world.client()
    world.dial(client, server)
    await settle()
    assert client.ended
    client.cut()
    await settle()
    assert server.residue() == {}


@always
async def test_a_ban_while_the_handler_runs_outlives_the_transport(
    world: World, always_connect: bool
) -> None:
    server = _server(world, always_connect)
    client = await world.connected(server)
    client.cut()
    await settle()
    doorman = _Doorman(server)
    world.dial(client, server)
    await until(lambda: doorman.entered)
    await server.sio.disconnect(client.sid)
    await server.socket_of(client).close(wait=False, abort=True, reason="transport close")
    client.cut()
    doorman.open.set()
    await settle()
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"


@always
async def test_two_namespaces_one_refused(world: World, always_connect: bool) -> None:
    server = _server(world, always_connect)
    refuse = False

    async def connect(sid: str, environ: Any, auth: Any = None) -> Any:
        return not refuse

    server.sio.on("connect", connect, namespace="/b")
    client = Client("/", "/b")
    world.clients.append(client)
    await world.connect(client, server)
    client.cut()
    await server.sio.emit("n", 1)
    await server.sio.emit("n", 2, namespace="/b")
    refuse = True
    world.dial(client, server)
    await settle()
    refuse = False
    client.cut()
    await settle()
    await world.connect(client, server)
    await settle()
    assert client.sockets["/"].got("n") == [1]
    assert client.sockets["/b"].got("n") == [2]


async def test_the_handler_sees_its_recovery_and_the_rest_of_the_auth(world: World) -> None:
    server = world.server()
    seen: list[tuple[Any, Any]] = []

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        seen.append((environ["socketio.recovery"], auth))
        assert server.manager.recovery(sid) is environ["socketio.recovery"]

    server.sio.on("connect", connect)
    client = await world.connected(server, token="t")
    client.cut()
    await server.sio.emit("n", 1)
    await world.connect(client, server)
    assert [auth for _, auth in seen] == [{"token": "t"}] * 2
    assert [(recovery.recovered, recovery.replayed) for recovery, _ in seen] == [(False, 0), (True, 1)]


async def test_a_connect_handler_whose_session_was_taken_over_sees_its_own_data(world: World) -> None:
    server, gate, seen = world.server(), asyncio.Event(), []
    client = await world.connected(server)
    await server.sio.save_session(client.sid, {"name": "me"})
    client.cut()
    await settle()

    async def connect(sid: str, _environ: Any, _auth: Any = None) -> None:
        await gate.wait()
        seen.append(await server.sio.get_session(sid))

    server.sio.on("connect", connect)
    world.dial(client, server)
    await settle()
    world.dial(client, server)  # the same client once more, while its handler runs
    await settle()
    gate.set()
    async with asyncio.timeout(2):  # well below the time that another server would get to answer
        await until(lambda: client.is_connected)
    assert seen == [{"name": "me"}, {"name": "me"}]
