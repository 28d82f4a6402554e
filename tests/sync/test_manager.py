"""`RecoveryManager` in a server with threads: what only threads can break, and what only its shell does."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import socketio

from adapter import AsyncRecoveryManager, RecoveryManager
from adapter.async_cluster_manager import AsyncClusterManager
from adapter.cluster_manager import ClusterManager
from recovery.commands import Append
from recovery.errors import ConfigurationError, PublishError
from recovery.stores.memory import AsyncMemoryStore, MemoryStore
from tests.sync.harness import Client, Server, open_server
from tests.waiting import wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose clients' heartbeats are quick."""
    with open_server(server={"ping_interval": 0.2, "ping_timeout": 5}) as opened:
        yield opened


class CountingStore(AsyncMemoryStore):
    """Notes how large the batches are."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    async def execute(self, command: Any) -> Any:
        if isinstance(command, Append):
            self.batches.append(len(command.drafts))
        return await super().execute(command)


def _public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def test_both_managers_have_the_same_members_and_parameters() -> None:
    ours, theirs = _public(RecoveryManager), _public(AsyncRecoveryManager)
    assert set(ours) - set(theirs) == {"connect"}  # which the other inherits
    assert set(theirs) <= set(ours)
    of_the_cluster = _public(AsyncClusterManager)
    assert set(_public(ClusterManager)) == set(of_the_cluster)
    for name in [*theirs, *of_the_cluster, "__init__"]:
        one, two = getattr(RecoveryManager, name), getattr(AsyncRecoveryManager, name)
        if inspect.isfunction(one):
            assert list(inspect.signature(one).parameters.values()) == list(
                inspect.signature(two).parameters.values()
            ), name
            assert not inspect.iscoroutinefunction(one)


def test_a_client_that_comes_back_misses_nothing(server: Server) -> None:
    client = server.client()
    server.sio.enter_room(client.sid, "room")
    server.sio.save_session(client.sid, {"a": 1})
    server.sio.emit("n", 1, room="room")
    wait_until(lambda: client.got("n") == [1])
    client.cut()
    server.sio.emit("n", 2, room="room")
    client.connect()
    server.sio.emit("n", 3, room="room")
    wait_until(lambda: client.got("n") == [1, 2, 3])
    assert client.outcomes == ["fresh", "recovered"]
    assert server.manager.recovery(client.sid).replayed == 1
    assert server.sio.get_session(client.sid) == {"a": 1}
    assert set(server.sio.rooms(client.sid)) == {client.sid, "room"}
    assert server.manager.outcomes == {"recovered": 1}


def test_emits_of_many_threads_go_out_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    store = CountingStore()
    manager = RecoveryManager(store, write_only=True)
    manager.emit("first")
    busy, posted, post = threading.Event(), [], manager._portal.post

    def counted_post(function: Any, *args: Any) -> None:
        post(function, *args)
        posted.append(function)

    monkeypatch.setattr(manager._portal, "post", counted_post)
    post(busy.wait, 10)
    threads = [threading.Thread(target=manager.emit, args=("n", number)) for number in range(16)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(posted) == 16, what="16 threads waiting for the loop")
    busy.set()
    for thread in threads:
        thread.join(10)
    manager.close()
    assert store.batches == [1, 16]


def test_a_pong_proves_only_what_was_sent_before_its_ping(server: Server) -> None:
    client = server.client()
    process = server.manager._operations.process
    connection = process.clients.all()[0].connection
    stop = threading.Event()

    def emit() -> None:
        while not stop.is_set():
            server.sio.emit("n", 1)

    socket, proofs = server.sio.eio.sockets[connection.transport], []
    schedule_ping = socket.schedule_ping

    def note_proof() -> None:
        proofs.append((str(connection.proven), client.offset))
        schedule_ping()

    socket.schedule_ping = note_proof
    emitter = threading.Thread(target=emit)
    emitter.start()
    wait_until(lambda: len(proofs) >= 5, what="five PONGs")
    stop.set()
    emitter.join()
    late = [proof for proof in proofs if _pair(proof[0]) > _pair(proof[1])]
    assert not late, "a position was proven that the client had not reached"


def _pair(offset: str) -> tuple[int, ...]:
    return tuple(int(part) for part in offset.split("-")) if offset else (0, 0)


def test_a_callback_and_a_call_may_emit(server: Server) -> None:
    client, acknowledged = server.client(), threading.Event()

    def callback(*args: Any) -> None:
        server.sio.emit("thanks", args[0])
        acknowledged.set()

    server.sio.emit("question", 1, to=client.sid, callback=callback)
    assert acknowledged.wait(5)
    wait_until(lambda: client.got("thanks") == ["ack"])
    assert server.sio.call("question", 2, to=client.sid, timeout=5) == ("ack", 2)


def test_every_handler_may_call_everything(server: Server) -> None:
    """Each waits for the loop, in a thread for which a coroutine waits."""
    sio, other = server.sio, server.client()

    def everything(sid: str) -> None:
        sio.enter_room(sid, "room")
        sio.save_session(sid, {"seen": 1})
        sio.emit("hello", sid, to=other.sid)
        assert sio.get_session(sid) == {"seen": 1}
        sio.leave_room(sid, "room")

    def connect(sid: str, _environ: Any) -> None:
        everything(sid)

    def disconnect(sid: str, _reason: str) -> None:
        sio.emit("bye", sid, to=other.sid)

    def talk(sid: str) -> None:
        everything(sid)
        sio.disconnect(sid)

    sio.on("connect", connect)
    sio.on("disconnect", disconnect)
    sio.on("talk", talk)
    client = server.client()
    client.emit("talk")
    wait_until(lambda: client.ended)
    wait_until(lambda: other.got("bye") == [client.sid])
    assert other.got("hello") == [client.sid] * 2


def test_a_handler_may_disconnect_another_client_that_does_the_same(server: Server) -> None:
    """Two threads at once, each in the disconnect handler of the one, waiting for the end of the other."""
    sio = server.sio
    one, two = server.client(), server.client()
    pair = {one.sid: two.sid, two.sid: one.sid}
    both = threading.Barrier(2, timeout=5)

    def disconnect(sid: str, _reason: str) -> None:
        both.wait()
        sio.disconnect(pair[sid])
        server.handled.append(("disconnect", sid))

    sio.on("disconnect", disconnect)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(sio.disconnect, pair))
    assert sorted(sid for name, sid in server.handled if name == "disconnect") == sorted(pair)


def test_threads_that_disconnect_one_client_at_once_run_its_handler_once(server: Server) -> None:
    for _ in range(20):
        client = server.client()
        together = threading.Barrier(4)

        def end(client: Client = client, together: threading.Barrier = together) -> None:
            together.wait()
            server.sio.disconnect(client.sid)

        threads = [threading.Thread(target=end) for _ in range(3)]
        for thread in threads:
            thread.start()
        together.wait()
        client.cut()
        for thread in threads:
            thread.join(10)
        server.wait_empty()
        assert server.handled.count(("disconnect", client.sid)) == 1


def test_a_client_that_does_not_read_holds_no_thread_when_it_is_gone() -> None:
    with open_server(server={"ping_interval": 0.2, "ping_timeout": 0.5}) as server:
        client = server.client()
        client.answers_pings = False
        listening, client._hear = client._hear, lambda _frame: threading.Event().wait()  # type: ignore[method-assign,assignment]
        for _ in range(200):
            server.sio.emit("n", "x" * 100_000)
        wait_until(lambda: not _writers(), timeout=20, what="the end of the thread that sends")
        client._hear = listening  # type: ignore[method-assign]
        server.wait_empty()


def _writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "(writer)" in thread.name]


def test_tables_may_be_read_while_they_change(server: Server) -> None:
    client, stop, errors = server.client(), threading.Event(), []

    def read() -> None:
        manager: Any = server.manager
        try:
            while not stop.is_set():
                manager.get_rooms(client.sid, "/")
                list(manager.get_participants("/", None))
                list(manager.get_namespaces())
                manager.is_connected(client.sid, "/")
        except Exception as exc:  # noqa: BLE001 - whatever it is, it must not be
            errors.append(exc)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(300):
        server.sio.enter_room(client.sid, f"room{number}")
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_nothing_runs_on(how: str) -> None:
    def running() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("recovery")]

    wait_until(lambda: not running(), what="the threads of other tests have ended")
    with open_server() as server:
        client = server.client()
        (server.manager.close if how == "close" else server.sio.shutdown)()
        assert not running()
        with pytest.raises(PublishError, match="closed"):
            server.sio.emit("n")
        server.manager.close()
        client.cut()
        server.wait_empty()


def test_clients_of_a_closed_server_recover_elsewhere() -> None:
    with open_server("memory://closing") as one, open_server("memory://closing") as two:
        client = one.client()
        one.sio.emit("n", 1)
        wait_until(lambda: client.got("n") == [1])
        one.manager.close()
        two.sio.emit("n", 2)
        client.connect(two)
        wait_until(lambda: client.got("n") == [1, 2])
        assert client.outcomes == ["fresh", "recovered"]


def test_a_closed_server_does_not_know_a_client_that_has_gone() -> None:
    """Its thread may come late: the loop has removed the client, or never got to enter it."""
    manager = RecoveryManager("memory://")
    socketio.Server(async_mode="threading", client_manager=manager)
    manager.close()
    assert not manager.can_disconnect("gone", "/")
    assert manager.pre_disconnect("gone", "/") is None
    manager.disconnect("gone", "/")
    assert not manager.pending_disconnect.get("/")


def test_a_closed_server_lets_nobody_in() -> None:
    with open_server() as server:
        server.manager.close()
        client = Client(server)
        client.dial()
        assert not client.connected.wait(0.2)
        server.wait_empty()


def test_an_interrupt_in_a_handler_leaves_the_server_as_it_was() -> None:
    class InterruptedHandler(BaseException):
        """Like a timeout of gevent."""

    def connect(_sid: str, _environ: Any, _auth: Any) -> None:
        if not first.is_set():
            first.set()
            raise InterruptedHandler

    with open_server(expects_errors=True) as server:
        first = threading.Event()
        server.sio.on("connect", connect)
        rejected = Client(server)
        rejected.dial()
        wait_until(lambda: rejected.refused)
        rejected.cut()
        server.wait_empty()
        client = server.client()
        server.sio.emit("n", 1)
        wait_until(lambda: client.got("n") == [1])


@pytest.mark.parametrize("name", ["identity", "wants_offsets", "session_expired"])
def test_coroutine_functions_are_refused(name: str) -> None:
    async def function(*_args: Any) -> Any:
        await asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match=f"{name} is a coroutine function"):
        RecoveryManager("memory://", **{name: function})  # type: ignore[arg-type]  # that is the point


def test_the_settings_that_are_functions_run_in_threads_and_may_block(server: Server) -> None:
    seen: list[str] = []

    def identity(_environ: Any, auth: Any) -> str:
        seen.append(threading.current_thread().name)
        other.sio.emit("identified", 1)  # would wait for ever in the loop
        return "me"

    def expired(session: Any) -> None:
        other.sio.emit("expired", 1)
        gone.append(session.sid)

    gone: list[str] = []
    with open_server(
        "memory://functions",
        identity=identity,
        session_expired=expired,
        max_disconnection_duration=0.2,
        checkpoint_interval=0.1,
        publish_timeout=0.5,
    ) as other:
        client = other.client()
        client.cut()
        wait_until(lambda: gone == [client.sid])
    assert seen
    assert "recovery.portal" not in seen


def test_a_redis_client_gives_its_address(valkey_url: str) -> None:
    client = redis.Redis.from_url(valkey_url)
    manager = RecoveryManager(client, write_only=True, stream_name="sync-client")
    manager.emit("n", 1)
    manager.close()
    entries: Any = client.xrange("sync-client")
    assert [fields[b"nsp"] for _, fields in entries if b"nsp" in fields] == [b"/"]
    client.close()


def test_a_write_only_manager_reaches_the_clients_of_a_server() -> None:
    with open_server("memory://script") as server:
        client = server.client()
        script = RecoveryManager("memory://script", write_only=True)
        script.emit("n", 1, to=client.sid)
        wait_until(lambda: client.got("n") == [1])
        with pytest.raises(RuntimeError, match="callbacks"):
            script.emit("n", 1, to=client.sid, callback=print)
        with pytest.raises(ConfigurationError, match="write-only"):
            socketio.Server(async_mode="threading", client_manager=script)
        script.close()


def test_a_store_that_blocks_is_refused_with_advice() -> None:
    """This manager, too, has a loop, in which nothing may block."""
    with pytest.raises(ConfigurationError, match="methods that block: expected") as caught:
        RecoveryManager(MemoryStore())  # type: ignore[arg-type]  # the mistake under test
    assert "asyncio servers" not in str(caught.value)


def test_an_asyncio_server_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AsyncRecoveryManager"):
        socketio.AsyncServer(async_mode="asgi", client_manager=RecoveryManager())
