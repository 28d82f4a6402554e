"""The store loses sessions, and servers save them again: the one that has the client prevails."""

import pytest

from recovery.commands import Read, SaveSession
from tests.interleavings.harness import World, settle


@pytest.mark.parametrize("first", ["the frozen one", "the holder"])
async def test_a_frozen_server_does_not_prevail_when_the_session_is_lost(world: World, first: str) -> None:
    frozen, holder, third = world.server(), world.server(takeover_timeout=0.02), world.server()
    client = await world.connected(frozen)
    await frozen.sio.emit("n", 1)
    await settle()
    reading, saving = frozen.store.hold_replies(Read), frozen.store.hold(SaveSession)
    client.transport.vanish()
    await world.connect(client, holder)
    await holder.sio.enter_room(client.sid, "room")
    world.state.lose_sessions()
    if first == "the holder":
        await holder.checkpoint()
    saving.release()
    await frozen.checkpoint()
    await settle()
    await holder.checkpoint()
    reading.release()
    await settle()
    assert client.is_connected
    client.cut()
    await settle()
    await third.sio.emit("n", 2, room="room")
    await world.connect(client, third)
    assert client.outcomes == ["fresh", "recovered", "recovered"]
    assert client.got("n") == [1, 2]
