"""``await sio.disconnect(sid)`` while a client's connect handler runs ends its session at once.

Nobody who presents the pid after that gets it, on whatever server, however long the handler goes on.
"""

import asyncio
from typing import Any

import pytest

from recovery.commands import Append, Read, SaveSession
from recovery.errors import PublishError
from recovery.reasons import Reason
from recovery.records import HolderState
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until

always = pytest.mark.parametrize("always_connect", [False, True], ids=["connect_after", "always_connect"])


class _Handler:
    """A connect handler that stays until a test lets it go.

    Attributes:
        sid: of the client that it was called for last; "" before that.
    """

    def __init__(self, server: Server, *, bans: bool = False, verdict: Any = None) -> None:
        self.sid = ""
        self.banned = asyncio.Event()
        self.leave = asyncio.Event()
        self._server = server
        self._bans = bans
        self._verdict = verdict
        server.sio.on("connect", self._connect)

    async def _connect(self, sid: str, environ: Any, auth: Any = None) -> Any:
        self.sid = sid
        if self._bans:
            await self._server.sio.disconnect(sid)
            self.banned.set()
        await self.leave.wait()
        return self._verdict


def _server(world: World, always_connect: bool = False) -> Server:
    return world.server(server_options={"always_connect": always_connect}, takeover_timeout=0.01)


async def _back_and_held(world: World, server: Server, **options: Any) -> tuple[Client, _Handler]:
    """A client that came back to a server, whose connect handler runs for it."""
    client = await world.connected(server)
    client.cut()
    await settle()
    handler = _Handler(server, **options)
    world.dial(client, server)
    await until(lambda: handler.sid)
    return client, handler


async def _nobody_recovers(world: World, server: Server, pid: str, offset: str = "") -> Reason | None:
    """Present a pid from elsewhere, demand that it is in vain, and return why it was."""
    stranger = world.client()
    stranger.sockets["/"].pid, stranger.sockets["/"].offset = pid, offset
    await world.connect(stranger, server)
    assert stranger.outcomes == ["fresh"], "the session was recovered after its end"
    reason = server.manager.recovery(stranger.sid).reason
    stranger.cut()
    return reason


@always
@pytest.mark.parametrize("by", ["its server", "another server"])
async def test_a_ban_while_the_handler_runs_is_in_force_when_it_returns(
    world: World, always_connect: bool, by: str
) -> None:
    one, two, three = _server(world, always_connect), _server(world), _server(world)
    client, handler = await _back_and_held(world, one)
    await (one if by == "its server" else two).sio.disconnect(client.sid)
    assert await _nobody_recovers(world, three, client.pid, client.offset) is Reason.DISCONNECTED
    handler.leave.set()
    await settle()
    assert not client.is_connected
    assert await _nobody_recovers(world, one, client.pid, client.offset) is Reason.DISCONNECTED
    client.cut()
    await settle()
    assert one.residue() == {}


@always
@pytest.mark.parametrize("verdict", [None, False], ids=["accepts", "refuses"])
async def test_a_ban_by_the_handler_itself_is_in_force_when_it_returns(
    world: World, always_connect: bool, verdict: Any
) -> None:
    one, two = _server(world, always_connect), _server(world)
    client, handler = await _back_and_held(world, one, bans=True, verdict=verdict)
    await until(handler.banned.is_set)
    assert await _nobody_recovers(world, two, client.pid, client.offset) is Reason.DISCONNECTED
    handler.leave.set()
    await settle()
    assert not client.is_connected
    assert await _nobody_recovers(world, two, client.pid, client.offset) is Reason.DISCONNECTED
    client.cut()
    await settle()
    assert one.residue() == {}


@always
@pytest.mark.parametrize("by", ["the handler", "its server", "another server"])
async def test_a_new_client_that_is_banned_leaves_no_session(
    world: World, always_connect: bool, by: str
) -> None:
    one, two, three = _server(world, always_connect), _server(world), _server(world)
    await world.connected(two)
    handler = _Handler(one, bans=by == "the handler")
    client = world.client()
    world.dial(client, one)
    await until(lambda: handler.sid)
    held = one.clients.find("/", handler.sid)
    assert held is not None
    pid = held.connection.pid
    assert pid is not None
    if by == "the handler":
        await until(handler.banned.is_set)
    else:
        await (one if by == "its server" else two).sio.disconnect(handler.sid)
    await _nobody_recovers(world, three, pid)
    handler.leave.set()
    await settle()
    assert not client.is_connected
    await _nobody_recovers(world, three, pid)
    client.cut()
    await settle()
    assert one.residue() == {}


