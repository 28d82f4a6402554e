"""The end of a server, and processes that only emit: nothing runs on, nothing waits in vain."""

import asyncio
import contextlib
from functools import partial

import pytest

from adapter import AsyncRecoveryManager
from recovery.commands import ClaimSession
from recovery.errors import EncodingError, PublishError
from tests.interleavings.client import Client
from tests.interleavings.harness import HeldStore, World, settle, until


@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_nothing_runs_on(world: World, how: str) -> None:
    server = world.server()
    client = await world.connected(server)
    before = {task for task in asyncio.all_tasks() if "recovery" in task.get_name()}
    assert before
    async with asyncio.timeout(2):
        await (server.manager.close() if how == "close" else server.sio.shutdown())
    await settle()
    left = [
        task
        for task in asyncio.all_tasks()
        if task.get_name().startswith("recovery") or "adapter" in str(task.get_coro())
    ]
    assert left == []
    await server.manager.close()
    client.cut()


async def test_a_disconnect_handler_that_does_not_end_holds_up_no_close(world: World) -> None:
    server = world.server(publish_timeout=0.1)
    gate = asyncio.Event()

    async def wait_for_ever(_sid: str, _reason: str) -> None:
        await gate.wait()

    server.sio.on("disconnect", wait_for_ever)
    client = await world.connected(server)
    async with asyncio.timeout(10):
        await server.manager.close()
    gate.set()
    client.cut()


async def test_a_handler_that_runs_when_the_manager_is_closed_emits_to_its_end(world: World) -> None:
    one, two = world.server(), world.server()
    begun, go = asyncio.Event(), asyncio.Event()

    async def publish(_sid: str) -> None:
        begun.set()
        await go.wait()
        await one.sio.emit("n", 1)

    one.sio.on("publish", publish)
    writer, reader = await world.connected(one), await world.connected(two)
    writer.emit("publish")
    await begun.wait()
    closing = asyncio.create_task(one.manager.close())
    await settle()
    assert not closing.done()
    go.set()
    await closing
    await settle()
    assert reader.got("n") == [1]
    assert await one.sio._trigger_event("publish", "/", writer.sid) is one.sio.not_handled
    writer.cut()


async def test_a_handler_may_close_the_manager_and_does_not_wait_for_itself(world: World) -> None:
    server = world.server(publish_timeout=60.0)
    closed = asyncio.Event()

    async def stop(_sid: str) -> None:
        await server.manager.close()
        closed.set()

    server.sio.on("stop", stop)
    client = await world.connected(server)
    client.emit("stop")
    async with asyncio.timeout(10):
        await closed.wait()
    client.cut()


async def test_clients_of_a_closed_server_recover_elsewhere(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await one.sio.emit("n", 1)
    await settle()
    await one.manager.close()
    await two.sio.emit("n", 2)
    client.cut()
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1, 2]


async def test_a_closed_server_lets_nobody_in(world: World) -> None:
    """A fresh session there would cost the client what it missed; it tries again, and gets elsewhere."""
    one, two = world.server(publish_timeout=0.05), world.server()
    client, newcomer = await world.connected(one), world.client()
    await one.manager.close()
    await two.sio.emit("n", 1)
    for each in (client, newcomer):
        world.dial(each, one)
        await until(partial(_is_turned_away, each), "turned away")
    assert newcomer.outcomes == []
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]
    assert one.residue() == {}


def _is_turned_away(client: Client) -> bool:
    return client.transport is None


async def test_a_server_that_closes_while_it_lets_a_client_in(world: World) -> None:
    one, two = world.server(publish_timeout=0.05), world.server()
    client = await world.connected(two)
    client.cut()
    await settle()
    gate = one.store.hold(ClaimSession)
    world.dial(client, one)
    await until(lambda: gate.waiting)
    await one.manager.close()
    await two.sio.emit("n", 1)
    gate.release()
    await until(lambda: client.transport is None, "turned away")
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [1]
    assert one.residue() == {}


async def test_closing_ends_although_somebody_goes_on_to_emit(world: World) -> None:
    server = world.server()
    client = await world.connected(server)

    async def emit_for_ever() -> None:
        with contextlib.suppress(PublishError):
            while True:
                await server.sio.emit("n", 1)

    emitters = [asyncio.create_task(emit_for_ever()) for _ in range(3)]
    await until(lambda: client.got("n"))
    async with asyncio.timeout(2):
        await server.manager.close()
        await asyncio.gather(*emitters)


async def test_a_write_only_manager(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    writer = AsyncRecoveryManager(HeldStore(world.state), write_only=True)
    async with asyncio.timeout(2):
        await writer.emit("n", 1)
        await writer.enter_room(client.sid, "/", "room")
        await writer.emit("n", 2, room="room")
        await writer.close_room("room")
        await writer.emit("n", 3, room="room")
        await settle()
        assert client.got("n") == [1, 2]
        await writer.disconnect(client.sid, "/")
        await writer.can_disconnect(client.sid, "/")
        await settle()
        assert client.ended
        await writer.close()


async def test_what_cannot_be_sent_is_said(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    with pytest.raises(EncodingError):
        await server.sio.emit("n", object())
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [1]


async def test_an_emit_after_close_is_said(world: World) -> None:
    server = world.server()
    await world.connected(server)
    await server.manager.close()
    async with asyncio.timeout(1):  # at once: there is nothing to wait for
        with pytest.raises(PublishError) as caught:
            await server.sio.emit("n", 1)
    assert not caught.value.maybe_stored
