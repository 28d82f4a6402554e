"""Our servers and Node's as one cluster on a real Redis Cluster, on either of Node's clients for Redis."""

import pytest

from tests.cluster.mixed import Mixed
from tests.cluster.test_recovery_with_node import left, numbered
from tests.e2e.conftest import Topology


@pytest.fixture
def topology(kind: str) -> Topology:
    """Our servers: asyncio with Node's usual client, threads with the others."""
    return Topology("cluster", 2, "asyncio" if kind == "redis" else "threading")


async def test_both_reach_the_clients_and_servers_of_both(mixed: Mixed) -> None:
    await mixed.server.emit("n", 1)
    await mixed.ours.events(1, "n")
    await mixed.theirs.events(1, "n")
    await mixed.peer.emit("n", 2)
    assert await mixed.ours.events(2, "n") == await mixed.theirs.events(2, "n") == [1, 2]
    for found in (await mixed.manage("fetch_sockets"), await mixed.peer.ask("fetchSockets")):
        assert {each["id"] for each in found} == {mixed.ours.sid, mixed.theirs.sid}
    answers = await mixed.manage("server_side_call", "ask", 3)
    assert sorted(answer["from"] for answer in answers.values()) == ["node", "python"]
    answers = await mixed.peer.ask("serverSideCall", event="ask", args=[4])
    assert answers == [{"from": "python", "args": [4]}] * 2


async def test_a_client_recovers_from_ours_to_node_and_back(mixed: Mixed) -> None:
    cluster, peer, client = mixed.cluster, mixed.peer, mixed.ours
    await cluster.first.enter_room(client.sid, "news")
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await client.drop()
    await cluster.last.emit("n", 2, room="news")
    assert (await client.reconnect(peer.url)).recovered
    await peer.emit("n", 3, to="news")
    await numbered(client, 3)
    await left(peer, client)
    await peer.emit("n", 4, to="news")
    assert (await client.reconnect(cluster.last.url)).recovered
    await cluster.first.emit("n", 5, room="news")
    await numbered(client, 5)
