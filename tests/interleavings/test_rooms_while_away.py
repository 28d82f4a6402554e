"""Rooms that change elsewhere while a client is away: its replay has what it would have got live."""

import pytest

from tests.interleavings.harness import World, settle


@pytest.mark.parametrize("returns_to", [0, 1])
@pytest.mark.parametrize("live", [True, False], ids=["live", "away"])
async def test_rooms_entered_left_and_closed_elsewhere(world: World, live: bool, returns_to: int) -> None:
    servers = [world.server(), world.server()]
    one, two = servers
    client = await world.connected(one)
    await one.sio.enter_room(client.sid, "old")
    await one.sio.enter_room(client.sid, "kept")
    await one.sio.emit("n", 0)
    await settle()
    if not live:
        client.cut()
        await settle()
    sid = client.sid
    await two.sio.emit("n", -1, room="new")
    await two.sio.emit("n", 1, room="old")
    await two.sio.enter_room(sid, "new")
    await two.sio.emit("n", 2, room="new")
    await two.sio.emit("n", 3, room=["new", "old", "kept"])
    await two.sio.close_room("old")
    await two.sio.emit("n", -2, room="old")
    await one.sio.emit("n", 4, room="kept")
    await two.sio.close_room("new")
    await two.sio.emit("n", -3, room="new")
    await settle()  # between servers the order is that of the stream, as far as each has read it
    await one.sio.enter_room(sid, "new")
    await two.sio.emit("n", 5, room="new", skip_sid=["somebody"])
    await two.sio.emit("n", -4, room="new", skip_sid=sid)
    await two.sio.leave_room(sid, "kept")
    await two.sio.emit("n", -5, room="kept")
    await one.sio.emit("n", 6)
    await settle()
    if live:
        assert client.got("n") == list(range(7))
        client.cut()
        await settle()
    await world.connect(client, servers[returns_to])
    assert client.got("n") == list(range(7))
    assert client.outcomes == ["fresh", "recovered"]
    assert set(servers[returns_to].manager.get_rooms(sid, "/")) == {sid, "new"}
    await two.sio.emit("n", -6, room="old")
    await one.sio.emit("n", 7, room="new")
    await settle()
    assert client.got("n") == list(range(8))
    client.cut()
    await settle()
    await two.sio.emit("n", 8, room="new")
    await world.connect(client, servers[1 - returns_to])
    assert client.got("n") == list(range(9))
