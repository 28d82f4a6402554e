"""After many clients have come and gone, nothing of them is left in any table of the process."""

import gc
from asyncio import gather
from typing import Any
from weakref import ref

from tests.interleavings.client import Client
from tests.interleavings.clock import stopped_clock
from tests.interleavings.harness import Server, World, settle

_CLIENTS = 200


def _left(server: Server) -> dict[str, object]:
    process, runtime = server.manager._process, server.runtime
    dispatcher = runtime.dispatcher
    tables: dict[str, Any] = {
        "indexed": dispatcher._indexed,
        "leaving": dispatcher._leaving,
        "passing": len(runtime.positions),
        "releases": len(runtime.releases),
        "callbacks": process.requests._callbacks,
        "answers": process.requests._answers,
        "writes": runtime.sessions._waiting,
        "publishes": runtime._publisher._waiting,
        "eio_to_sid": server.manager.eio_to_sid,
        "admitted": server.manager._gate._admitted,  # type: ignore[union-attr]  # a server has a gate
        "binary": server.sio._binary_packet,
    }
    return {**server.residue(), **{name: table for name, table in tables.items() if table}}


def _nobody(*_args: Any) -> None:
    pass


async def _arrive(servers: list[Server], world: World, clients: list[Client]) -> None:
    for number, client in enumerate(clients):
        world.dial(client, servers[number % 2], polling=number % 10 == 0)
    await settle(400)
    assert all(client.is_connected for client in clients)


async def _live_here(servers: list[Server], clients: list[Client]) -> None:
    for number, client in enumerate(clients):
        server = servers[number % 2]
        await server.sio.enter_room(client.sid, f"room {number % 7}")
        await servers[0].sio.enter_room(client.sid, "elsewhere")
        await servers[1].sio.save_session(client.sid, {"n": number})
        await server.sio.emit("n", number, to=client.sid, callback=_nobody)
    await settle(200)
    await servers[0].sio.leave_room(clients[1].sid, "elsewhere")


async def _drop_and_return(servers: list[Server], world: World, clients: list[Client]) -> None:
    """Of five, one stays open and is taken over, one drops and returns, and three drop for good."""
    for number, client in enumerate(clients):
        if number % 5:
            client.cut()
    await settle(200)
    await servers[0].sio.emit("m", 0)
    for number, client in enumerate(clients):
        if number % 5 == 1:
            world.dial(client, servers[number // 2 % 2])
        if number % 5 == 0:
            world.dial(client, servers[(number + 1) % 2])
    await settle(400)
    assert all(client.got("m") == [0] for number, client in enumerate(clients) if number % 5 < 2)


async def test_nothing_is_left_of_many_clients(world: World) -> None:
    world.expects_errors = True  # engineio logs a GET of a session that is gone
    with stopped_clock() as clock:
        servers = [world.server(max_disconnection_duration=10.0) for _ in range(2)]
        clients = [world.client() for _ in range(_CLIENTS)]
        await _arrive(servers, world, clients)
        await _live_here(servers, clients)
        await _drop_and_return(servers, world, clients)
        await servers[0].sio.close_room("elsewhere")
        for client in clients[::5]:
            client.disconnect()
        await settle(200)
        for client in clients:
            client.cut()
        await settle(200)
        for _ in range(8):  # those by polling are found out by their missed PONGs
            clock.advance(26)
            await settle(100)
        for server in servers:
            for socket in list(server.sio.eio.sockets.values()):
                await socket.check_ping_timeout()
        await settle(200)
        assert [_left(server) for server in servers] == [{}, {}]


async def _come_and_go(server: Server, world: World) -> list[ref[Any]]:
    """Connect some clients and cut them off; return their Engine.IO sockets."""
    clients = [world.client() for _ in range(10)]
    for number, client in enumerate(clients):
        world.dial(client, server, polling=number % 5 == 0)
    await settle(400)
    made = [ref(server.socket_of(client)) for client in clients]
    for client in clients:
        client.cut()
    await settle(400)
    return made


async def test_nothing_that_was_made_for_a_client_stays_in_memory(world: World) -> None:
    """A weak table is none if its values hold its keys."""
    with stopped_clock() as clock:
        server = world.server(max_disconnection_duration=10.0)
        made = await _come_and_go(server, world)
        clock.advance(60)
        await gather(*(socket.check_ping_timeout() for socket in server.sio.eio.sockets.values()))  # polling
        await settle(400)
        gc.collect()
        assert [one() for one in made if one() is not None] == []
