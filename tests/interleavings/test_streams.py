"""Several streams: each namespace is in one of them, and what happens to one does not touch the others."""

import pytest

from adapter import AsyncRecoveryManager
from recovery.commands import Append, Read
from recovery.core.health import Trouble
from recovery.errors import ConfigurationError, PublishError
from recovery.reasons import Reason
from recovery.records import Namespace
from recovery.streams import stream_name_of
from tests.interleavings.client import Client
from tests.interleavings.harness import HeldStore, Server, World, settle, until

ROOT, CHAT, NEWS, TOLD = "/", "/chat", "/news", "/notifications"
COUNT = 3
NAMESPACES = (ROOT, CHAT, NEWS, TOLD)


@pytest.fixture(autouse=True)
def _streams(world: World) -> None:
    world.settings["stream_count"] = COUNT


def _server(world: World) -> Server:
    server = world.server()
    server.sio.namespaces = list(NAMESPACES)
    return server


def _name(namespace: str) -> str:
    return stream_name_of(namespace, stream_count=COUNT)


def _way(server: Server, namespace: str) -> HeldStore:
    return server.store.streams[_name(namespace)]


async def _numbered(server: Server, numbers: range) -> None:
    for number in numbers:
        for namespace in NAMESPACES:
            await server.sio.emit("n", number, namespace=namespace)


async def _opened(world: World, server: Server) -> Client:
    client = world.client(*NAMESPACES)
    await world.connect(client, server)
    return client


def test_the_namespaces_of_this_file_are_in_four_streams() -> None:
    assert [_name(each) for each in NAMESPACES] == [
        "socket.io-2",
        "socket.io-1",
        "socket.io-0",
        "socket.io--2",
    ]


async def test_a_client_recovers_in_all_its_namespaces(world: World) -> None:
    one, two = _server(world), _server(world)
    client = await _opened(world, one)
    await _numbered(two, range(3))
    await settle()
    client.cut()
    await settle()
    await _numbered(one, range(3, 6))
    await world.connect(client, two)
    await _numbered(one, range(6, 9))
    await settle()
    for socket in client.sockets.values():
        assert socket.outcomes == ["fresh", "recovered"]
        assert socket.got("n") == list(range(9))


async def test_a_stream_that_is_lost_is_lost_for_its_namespaces_only(world: World) -> None:
    world.expects_errors = True  # the gap is logged
    server = _server(world)
    client = await _opened(world, server)
    bystander = world.client(CHAT)
    await world.connect(bystander, server)
    await _numbered(server, range(1))
    await settle()
    world.state.stream(_name(ROOT)).delete_stream()
    await server.sio.emit("n", 1)
    await until(lambda: not client.is_connected)
    await settle()
    assert bystander.is_connected, "nothing of its stream is missing"
    await _numbered(server, range(2, 4))
    await world.connect(client, server)
    outcomes = {name: socket.outcomes[-1] for name, socket in client.sockets.items()}
    assert outcomes == {ROOT: "fresh", CHAT: "recovered", NEWS: "recovered", TOLD: "recovered"}
    assert client.sockets[ROOT].reasons[-1] == Reason.EPOCH_CHANGED.value
    assert client.sockets[CHAT].got("n") == [0, 2, 3]


async def test_a_stream_that_cannot_be_written_holds_up_its_namespaces_only(world: World) -> None:
    world.settings["publish_timeout"] = 0.2
    server = _server(world)
    client = await _opened(world, server)
    failure = _way(server, ROOT).fail(Append)
    with pytest.raises(PublishError):
        await server.sio.emit("n", 1)
    await server.sio.emit("n", 2, namespace=CHAT)
    await settle()
    assert client.sockets[CHAT].got("n") == [2]
    assert server.manager.health().reasons == (Trouble.STORE_AWAY,), "as well as the worst of its streams"
    failure.clear()
    await server.sio.emit("n", 3)
    await settle()
    assert client.sockets[ROOT].got("n") == [3]
    assert server.manager.health()


async def test_a_reader_that_lags_holds_up_its_namespaces_only(world: World) -> None:
    server = _server(world)
    client = await _opened(world, server)
    gate = _way(server, ROOT).hold_replies(Read)
    await _numbered(server, range(2))
    await settle()
    assert client.sockets[ROOT].got("n") == []
    assert client.sockets[CHAT].got("n") == [0, 1]
    gate.release()
    await until(lambda: client.sockets[ROOT].got("n") == [0, 1])


async def test_an_event_for_servers_needs_no_client_in_its_namespace(world: World) -> None:
    server, emitter = _server(world), world.server()
    heard: list[str] = []
    server.manager.on_server_event("jobs", heard.append, namespace=NEWS)
    await world.connected(server)  # in "/"
    runtime = emitter.manager._process.runtime_of(NEWS)
    await runtime.publish(runtime.drafts.server_event(Namespace(NEWS), ["jobs", "done"]))
    await until(lambda: heard == ["done"])


async def test_a_pid_of_another_namespace_is_refused_as_with_one_stream(world: World) -> None:
    server = _server(world)
    owner = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    thief = world.client(CHAT)
    thief.sockets[CHAT].pid, thief.sockets[CHAT].offset = owner.pid, owner.offset
    owner.cut()
    await world.connect(thief, server)
    assert thief.sockets[CHAT].reasons == [Reason.NAMESPACE_MISMATCH.value]
    await world.connect(owner, server)
    assert owner.outcomes == ["fresh", "recovered"]


async def test_rooms_and_user_sessions_are_changed_across_servers(world: World) -> None:
    one, two = _server(world), _server(world)
    client = await _opened(world, one)
    sid = client.sockets[TOLD].sid
    await two.sio.enter_room(sid, "lobby", namespace=TOLD)
    await two.sio.save_session(sid, {"name": "ann"}, namespace=TOLD)
    assert await two.sio.get_session(sid, namespace=TOLD) == {"name": "ann"}
    await two.sio.emit("n", 1, room="lobby", namespace=TOLD)
    await settle()
    assert client.sockets[TOLD].got("n") == [1]


async def test_nothing_is_left_of_clients(world: World) -> None:
    server = _server(world)
    client = await _opened(world, server)
    await _numbered(server, range(1))
    await settle()
    for namespace in NAMESPACES:
        client.disconnect(namespace)
    client.cut()
    await until(lambda: not server.residue())


async def test_counts_are_those_of_all_streams(world: World) -> None:
    server = _server(world)
    await _opened(world, server)
    await _numbered(server, range(5))
    await settle()
    samples = {sample.name: sample.value for sample in server.manager.metrics()}
    assert samples["socketio_recovery_published_entries_total"] == 5 * len(NAMESPACES)
    assert samples["socketio_recovery_read_entries_total"] >= 5 * len(NAMESPACES)
    assert samples["socketio_recovery_replay_log_entries"] >= 5 * len(NAMESPACES)


class _OneStream:
    """A store of somebody's own, which has no method `stream`."""

    async def execute(self, command: object) -> object:
        raise NotImplementedError

    async def execute_many(self, commands: object) -> object:
        raise NotImplementedError

    async def close(self) -> None: ...


def test_a_store_with_one_stream_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"stream_count is 3, but _OneStream has no method stream"):
        AsyncRecoveryManager(_OneStream(), stream_count=3)  # type: ignore[arg-type]
    AsyncRecoveryManager(_OneStream())  # type: ignore[arg-type]
