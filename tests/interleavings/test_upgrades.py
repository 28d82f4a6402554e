"""Polling becomes WebSocket while packets flow: none may be lost, doubled, or overtake another."""

import pytest

from recovery.commands import ClaimSession
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until
from tests.interleavings.transports import UpgradingTransport


async def _polling(world: World, server: Server) -> tuple[Client, UpgradingTransport]:
    client = world.client()
    transport = UpgradingTransport(server.app)
    client.open(transport)
    await until(lambda: client.is_connected)
    await settle()
    return client, transport


async def _upgrade(transport: UpgradingTransport) -> None:
    transport.probe()
    await until(lambda: transport.probed)
    transport.pause()
    await until(lambda: transport.paused)
    transport.upgrade()
    await settle()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_packets_flow_through_an_upgrade(world: World, turns: int) -> None:
    server = world.server()
    client, transport = await _polling(world, server)
    number = 0

    async def some() -> None:
        nonlocal number
        for _ in range(3):
            number += 1
            await server.sio.emit("n", number)
            await settle(turns)

    await some()
    transport.probe()
    await some()
    await until(lambda: transport.probed)
    await some()
    transport.pause()
    await some()
    await until(lambda: transport.paused)
    await some()
    transport.upgrade()
    await some()
    await settle()
    assert client.got("n") == list(range(1, number + 1))
    client.cut()
    await some()
    await world.connect(client, server)
    await settle()
    assert client.got("n") == list(range(1, number + 1))
    assert client.outcomes == ["fresh", "recovered"]


@pytest.mark.parametrize("stage", ["probing", "probed", "paused", "upgraded"])
async def test_the_network_dies_within_an_upgrade(world: World, stage: str) -> None:
    server = world.server()
    client, transport = await _polling(world, server)
    await server.sio.emit("n", 1)
    await settle()
    transport.probe()
    if stage != "probing":
        await until(lambda: transport.probed)
    if stage in {"paused", "upgraded"}:
        transport.pause()
        await until(lambda: transport.paused)
    if stage == "upgraded":
        transport.upgrade()
    await server.sio.emit("n", 2)
    client.cut()
    await server.sio.emit("n", 3)
    await world.connect(client, server)
    await server.sio.emit("n", 4)
    await settle()
    assert client.got("n") == [1, 2, 3, 4]
    assert client.outcomes == ["fresh", "recovered"]


async def test_an_upgrade_while_the_connect_handler_of_a_recovery_runs(world: World) -> None:
    server = world.server()
    client, _ = await _polling(world, server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await server.sio.emit("n", 2)
    gate = server.store.hold_replies(ClaimSession)
    transport = UpgradingTransport(server.app)
    client.open(transport)
    await until(lambda: gate.waiting)
    await _upgrade(transport)
    await server.sio.emit("n", 3)
    gate.release()
    await until(lambda: client.is_connected)
    await server.sio.emit("n", 4)
    await settle()
    assert client.got("n") == [1, 2, 3, 4]
    assert client.outcomes == ["fresh", "recovered"]


@pytest.mark.parametrize("stage", ["probed", "paused", "upgraded"])
async def test_the_server_closes_within_an_upgrade(world: World, stage: str) -> None:
    """As it does with a slow consumer: the client must hear of it, on either transport."""
    server = world.server(max_client_buffer=5)
    client, transport = await _polling(world, server)
    world.expects_errors = True  # engineio logs a GET of a session that is gone
    transport.probe()
    await until(lambda: transport.probed)
    if stage in {"paused", "upgraded"}:
        transport.pause()
        await until(lambda: transport.paused)
    if stage == "upgraded":
        transport.upgrade()
        await settle()
        transport._websocket.stall()
    for number in range(8):
        await server.sio.emit("n", number)
    await settle()
    if stage == "paused":
        transport.upgrade()
    if stage == "upgraded":
        transport._websocket.unstall()
    await settle()
    if transport.closed:
        await world.connect(client, server)
    await settle()
    assert client.got("n") == list(range(8))
