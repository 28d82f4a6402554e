"""One owner per offset: a session changes hands while its old connection is open, late, slow, or gone."""

import asyncio
from typing import Any

import pytest

from recovery.commands import Append, ClaimSession, Read, ReadBack, SaveSession
from recovery.core.connection import Phase
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until


def _two(world: World, which: str, **options: Any) -> tuple[Server, Server]:
    """The server of the old connection, and that of the new one."""
    old = world.server(**options)
    return old, old if which == "same server" else world.server(**options)


both = pytest.mark.parametrize("which", ["same server", "other server"])


def _live(*servers: Server) -> int:
    return sum(
        connection.phase is Phase.LIVE
        for server in servers
        for connection in server.runtime.dispatcher.connections()
    )


@both
async def test_the_old_connection_is_still_open(world: World, which: str) -> None:
    old, new = _two(world, which)
    client = await world.connected(old)
    await old.sio.emit("n", 1)
    await settle()
    for number in range(2, 6):
        world.dial(client, new)  # the old transport is not cut
        await new.sio.emit("n", number)
        await until(lambda: client.is_connected)
    await settle()
    assert client.got("n") == [1, 2, 3, 4, 5]
    assert client.outcomes == ["fresh"] + ["recovered"] * 4
    assert _live(old, new) == 1 or old is new


@both
async def test_packets_on_both_sides_of_the_takeover(world: World, which: str) -> None:
    """What the old connection was sent, but the client never read, is sent again; what it read is not."""
    old, new = _two(world, which)
    client = await world.connected(old)
    await old.sio.emit("n", 1)
    await settle()
    client.transport.vanish()
    await old.sio.emit("n", 2)
    await settle()
    gate = new.store.hold(SaveSession)
    world.dial(client, new)
    await settle()
    await old.sio.emit("n", 3)
    await settle()
    gate.release()
    await until(lambda: client.is_connected)
    await new.sio.emit("n", 4)
    await settle()
    assert client.got("n") == [1, 2, 3, 4]


@both
async def test_a_slow_disconnect_handler_of_the_old_connection(world: World, which: str) -> None:
    old, new = _two(world, which, takeover_timeout=0.01)
    finish = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        await finish.wait()

    old.sio.on("disconnect", disconnect)
    client = await world.connected(old)
    await old.sio.enter_room(client.sid, "room")
    client.cut()
    world.dial(client, new)
    await settle()
    await old.sio.emit("n", 1, room="room")
    if which == "other server":
        await until(lambda: client.is_connected)
    finish.set()  # the late cleanup, under the same sid
    await until(lambda: client.is_connected)
    await settle()
    await new.sio.emit("n", 2, room="room")
    await settle()
    assert client.got("n") == [1, 2]
    assert "room" in new.sio.rooms(client.sid)
    client.emit("hello")
    client.cut()
    await settle()
    assert old.residue() == {}
    assert new.residue() == {}


@both
async def test_several_attempts_while_the_old_disconnect_handler_runs(world: World, which: str) -> None:
    """The last attempt is the client; the others are transports that died without the server's noticing."""
    old, new = _two(world, which, takeover_timeout=0.01)
    finish = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        await finish.wait()

    old.sio.on("disconnect", disconnect)
    client = await world.connected(old)
    client.cut()
    await settle()
    for _ in range(3):
        world.dial(client, new)
        await settle()
        client.cut()
        await settle()
    await old.sio.emit("n", 1)
    world.dial(client, new)
    await settle()
    finish.set()
    await until(lambda: client.is_connected)
    # An attempt on the other server may have been let in, after takeover_timeout, before it was cut.
    assert set(client.outcomes[1:]) == {"recovered"}
    assert client.got("n") == [1]
    client.cut()
    await until(lambda: new.residue() == {}, "nothing left")


@both
async def test_an_attempt_served_late_does_not_strand_the_client(world: World, which: str) -> None:
    """A claim that was delayed in the network overtakes the connection that the client has by now."""
    late, new = _two(world, which)
    client = await world.connected(new)
    client.cut()
    await settle()
    held = late.store.hold(ClaimSession)
    world.dial(client, late)
    await until(lambda: held.waiting)
    client.cut()  # and tries elsewhere
    if which == "same server":
        late.store._before.remove(held)
    await world.connect(client, new)
    held.release()
    await settle()
    await new.sio.emit("n", 1)
    if not client.ended and not client.is_connected:
        await world.connect(client, new)
    await settle()
    assert not client.ended, "JavaScript does not come back after a DISCONNECT"
    assert client.got("n") == [1]
    assert client.outcomes[1:] == ["recovered"] * (len(client.outcomes) - 1)


