"""Several streams: servers of Node's and ours put each namespace in the same one of them."""

import json
import subprocess
from contextlib import closing

import pytest

from recovery.streams import stream_name_of
from tests.cluster.conftest import OpenCluster, OpenNode, opened
from tests.cluster.nodes import NodeServer, client_of
from tests.cluster.test_recovery_with_node import left, numbered
from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Topology
from tests.e2e.npm import NODE_FOLDER, find_executable

STREAMS = 3
ROOT, CHAT = "/", "/chat"
NAMES = [
    "/",
    "",
    "/chat",
    "/admin",
    "/notifications",
    "/\u00e9",
    "/\ud83d\ude00",
    "/a-rather-long-name/with/parts",
]

# As the adapter's own computeStreamName, which it does not export, puts it.
PROGRAM = """
const { hashCode } = require("@socket.io/redis-streams-adapter/dist/util.js");
const [names, count] = JSON.parse(process.argv[1]);
console.log(JSON.stringify(names.map((name) => "socket.io-" + (hashCode(name) % count))));
"""


@pytest.fixture(params=["asyncio", "threading", "cluster"])
def topology(request: pytest.FixtureRequest) -> Topology:
    """Two servers of either colour on Valkey, or on a Redis Cluster, over whose nodes streams are spread."""
    if request.param == "cluster":
        return Topology("cluster", 2, "asyncio", STREAMS)
    return Topology("valkey", 2, request.param, STREAMS)


@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_a_namespace_is_in_the_stream_that_node_puts_it_in(node: None, count: int) -> None:
    command = [find_executable("node"), "-e", PROGRAM, json.dumps([NAMES, count])]
    printed = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, check=True, timeout=30).stdout
    for name, expected in zip(NAMES, json.loads(printed), strict=True):
        assert stream_name_of(name, stream_count=count) == expected


def test_one_stream_has_all_namespaces() -> None:
    assert {stream_name_of(name, stream_name="s") for name in NAMES} == {"s"}


async def with_node(
    open_cluster: OpenCluster, open_node: OpenNode, store_url: str
) -> tuple[Cluster, NodeServer]:
    """Two servers of ours, and one of Node's, that have the same streams."""
    cluster = await opened(open_cluster)
    names = [stream_name_of(each, stream_name=cluster.app, stream_count=STREAMS) for each in (ROOT, CHAT)]
    assert len(set(names)) == 2, "the two namespaces are in different streams"
    peer = await open_node(cluster, "--stream-count", str(STREAMS), stream=names[0])
    await peer.until_reading(store_url, names[1])
    await peer.until_counted(3)
    return cluster, peer


async def test_servers_of_both_reach_one_another_in_each_stream(
    open_cluster: OpenCluster, open_node: OpenNode, store_url: str
) -> None:
    cluster, peer = await with_node(open_cluster, open_node, store_url)
    for namespace in (ROOT, CHAT):
        ours = await cluster.client(cluster.first, namespace)
        theirs = await cluster.open_client(namespace=namespace, url=peer.url)
        await theirs.wait_connected()
        await cluster.last.emit("n", 1, namespace=namespace)
        await ours.events(1, "n")
        await theirs.events(1, "n")
        await peer.emit("n", 2, nsp=namespace)
        assert await ours.events(2, "n") == await theirs.events(2, "n") == [1, 2]
        assert {each["id"] for each in await peer.ask("fetchSockets", nsp=namespace)} == {
            ours.sid,
            theirs.sid,
        }
        (found,) = await cluster.last.run(steps.manager_method("fetch_sockets", namespace=namespace))
        assert {each["id"] for each in found} == {ours.sid, theirs.sid}


async def test_a_client_recovers_from_either_to_the_other_in_each_stream(
    open_cluster: OpenCluster, open_node: OpenNode, store_url: str
) -> None:
    cluster, peer = await with_node(open_cluster, open_node, store_url)
    for namespace in (ROOT, CHAT):
        client = await cluster.client(cluster.first, namespace)
        await cluster.first.emit("n", 1, namespace=namespace)
        await client.events(1, "n")
        await client.drop()
        await cluster.last.emit("n", 2, namespace=namespace)
        assert (await client.reconnect(peer.url)).recovered
        await numbered(client, 2)
        await left(peer, client)
        await peer.emit("n", 3, nsp=namespace)
        assert (await client.reconnect(cluster.last.url)).recovered
        await numbered(client, 3)


async def test_each_stream_has_the_entries_of_its_namespaces(
    open_cluster: OpenCluster, store_url: str
) -> None:
    cluster = await opened(open_cluster)
    for namespace in (ROOT, CHAT):
        client = await cluster.client(cluster.first, namespace)
        await cluster.last.emit("n", 1, namespace=namespace)
        await client.events(1, "n")
    with closing(client_of(store_url)) as store:
        for namespace in (ROOT, CHAT):
            name = stream_name_of(namespace, stream_name=cluster.app, stream_count=STREAMS)
            found = {fields[b"nsp"].decode() for _, fields in store.xrange(name) if b"nsp" in fields}
            assert found == {namespace}
        assert not store.exists(cluster.app)
