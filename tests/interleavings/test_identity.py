"""The setting ``identity``: a session belongs to a user, and a pid alone does not open it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from recovery.reasons import Reason
from tests.interleavings.client import Client
from tests.interleavings.harness import World, settle, until


def _user(_environ: Mapping[str, Any], auth: Any) -> str:
    return str(auth["user"])


async def _user_later(environ: Mapping[str, Any], auth: Any) -> str:
    await asyncio.sleep(0)
    return _user(environ, auth)


@pytest.mark.parametrize("identity", [_user, _user_later], ids=["sync", "async"])
@pytest.mark.parametrize("live", [False, True], ids=["away", "live"])
async def test_a_stolen_pid_is_refused_and_nothing_is_destroyed(
    world: World, identity: Any, live: bool
) -> None:
    server = world.server(identity=identity)
    victim = await world.connected(server, user="victim")
    await server.sio.emit("n", 1, to=victim.sid)
    await settle()
    if not live:
        victim.cut()
        await settle()
    thief = world.client(user="thief")
    thief.sockets["/"].pid, thief.sockets["/"].offset = victim.pid, victim.offset
    await server.sio.emit("n", 2, to=victim.sid)
    await world.connect(thief, server)
    await settle()
    assert thief.outcomes == ["fresh"]
    assert thief.sid != victim.sid
    assert thief.got("n") == []
    assert server.manager.outcomes == {Reason.IDENTITY_MISMATCH.value: 1}
    assert victim.is_connected is live
    if live:
        await server.sio.emit("n", 3, to=victim.sid)
        await settle()
        victim.cut()
    await world.connect(victim, server)
    assert victim.outcomes == ["fresh", "recovered"]
    assert victim.got("n") == ([1, 2, 3] if live else [1, 2])


@pytest.mark.parametrize("stage", ["new", "returning"])
@pytest.mark.parametrize("result", [RuntimeError("no user"), ConnectionRefusedError(), 7, None], ids=repr)
async def test_an_identity_that_cannot_be_told(world: World, stage: str, result: Any) -> None:
    world.expects_errors = True  # engineio logs what a handler raises
    broken = stage == "new"

    async def identity(_environ: Mapping[str, Any], _auth: Any) -> Any:
        if broken and isinstance(result, BaseException):
            raise result
        return result if broken else "u"

    server = world.server(identity=identity)
    client = world.client()
    if stage == "returning":
        await world.connect(client, server)
        await server.sio.emit("n", 1)
        await settle()
        client.cut()
        await settle()
        await server.sio.emit("n", 2)
        broken = True
    world.dial(client, server)
    await until(lambda: client.refused is not None)
    client.cut()
    await settle()
    assert server.residue() == {}
    broken = False
    await world.connect(client, server)
    assert client.outcomes[-1] == ("fresh" if stage == "new" else "recovered")
    assert client.got("n") == ([] if stage == "new" else [1, 2])


async def test_the_transport_dies_while_the_identity_is_asked(world: World) -> None:
    open_door = asyncio.Event()
    asked: list[Any] = []

    async def identity(environ: Mapping[str, Any], auth: Any) -> str:
        asked.append(auth)
        await open_door.wait()
        return "u"

    server = world.server(identity=identity)
    client = Client()
    world.clients.append(client)
    world.dial(client, server)
    await until(lambda: asked)
    await server.socket_of(client).close(wait=False, abort=True, reason="transport close")
    client.cut()
    open_door.set()
    await settle()
    assert server.residue() == {}
    await world.connect(client, server)