@both
async def test_two_presenters_at_once(world: World, which: str) -> None:
    """Whoever presents the pid: one of them has the session, and the other is told."""
    one, two = _two(world, which)
    client = await world.connected(one)
    client.cut()
    await settle()
    twin = Client()
    world.clients.append(twin)
    twin.sockets["/"].pid, twin.sockets["/"].offset = client.pid, client.offset
    world.dial(client, one)
    world.dial(twin, two)
    await settle()
    for each in (client, twin):
        if not each.is_connected:
            assert not each.ended
    assert [client.outcomes[-1], twin.outcomes[-1:]].count("recovered") <= 1
    assert _live(one, two) >= 1 if one is two else True


async def test_an_older_claim_does_not_wait_for_a_newer_connection_to_end(world: World) -> None:
    """Two attempts on one server; the older one is held up, and arrives when the newer one is live."""
    server = world.server()
    await server.runtime.start()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    client.cut()
    await settle()
    held = server.store.hold_replies(ClaimSession)
    world.dial(client, server)
    await until(lambda: held.waiting)
    server.store._after.remove(held)
    client.cut()
    await world.connect(client, server)
    held.release()
    await settle()
    assert server.connecting == set()
    await server.sio.emit("n", 2)
    await settle()
    assert client.got("n") == [1, 2]
    assert client.is_connected


async def test_the_holder_reads_late(world: World) -> None:
    """The old server has not read the takeover when the new one accepts: its packets go to nobody."""
    old, new = world.server(takeover_timeout=0.01), world.server(takeover_timeout=0.01)
    client = await world.connected(old)
    lag = old.store.hold_replies(Read)
    await settle()
    world.dial(client, new)
    await new.sio.emit("n", 1)
    await until(lambda: client.is_connected)
    await new.sio.emit("n", 2)
    await settle()
    lag.release()
    await settle()
    assert client.got("n") == [1, 2]
    assert _live(old) == 0
    await until(lambda: set(old.residue()) <= {"environ", "sockets"}, "nothing left but a transport")


async def test_the_new_reader_lags_behind_the_saved_state(world: World) -> None:
    old, new = world.server(), world.server()
    client = await world.connected(old)
    await new.runtime.start()
    await settle()
    lag = new.store.hold_replies(Read)
    await old.sio.enter_room(client.sid, "room")
    for number in range(1, 4):
        await old.sio.emit("n", number, room="room")
    await settle()
    client.cut()
    await settle()
    await old.sio.emit("n", 4, room="room")
    world.dial(client, new)
    await settle()
    assert not client.is_connected, "accepted before the reader passed what the client has"
    lag.release()
    await until(lambda: client.is_connected)
    await settle()
    assert client.got("n") == [1, 2, 3, 4]
    assert client.outcomes[-1] == "recovered"


async def test_a_refused_claim_leaves_the_live_connection_alone(world: World) -> None:
    """Somebody presents the pid with an offset from the future: nothing may happen to the client."""
    one, two = world.server(), world.server()
    client = await world.connected(one)
    stranger = Client()
    world.clients.append(stranger)
    stranger.sockets["/"].pid, stranger.sockets["/"].offset = client.pid, "99999999999999-0"
    await world.connect(stranger, two)
    assert stranger.outcomes == ["fresh"]
    await one.checkpoint()
    await settle()
    await one.sio.emit("n", 1)
    if not client.is_connected and not client.ended:
        await world.connect(client, one)
    await settle()
    assert not client.ended
    assert client.got("n") == [1]
    assert set(client.outcomes[1:]) <= {"recovered"}


async def test_a_takeover_while_the_offset_is_checked(world: World) -> None:
    """The claim stands, the check is under way, and the client comes a second time."""
    old, new = world.server(), world.server()
    client = await world.connected(old)
    await new.runtime.start()
    await settle()
    lag = new.store.hold_replies(Read)
    await old.sio.emit("n", 1)
    await settle()
    client.cut()
    await settle()
    check = new.store.hold(ReadBack)
    world.dial(client, new)
    await until(lambda: check.waiting)
    client.cut()
    await world.connect(client, old)
    check.release()
    lag.release()
    await settle()
    await old.sio.emit("n", 2)
    if not client.is_connected and not client.ended:
        await world.connect(client, old)
    await settle()
    assert not client.ended
    assert client.got("n") == [1, 2]
    assert set(client.outcomes[1:]) <= {"recovered"}


async def test_the_takeover_entry_is_confirmed_late(world: World) -> None:
    old, new = world.server(), world.server()
    client = await world.connected(old)
    await new.runtime.start()
    held = new.store.hold_replies(Append)
    world.dial(client, new)
    await until(lambda: held.waiting)
    await old.sio.emit("n", 1)
    await settle()
    held.release()
    await until(lambda: client.is_connected)
    await settle()
    assert client.got("n") == [1]
    assert client.outcomes == ["fresh", "recovered"]
