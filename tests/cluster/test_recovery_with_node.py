"""Clients that recover from Node's servers to ours, and from ours to Node's; the inspector foretells it."""

from contextlib import closing
from typing import Any

import pytest

from recovery.inspect import Rehearsal, explain, open_source, rehearse
from tests.cluster.conftest import OpenCluster, OpenNode
from tests.cluster.nodes import NodeServer
from tests.e2e.cluster import Cluster
from tests.e2e.js_clients import Connected, JsClient
from tests.e2e.wire import Json
from tests.waiting import async_wait_until


async def left(peer: NodeServer, client: JsClient) -> None:
    """Lose the connection to Node, and wait until it has saved the session."""
    await client.drop()

    async def is_gone() -> bool:
        return any(each["t"] == "disconnect" and each["sid"] == client.sid for each in peer.reports)

    await async_wait_until(is_gone, what=f"the end of {client.name}")


async def numbered(client: JsClient, count: int) -> None:
    """Wait for the numbers from 1 on."""
    assert await client.events(count, "n") == list(range(1, count + 1))


def foretold(cluster: Cluster, store_url: str, client: JsClient, **given: Any) -> Rehearsal:
    """What the inspector says before the client comes back, from what is in the store; it writes nothing."""
    presented: dict[str, Any] = {
        "offset": client.received()[-1].offset if client.received() else None,
        **given,
    }
    with closing(open_source(store_url, stream_name=cluster.app)) as source:
        rehearsal = rehearse(source, client.pid, **presented)
        last = explain(rehearsal, source.now_ms()).steps[-1]
        assert last.passed == rehearsal.recovered, last
        assert rehearse(source, client.pid, **presented).outcome == rehearsal.outcome
    return rehearsal


async def test_from_node_to_ours_with_rooms_data_and_packets(
    cluster: Cluster, open_node: OpenNode, store_url: str
) -> None:
    peer = await open_node(cluster)
    await peer.until_counted(3)
    client = await cluster.open_client(url=peer.url)
    before = await client.wait_connected()
    await peer.ask("join", to=[client.sid], rooms=["news"])
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await left(peer, client)
    await cluster.first.emit("n", 2, room="news")
    await peer.emit("n", 3, to="news")
    await cluster.first.emit("n", 99, room="elsewhere")
    expected = foretold(cluster, store_url, client)
    assert (expected.outcome, set(expected.rooms)) == ("recovered", {before.sid, "news"})
    assert expected.connection.user_session == {"host": "node"}
    after = await client.reconnect(cluster.last.url)
    assert (after.recovered, after.sid, after.pid) == (True, before.sid, before.pid)
    await client.events(3, "n")
    assert [list(packet.args) for packet in expected.packets] == [
        ["n", *packet.raw] for packet in client.received("n")[1:]
    ]
    await cluster.first.emit("n", 4, room="news")
    await numbered(client, 4)
    assert await cluster.last.rooms(client.sid) == {"news"}
    assert await cluster.last.get_session(client.sid) == {"host": "node"}


async def test_from_ours_to_node_and_back(cluster: Cluster, open_node: OpenNode, store_url: str) -> None:
    peer = await open_node(cluster)
    await peer.until_counted(3)
    client = await cluster.client(cluster.first)
    await cluster.first.enter_room(client.sid, "news")
    await cluster.first.save_session(client.sid, {"user": "ann"})
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await client.drop()
    await cluster.last.emit("n", 2, room="news")
    at_node = await client.reconnect(peer.url)
    assert at_node.recovered
    await peer.emit("n", 3, to="news")
    await numbered(client, 3)
    found: list[dict[str, Json]] = await peer.ask("fetchSockets", to=[client.sid], local=True)
    assert found[0]["data"]["user"] == "ann"
    await left(peer, client)
    await peer.emit("n", 4, to="news")
    expected = foretold(cluster, store_url, client)
    assert (expected.outcome, len(expected.packets)) == ("recovered", 1)
    back = await client.reconnect(cluster.last.url)
    assert back.recovered
    assert back.sid == at_node.sid
    await cluster.first.emit("n", 5, room="news")
    await numbered(client, 5)


async def test_a_session_of_nodes_without_an_offset_is_not_recovered(
    cluster: Cluster, open_node: OpenNode, store_url: str
) -> None:
    peer = await open_node(cluster)
    client = await cluster.open_client(url=peer.url)
    await client.wait_connected()
    await left(peer, client)
    assert foretold(cluster, store_url, client).outcome == "session-unknown"
    assert not (await client.reconnect(cluster.last.url)).recovered
    record = await cluster.last.recovery(client.sid)
    assert record["reason"] == "session-unknown"


@pytest.mark.parametrize("offset", ["1-1", "other namespace"])
async def test_a_session_of_nodes_needs_an_offset_of_its_namespace(
    cluster: Cluster, open_node: OpenNode, store_url: str, offset: str
) -> None:
    peer = await open_node(cluster)
    await peer.until_counted(3)
    client = await cluster.open_client(url=peer.url)
    other = await cluster.client(cluster.first, "/chat")
    await client.wait_connected()
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await cluster.first.emit("n", 1, namespace="/chat")
    await other.events(1, "n")
    await left(peer, client)
    foreign = other.received("n")[0].offset if offset == "other namespace" else offset
    await client.pose(offset=foreign)
    expected = "offset-unknown" if offset == "other namespace" else "offset-trimmed"
    assert foretold(cluster, store_url, client, offset=foreign).outcome == expected
    answer = await client.reconnect(cluster.last.url)
    assert isinstance(answer, Connected)
    assert not answer.recovered
    assert (await cluster.last.recovery(client.sid))["reason"] == expected


async def test_where_sessions_are_bound_to_users_none_of_nodes_is_adopted(
    open_cluster: OpenCluster, open_node: OpenNode, store_url: str
) -> None:
    cluster = await open_cluster(identify_by="user")
    peer = await open_node(cluster)
    client = await cluster.open_client(url=peer.url, auth={"user": "eve"})
    await client.wait_connected()
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await left(peer, client)
    assert foretold(cluster, store_url, client, identity="eve").outcome == "session-unknown"
    assert not (await client.reconnect(cluster.last.url)).recovered
    assert (await cluster.last.recovery(client.sid))["reason"] == "session-unknown"
