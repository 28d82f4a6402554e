"""A client whose process died has handled less than it had proven to have received, and says so."""

from recovery.reasons import Reason
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle


async def _prove(server: Server, client: Client) -> None:
    await server.ping(client)
    await settle()
    await server.checkpoint()


def _handled(client: Client, number: int, *, exact: bool = True) -> None:
    """Come back as a process that has handled so many packets, and lost the others."""
    client.cut()
    socket = client.sockets["/"]
    socket.offset = socket.offsets[number - 1] if number else ""
    socket.events.clear()
    if exact:
        socket.auth["offset_exact"] = True


async def test_what_was_proven_and_not_handled_is_sent_again(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    for number in (1, 2, 3, 4):
        await one.sio.emit("n", number)
    await settle()
    await _prove(one, client)
    _handled(client, 2)
    await world.connect(client, two)
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n") == [3, 4]


async def test_a_client_that_has_handled_nothing_gets_everything(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    await _prove(server, client)
    _handled(client, 0)
    await world.connect(client, server)
    assert client.got("n") == [1]


async def test_without_a_word_what_was_proven_counts_as_handled(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    for number in (1, 2):
        await server.sio.emit("n", number)
    await settle()
    await _prove(server, client)
    _handled(client, 1, exact=False)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert client.got("n") == []


async def test_the_application_does_not_see_the_word(world: World) -> None:
    server = world.server()
    seen: list[object] = []

    async def connect(_sid: str, _environ: object, auth: object = None) -> None:
        seen.append(auth)

    server.sio.on("connect", connect)
    client = await world.connected(server, user="ann")
    _handled(client, 0)
    await world.connect(client, server)
    assert seen == [{"user": "ann"}, {"user": "ann"}]


async def test_packets_of_a_room_that_it_is_in_are_sent_again(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    await server.sio.enter_room(client.sid, "red")
    await server.sio.emit("n", 1, room="red")
    await server.sio.emit("n", 2, room="blue")
    await server.sio.emit("n", 3, room="red")
    await settle()
    await _prove(server, client)
    _handled(client, 1)
    await world.connect(client, server)
    assert client.got("n") == [1, 3]


async def test_where_its_rooms_of_then_are_forgotten_it_is_refused(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await server.sio.enter_room(client.sid, "red")
    await server.sio.emit("n", 2, room="red")
    await server.sio.leave_room(client.sid, "red")
    await server.sio.emit("n", 3)
    await settle()
    await _prove(server, client)
    await server.sio.save_session(client.sid, {})  # writes the rooms, without what was proven before
    _handled(client, 1)
    await world.connect(client, server)
    assert client.outcomes[-1] == "fresh"
    assert client.reasons[-1] == Reason.OFFSET_TRIMMED.value


async def test_what_came_after_is_forgotten_less(world: World) -> None:
    """The same, but everything up to the leaving was handled."""
    server = world.server()
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "red")
    await server.sio.emit("n", 1, room="red")
    await server.sio.leave_room(client.sid, "red")
    await server.sio.emit("n", 2)
    await server.sio.emit("n", 3)
    await settle()
    await _prove(server, client)
    await server.sio.save_session(client.sid, {})
    _handled(client, 2)
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"
    assert client.got("n") == [3]


async def test_after_that_it_presents_what_it_receives_as_ever(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    for number in (1, 2):
        await server.sio.emit("n", number)
    await settle()
    await _prove(server, client)
    _handled(client, 1)
    await world.connect(client, server)
    del client.sockets["/"].auth["offset_exact"]
    client.cut()
    await server.sio.emit("n", 3)
    await world.connect(client, server)
    assert client.outcomes[-2:] == ["recovered", "recovered"]
    assert client.got("n") == [2, 3]
