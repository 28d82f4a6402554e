"""The window: ``max_disconnection_duration`` from the close, however slow the application's handlers are."""

import asyncio
import time
from typing import Any

import pytest

from recovery.reasons import Reason
from recovery.records import Pid
from tests.interleavings.clock import Clock
from tests.interleavings.harness import Server, World, settle, until

_WINDOW = 10.0


def _server(world: World, **options: Any) -> Server:
    return world.server(max_disconnection_duration=_WINDOW, checkpoint_interval=3600.0, **options)


def _left(world: World, pid: str) -> float:
    """Seconds until a session expires."""
    return world.state._claims[Pid(pid)].deadline / 1000 - time.time()


@pytest.mark.parametrize("elapsed", [_WINDOW - 0.1, _WINDOW + 0.1])
async def test_the_window_ends_when_it_should(world: World, clock: Clock, elapsed: float) -> None:
    server = _server(world)
    client = await world.connected(server)
    client.cut()
    await settle()
    clock.advance(elapsed)
    await world.connect(client, server)
    assert client.outcomes[-1] == ("recovered" if elapsed < _WINDOW else "fresh")
    assert server.manager.outcomes == (
        {"recovered": 1} if elapsed < _WINDOW else {Reason.SESSION_EXPIRED.value: 1}
    )


async def test_a_slow_disconnect_handler_does_not_lengthen_the_window(world: World, clock: Clock) -> None:
    one, two = _server(world, takeover_timeout=0.01), _server(world, takeover_timeout=0.01)
    leave = asyncio.Event()

    async def disconnect(_sid: str, _reason: str) -> None:
        await leave.wait()

    one.sio.on("disconnect", disconnect)
    client = await world.connected(one)
    client.cut()
    await settle()
    clock.advance(6)
    await settle()
    assert _left(world, client.pid) == pytest.approx(4, abs=0.1)
    leave.set()
    await settle()
    assert _left(world, client.pid) == pytest.approx(4, abs=0.1), "counted from the close"
    clock.advance(5)
    await world.connect(client, two)
    assert two.manager.outcomes == {Reason.SESSION_EXPIRED.value: 1}


async def test_a_disconnect_handler_slower_than_the_window(world: World, clock: Clock) -> None:
    server = _server(world)
    leave = asyncio.Event()

    async def disconnect(_sid: str, _reason: str) -> None:
        await leave.wait()

    server.sio.on("disconnect", disconnect)
    client = await world.connected(server)
    client.cut()
    await settle()
    clock.advance(_WINDOW + 1)
    leave.set()
    await settle()
    clock.advance(0.1)
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"
    assert server.manager.outcomes == {Reason.SESSION_EXPIRED.value: 1}
    client.cut()
    await settle()


@pytest.mark.parametrize("elapsed", [_WINDOW + 1, 4 * _WINDOW])
@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_connect_handler_slower_than_the_window(
    world: World, clock: Clock, elapsed: float, always_connect: bool
) -> None:
    """The client came in time, and its transport lived: it is recovered, and may recover again."""
    server = _server(world, server_options={"always_connect": always_connect, "ping_timeout": 600})
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await server.sio.emit("n", 2)
    await settle()
    clock.advance(5)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        entered.set()
        await leave.wait()

    server.sio.on("connect", connect)
    world.dial(client, server)
    await until(entered.is_set)
    clock.advance(elapsed)
    await settle()
    await server.sio.emit("n", 3)
    leave.set()
    await until(lambda: client.got("n") == [1, 2, 3])
    assert client.outcomes[-1] == "recovered"
    client.cut()
    await settle()
    assert _left(world, client.pid) == pytest.approx(_WINDOW, abs=0.1)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"


@pytest.mark.parametrize("always_connect", [False, True])
async def test_refused_attempts_do_not_lengthen_the_window(
    world: World, clock: Clock, always_connect: bool
) -> None:
    server = _server(world, server_options={"always_connect": always_connect})
    client = await world.connected(server)
    pid, refuse = client.pid, True

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> bool:
        return not refuse

    server.sio.on("connect", connect)
    client.cut()
    await settle()
    for attempt in range(1, 4):
        clock.advance(3)
        world.dial(client, server)
        await settle()
        client.cut()
        await settle()
        assert _left(world, pid) == pytest.approx(_WINDOW - 3 * attempt, abs=0.1)
    refuse = False
    clock.advance(2)
    await world.connect(client, server)
    counted = {outcome: times for outcome, times in server.manager.outcomes.items() if times}
    assert counted == {Reason.REFUSED.value: 3, Reason.SESSION_EXPIRED.value: 1}


async def test_the_transport_dies_within_a_slow_connect_handler(world: World, clock: Clock) -> None:
    """It was never let in: the session keeps its deadline."""
    server = _server(world)
    client = await world.connected(server)
    client.cut()
    await settle()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        entered.set()
        await leave.wait()

    server.sio.on("connect", connect)
    world.dial(client, server)
    await until(entered.is_set)
    await server.socket_of(client).close(wait=False, abort=True, reason="transport close")
    client.cut()
    clock.advance(6)
    leave.set()
    await settle()
    assert _left(world, client.pid) == pytest.approx(4, abs=0.1)


async def test_pings_were_missed_while_the_connect_handler_ran(world: World, clock: Clock) -> None:
    """engineio reads no PONG meanwhile, and finds the client gone at the moment of CONNECT."""
    world.expects_errors = True
    server = _server(world)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        entered.set()
        await leave.wait()

    server.sio.on("connect", connect)
    client = world.client()
    world.dial(client, server)
    await until(entered.is_set)
    await server.ping(client)
    clock.advance(21)
    leave.set()
    await settle()
    client.cut()
    await settle()
    assert server.residue() == {}


@pytest.mark.parametrize("always_connect", [False, True])
async def test_pings_were_missed_while_the_connect_handler_of_a_recovery_ran(
    world: World, clock: Clock, always_connect: bool
) -> None:
    world.expects_errors = True
    server = _server(world, server_options={"always_connect": always_connect})
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await server.sio.emit("n", 2)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> None:
        entered.set()
        await leave.wait()

    server.sio.on("connect", connect)
    world.dial(client, server)
    await until(entered.is_set)
    await server.ping(client)
    clock.advance(21)
    leave.set()
    await settle()
    client.cut()
    await settle()
    assert server.residue() == {}
