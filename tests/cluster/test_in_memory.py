"""Everything works in one process, too: one server, or several that share a store in memory."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
import socketio

from adapter import AsyncRecoveryManager, RecoveryManager
from recovery import ConfigurationError, EncodingError
from recovery.channels import NoChannels
from recovery.messages import public_channel
from recovery.records import Namespace
from recovery.stores.memory import AsyncMemoryStore, shared_state
from recovery.testing.embedded import EmbeddedCluster
from tests.sync.harness import open_server
from tests.waiting import async_wait_until, wait_until


def _register(sio: Any) -> None:
    async def connect(_sid: str, _environ: Any) -> None: ...

    sio.on("connect", connect)


async def test_one_server_asks_nobody_else() -> None:
    async with EmbeddedCluster(_register, url="memory://", servers=1) as cluster:
        [sio], anna = cluster.servers, cluster.client("anna")
        await anna.connect(sio)
        await sio.manager.sockets_join("news", room=anna.sid)
        [found] = await sio.manager.fetch_sockets(room="news")
        assert (found.id, set(found.rooms)) == (anna.sid, {anna.sid, "news"})
        assert await sio.manager.server_side_call("anything") == {}
        [record] = await sio.manager.servers()
        assert (record.kind, record.clients, record.lag, record.answered) == ("python", 1, 0.0, True)
        await sio.manager.disconnect_sockets(room="news")
        await anna.until(lambda: not anna.connected)
        assert await sio.manager.fetch_sockets() == []


def test_one_server_with_threads() -> None:
    with open_server() as server:
        client = server.client()
        server.manager.sockets_join("news")
        answers = server.manager.broadcast_call("vote", 7, room="news", timeout=10)
        assert answers.by_client == {client.sid: ["ack", 7]}
        assert answers.complete
        assert [found.id for found in server.manager.fetch_sockets(except_="sport")] == [client.sid]
        server.manager.disconnect_sockets(room=client.sid)
        wait_until(lambda: client.ended)


async def test_servers_of_one_process_are_a_cluster() -> None:
    async with EmbeddedCluster(_register, url="memory://cluster-of-two") as cluster:
        one, two = cluster.servers
        anna, bert = cluster.client("anna"), cluster.client("bert")
        await anna.connect(one)
        await bert.connect(two)

        @one.manager.on_server_event("add")
        def add_plainly(left: int, right: int) -> int:
            return left + right

        @two.manager.on_server_event("add")
        async def add_one_more(left: int, right: int) -> int:
            return left + right + 1

        assert add_plainly(1, 2) == 3, "a handler is given back as it was"
        assert {each.id for each in await one.manager.fetch_sockets()} == {anna.sid, bert.sid}
        assert list((await one.manager.server_side_call("add", 1, 2)).values()) == [4]
        assert list((await two.manager.server_side_call("add", 1, 2)).values()) == [3]
        assert len(await one.manager.servers()) == 2
        await two.manager.close()
        assert await one.manager.server_side_call("add", 1, 2) == {}
        assert len(await one.manager.servers()) == 1


async def test_a_server_that_leaves_in_the_middle_of_a_question_is_not_waited_for() -> None:
    async with EmbeddedCluster(_register, url="memory://leaving-server") as cluster:
        one, two = cluster.servers
        asked = asyncio.Event()

        @two.manager.on_server_event("ask")
        async def ask() -> None:
            asked.set()
            await asyncio.Event().wait()

        await two.manager.ready()
        await one.manager.servers()
        asking = asyncio.create_task(one.manager.server_side_call("ask", timeout=30))
        await asyncio.wait_for(asked.wait(), 10)
        two.manager._process.settings = replace(two.manager.settings, publish_timeout=0.1)  # or close waits
        await two.manager.close()
        assert await asyncio.wait_for(asking, 10) == {}


async def test_a_store_without_channels_serves_one_server() -> None:
    class Plain:
        """A store of somebody's own, with what the contract demands and no more."""

        def __init__(self) -> None:
            store = AsyncMemoryStore()
            self.execute, self.execute_many, self.close = store.execute, store.execute_many, store.close

    manager = AsyncRecoveryManager(Plain())
    socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    assert isinstance(manager._process.cluster._channels, NoChannels)
    await manager.ready()
    assert await manager.fetch_sockets() == []
    assert len(await manager.servers()) == 1
    await manager.close()


