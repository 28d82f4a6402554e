"""Disconnects that race with the end of the transport, or with a move: none may be lost, none may stick."""

import asyncio

import pytest

from recovery.commands import Append, Read, SaveSession
from recovery.reasons import Reason
from tests.interleavings.harness import Server, World, settle, until


def _slow_disconnect(server: Server) -> asyncio.Event:
    """Let disconnect handlers wait for an event."""
    finish = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        server.disconnected.append((sid, reason))
        await finish.wait()

    server.sio.on("disconnect", disconnect)
    return finish


async def _is_refused(world: World, client: object, server: Server) -> None:
    await world.connect(client, server)  # type: ignore[arg-type]
    assert client.outcomes[-1] == "fresh"  # type: ignore[attr-defined]
    assert server.manager.recovery(client.sid).reason is Reason.DISCONNECTED  # type: ignore[attr-defined]


async def test_a_disconnect_by_the_client_is_final(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.disconnect()
    client.cut()
    await settle()
    await _is_refused(world, client, server)


@pytest.mark.parametrize("at", ["same server", "other server"])
async def test_a_disconnect_of_a_client_that_is_away_is_final(world: World, at: str) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    client.cut()
    await settle()
    await (one if at == "same server" else two).sio.disconnect(client.sid)
    await _is_refused(world, client, two)


@pytest.mark.parametrize("at", ["same server", "other server"])
async def test_a_disconnect_while_the_disconnect_handler_runs_is_final(world: World, at: str) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    finish = _slow_disconnect(one)
    client.cut()
    await until(lambda: one.disconnected)
    await (one if at == "same server" else two).sio.disconnect(client.sid)
    finish.set()
    await settle()
    await _is_refused(world, client, one)


async def test_a_disconnect_that_waits_for_the_reader_while_the_transport_closes_is_final(
    world: World,
) -> None:
    server = world.server()
    client = await world.connected(server)
    await settle()
    lag = server.store.hold_replies(Read)
    await server.sio.emit("last words")
    ban = asyncio.create_task(server.sio.disconnect(client.sid))
    await settle()
    client.cut()
    await settle()
    lag.release()
    await ban
    await settle()
    await _is_refused(world, client, server)


async def test_a_disconnect_of_a_client_that_moved_on_while_its_old_handler_runs(world: World) -> None:
    one, two = world.server(takeover_timeout=0.01), world.server(takeover_timeout=0.01)
    client = await world.connected(one)
    finish = _slow_disconnect(one)
    client.cut()
    await until(lambda: one.disconnected)
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "recovered"]
    await one.sio.disconnect(client.sid)  # here is only what is left of its old connection
    await settle()
    finish.set()
    assert client.ended


async def test_a_disconnect_of_a_client_that_returns_while_it_waits_for_the_reader(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await settle()
    lag = server.store.hold_replies(Read)
    await server.sio.emit("last words")
    ban = asyncio.create_task(server.sio.disconnect(client.sid))
    await settle()
    client.cut()
    world.dial(client, server)
    await settle()
    lag.release()
    await ban
    await settle()
    assert client.ended or client.outcomes[-1] == "fresh"


async def test_packets_before_a_disconnect_arrive_and_none_after(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    lag = server.store.hold_replies(Read)

    async def say_goodbye() -> None:
        await server.sio.emit("n", 1, to=client.sid)
        await server.sio.disconnect(client.sid)

    task = asyncio.create_task(say_goodbye())
    await settle()
    lag.release()
    await task
    await server.sio.emit("n", 2, to=client.sid)
    await settle()
    assert client.got("n") == [1]
    assert client.ended


async def test_a_disconnect_from_another_server_while_the_client_is_held(world: World) -> None:
    one, two = world.server(), world.server()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def connect(sid: str, environ: object, auth: object = None) -> None:
        entered.set()
        await go_on.wait()

    client = await world.connected(two)
    client.cut()
    await settle()
    one.sio.on("connect", connect)
    world.dial(client, one)
    await entered.wait()
    await two.sio.disconnect(client.sid)
    await settle()
    go_on.set()
    await settle()
    assert not client.is_connected
    await _is_refused(world, client, two)


async def test_a_disconnect_while_the_client_is_taking_over(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await two.runtime.start()
    gate = two.store.hold(Append)
    world.dial(client, two)  # the old transport is still open
    await until(lambda: gate.waiting)
    await one.sio.disconnect(client.sid)
    await settle()
    gate.release()
    await settle()
    assert client.outcomes[-1:] != ["recovered"]


@pytest.mark.parametrize("how", ["transport closes", "taken over"])
async def test_a_disconnect_handler_that_raises_does_not_block_the_return(world: World, how: str) -> None:
    server = world.server()
    client = await world.connected(server)

    async def disconnect(sid: str, reason: str) -> None:
        raise RuntimeError("a defect of the application")

    server.sio.on("disconnect", disconnect)
    world.expects_errors = True
    if how == "transport closes":
        client.cut()
        await settle()
    await server.sio.emit("n", 1)
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]


async def test_a_disconnect_handler_that_raises_leaks_nothing(world: World) -> None:
    server = world.server()
    client = await world.connected(server)

    async def disconnect(sid: str, reason: str) -> None:
        raise RuntimeError("a defect of the application")

    server.sio.on("disconnect", disconnect)
    world.expects_errors = True
    client.cut()
    await settle()
    assert server.residue() == {}


async def test_a_sid_stays_taken_while_its_disconnect_handler_runs_whoever_began_that(world: World) -> None:
    """The application disconnects a client whose transport has just closed, and is still being saved."""
    server, bye = world.server(), asyncio.Event()

    async def disconnect(_sid: str, _reason: str) -> None:
        await bye.wait()

    server.sio.on("disconnect", disconnect)
    client = await world.connected(server)
    gate = server.store.hold(SaveSession)
    client.cut()
    await until(lambda: gate.waiting)
    ending = asyncio.create_task(server.sio.disconnect(client.sid))
    await until(lambda: client.sid in server.manager.pending_disconnect.get("/", []))
    gate.release()
    await settle()
    assert server.clients.find("/", client.sid) is not None
    bye.set()
    await ending
    await settle()
    assert server.residue() == {}
