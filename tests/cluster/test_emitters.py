"""Processes without a server act on clients and servers of the cluster, Node's among them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from adapter import AsyncRecoveryManager, RecoveryManager
from recovery import PublishError
from tests.cluster.conftest import OpenNode
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Topology
from tests.e2e.js_clients import Disconnected
from tests.waiting import async_wait_until

Call = Callable[..., Any]


@pytest.fixture
def topology() -> Topology:
    return Topology("valkey", 2)


@pytest_asyncio.fixture(params=["asyncio", "sync"], loop_scope="session")
async def call(request: pytest.FixtureRequest, cluster: Cluster, store_url: str) -> AsyncIterator[Call]:
    """Call a method of a write-only manager, of either colour."""
    if request.param == "asyncio":
        asynchronous = AsyncRecoveryManager(store_url, write_only=True, stream_name=cluster.app)

        async def called(method: str, *args: Any, **options: Any) -> Any:
            return await getattr(asynchronous, method)(*args, **options)

        yield called
        await asynchronous.close()
    else:
        synchronous = RecoveryManager(store_url, write_only=True, stream_name=cluster.app)

        async def called_in_a_thread(method: str, *args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(getattr(synchronous, method), *args, **options)

        yield called_in_a_thread
        synchronous.close()


async def test_clients_join_leave_get_packets_and_are_disconnected(
    cluster: Cluster, open_node: OpenNode, call: Call
) -> None:
    peer = await open_node(cluster)
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    theirs = await cluster.open_client(url=peer.url)
    await theirs.wait_connected()
    clients = (here, there, theirs)
    await call("sockets_join", ["a", "b"], except_=there.sid)
    await call("sockets_leave", "a", room=here.sid)
    for number, room in enumerate(("a", "b", None)):
        await call("emit", "n", number, room=room)
    for client, expected in zip(clients, ([1, 2], [2], [0, 1, 2]), strict=True):
        assert await client.events(len(expected), "n") == expected
    await call("disconnect_sockets", except_=there.sid)
    for client in (here, theirs):
        await client.next(Disconnected)
    await cluster.settle(there)


async def test_servers_hear_their_events(cluster: Cluster, open_node: OpenNode, call: Call) -> None:
    peer = await open_node(cluster)
    await call("server_side_emit", "ask", 1, b"two")
    for server in cluster.servers:
        assert [line["args"] for line in await server.wait_log("ask")] == [[1, b"two"]]

    async def heard() -> bool:
        return peer.asked() == [[1, b"two"]]

    await async_wait_until(heard, what="Node hears it")


async def test_what_needs_an_answer_needs_a_server(cluster: Cluster, call: Call) -> None:
    for method, *args in (
        ("fetch_sockets",),
        ("broadcast_call", "vote"),
        ("server_side_call", "ask"),
        ("servers",),
        ("ready",),
    ):
        with pytest.raises(RuntimeError, match="write-only"):
            await call(method, *args)
    with pytest.raises(RuntimeError, match="write-only"):
        await call("sockets_join", "a", local=True)


async def test_a_store_that_is_away_is_said(unused_tcp_port: int) -> None:
    manager = AsyncRecoveryManager(
        f"redis://127.0.0.1:{unused_tcp_port}", write_only=True, publish_timeout=0.1
    )
    with pytest.raises(PublishError) as caught:
        await manager.server_side_emit("ask")
    assert not caught.value.maybe_stored
    await manager.close()