async def test_what_others_write_on_a_channel_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    name = "poisoned-channel"
    async with EmbeddedCluster(_register, url=f"memory://{name}", servers=1) as cluster:
        [sio] = cluster.servers
        await sio.manager.ready()
        channel, codec = (
            public_channel("socket.io", Namespace("/")),
            sio.manager._process.runtime_of("/").dispatcher.codec,
        )
        nobody: dict[str, list[str]] = {"rooms": [], "except": []}
        poison: list[dict[str, Any]] = [
            {},
            {"uid": "x", "nsp": "/", "type": 7, "data": {"requestId": "1", "opts": 5}},
            {"uid": "x", "nsp": "/", "type": 7, "data": {"opts": nobody}},
            {
                "uid": "x",
                "nsp": "/",
                "type": 3,
                "data": {"requestId": "1", "opts": {"rooms": [], "except": []}},
            },
            {"uid": "x", "nsp": "/", "type": 9, "data": {"packet": []}},
            {"uid": "x", "nsp": "/", "type": 9, "data": {"packet": ["a"], "after": "nowhere"}},
            {"uid": "x", "nsp": "/", "type": 8, "data": {}},
            {"uid": "x", "nsp": "/", "type": 11, "data": {"requestId": "1"}},
            {
                "uid": sio.manager._process.runtime_of("/").server,
                "nsp": "/",
                "type": 7,
                "data": {"requestId": [1]},
            },
            {"uid": "x", "nsp": "/", "type": 8, "data": {"requestId": {}}},
            {"uid": "x", "nsp": "/", "type": 12, "data": {"requestId": "1", "packet": 1}},
        ]
        hub = shared_state(name).hub
        for payload in (b"", b"\xc1", *map(codec.pack, poison)):
            assert hub.publish(channel, payload) == 1
        anna = cluster.client("anna")
        await anna.connect(sio)

        async def all_said() -> bool:
            return sum("left out" in record.message for record in caplog.records) >= 5

        await async_wait_until(all_said, what="what was left out is said")
        assert sio.manager.counters["message.skipped"] >= 2
        assert [each.id for each in await sio.manager.fetch_sockets()] == [anna.sid]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_session_data_that_cannot_travel_is_left_out_of_an_answer() -> None:
    async with EmbeddedCluster(_register, url="memory://unsendable") as cluster:
        one, two = cluster.servers
        anna = cluster.client("anna")
        await anna.connect(one)
        connection = next(one.manager._process.runtime_of("/").dispatcher.connections())
        connection.user_session = {"it": object()}
        await two.manager.ready()
        [found] = await two.manager.fetch_sockets()
        assert (found.id, found.data) == (anna.sid, {})


async def test_binary_data_is_refused_where_only_text_may_be_written() -> None:
    manager = AsyncRecoveryManager("memory://", write_only=True, only_plaintext=True)
    await manager.emit("n", "text")
    with pytest.raises(EncodingError):
        await manager.emit("n", b"\x00")
    await manager.close()


def test_a_handler_must_be_of_the_right_colour() -> None:
    async def handler() -> None: ...

    manager = RecoveryManager("memory://")
    with pytest.raises(ConfigurationError, match="coroutine function"):
        manager.on_server_event("ask", handler)
    with pytest.raises(ConfigurationError, match="expected a function"):
        manager.on_server_event("ask", "not a function")  # type: ignore[arg-type]  # the mistake under test


async def test_a_client_that_leaves_in_the_middle_is_silent() -> None:
    async with EmbeddedCluster(_register, url="memory://leaving") as cluster:
        one, two = cluster.servers
        anna = cluster.client("anna")
        await anna.connect(one)
        await two.manager.ready()
        anna.drop(silently=True)
        answers = await two.manager.broadcast_call("vote", timeout=1)
        assert (answers.silent, answers.responses) == ((anna.sid,), [])