async def test_a_new_client_that_is_banned_during_its_first_save_never_has_a_session_to_come_back_to(
    world: World,
) -> None:
    one, two = _server(world), _server(world)
    saving = one.store.hold(SaveSession)
    ending = one.store.hold(SaveSession, only=lambda save: save.state is HolderState.ENDED)
    client = world.client()
    world.dial(client, one)
    await until(lambda: saving.waiting)
    (held,) = one.clients.all()
    ban = asyncio.create_task(one.sio.disconnect(held.connection.sid))
    await settle()
    saving.release()
    await until(lambda: ending.waiting)
    await settle()
    if client.pid and ban.done():
        await _nobody_recovers(world, two, client.pid)
    ending.release()
    await ban
    await until(lambda: client.ended)
    assert held.connection.pid is not None
    assert await _nobody_recovers(world, two, held.connection.pid) is Reason.DISCONNECTED


async def test_a_returning_client_that_is_banned_while_it_is_saved(world: World) -> None:
    one, two = _server(world), _server(world)
    client = await world.connected(one)
    client.cut()
    await settle()
    saving = one.store.hold(SaveSession, only=lambda save: save.state is HolderState.LIVE)
    world.dial(client, one)
    await until(lambda: saving.waiting)
    ban = asyncio.create_task(one.sio.disconnect(client.sid))
    await settle()
    saving.release()
    await ban
    assert await _nobody_recovers(world, two, client.pid) is Reason.DISCONNECTED
    await settle()
    assert client.ended


async def test_a_ban_of_a_client_that_was_claimed_elsewhere_and_nobody_here_knows_yet(world: World) -> None:
    one, two = _server(world), _server(world)
    client, handler = await _back_and_held(world, one)
    await settle()
    lag = one.store.hold_replies(Read)
    world.dial(client, two)
    await until(lambda: client.is_connected)
    assert client.outcomes == ["fresh", "recovered"]
    await one.sio.disconnect(client.sid)
    await settle()
    assert client.ended, "the ban did not follow the session"
    handler.leave.set()
    lag.release()
    await settle()
    assert await _nobody_recovers(world, two, client.pid) is Reason.DISCONNECTED


async def test_what_the_handler_does_after_the_ban_neither_fails_nor_brings_the_session_back(
    world: World,
) -> None:
    one, two = _server(world), _server(world)
    client = await world.connected(one)
    client.cut()
    await settle()

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        await one.sio.emit("you are banned", to=sid)
        await one.sio.disconnect(sid)
        await one.sio.enter_room(sid, "room")
        await one.sio.save_session(sid, {"user": 1})

    one.sio.on("connect", connect)
    world.dial(client, one)
    await until(lambda: client.ended)
    assert client.events == [["you are banned"]]
    assert await _nobody_recovers(world, two, client.pid, client.offset) is Reason.DISCONNECTED


async def test_a_ban_that_the_store_does_not_confirm_raises_and_its_client_is_closed_all_the_same(
    world: World,
) -> None:
    server = world.server(publish_timeout=0.05)
    client, handler = await _back_and_held(world, server)
    failures = [server.store.fail(SaveSession), server.store.fail(Append)]
    with pytest.raises(PublishError):
        await server.sio.disconnect(client.sid)
    for failure in failures:
        failure.clear()
    handler.leave.set()
    await until(lambda: client.ended)
    assert await _nobody_recovers(world, server, client.pid) is Reason.DISCONNECTED


async def test_a_store_that_is_away_when_the_handler_of_a_banned_client_returns_is_no_error_of_that_handler(
    world: World,
) -> None:
    """Found by the simulation, seed 57010: the second try to end the session raised where nobody listens."""
    server = world.server(publish_timeout=0.05)
    client, handler = await _back_and_held(world, server)
    await server.sio.disconnect(client.sid)
    failures = [server.store.fail(SaveSession), server.store.fail(Append)]
    handler.leave.set()
    await until(lambda: server.clients.find("/", client.sid) is None)  # its transport was closed
    for failure in failures:
        failure.clear()
    assert await _nobody_recovers(world, server, client.pid) is Reason.DISCONNECTED
