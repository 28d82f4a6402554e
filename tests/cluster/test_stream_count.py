"""Servers of Node's with several streams, and ours in the one that has their namespace."""

import json
import subprocess
import uuid

import pytest

from recovery.streams import stream_name_of
from tests.cluster.conftest import OpenCluster, OpenNode
from tests.cluster.nodes import NodeServer
from tests.cluster.test_recovery_with_node import left, numbered
from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Topology
from tests.e2e.npm import NODE_FOLDER, find_executable

STREAMS = 3
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


@pytest.fixture
def topology() -> Topology:
    """Two asyncio servers on Valkey."""
    return Topology("valkey", 2, "asyncio")


@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_a_namespace_is_in_the_stream_that_node_puts_it_in(node: None, count: int) -> None:
    command = [find_executable("node"), "-e", PROGRAM, json.dumps([NAMES, count])]
    printed = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, check=True, timeout=30).stdout
    for name, expected in zip(NAMES, json.loads(printed), strict=True):
        if "--" in expected:  # a stream that Node's servers do not read
            with pytest.raises(ValueError, match=f"to {expected},"):
                stream_name_of(name, stream_count=count)
        else:
            assert stream_name_of(name, stream_count=count) == expected


def test_one_stream_has_all_namespaces() -> None:
    assert {stream_name_of(name, stream_name="s") for name in NAMES} == {"s"}


async def mixed(open_cluster: OpenCluster, open_node: OpenNode) -> tuple[Cluster, NodeServer]:
    """Two servers of ours, and one of Node's that has several streams."""
    name = f"app-{uuid.uuid4().hex[:8]}"
    stream = stream_name_of("/", stream_name=name, stream_count=STREAMS)
    cluster = await open_cluster(recovery={"stream_name": stream, "channel_prefix": name})
    for server in cluster.servers:
        await server.run(steps.manager_method("ready"))
    flags = ("--stream-count", str(STREAMS), "--stream-name", name)
    peer = await open_node(cluster, *flags, stream=stream)
    await peer.until_counted(3)
    return cluster, peer


async def test_servers_of_both_reach_one_another(open_cluster: OpenCluster, open_node: OpenNode) -> None:
    cluster, peer = await mixed(open_cluster, open_node)
    ours, theirs = await cluster.client(cluster.first), await cluster.open_client(url=peer.url)
    await theirs.wait_connected()
    await cluster.last.emit("n", 1)
    await ours.events(1, "n")
    await theirs.events(1, "n")
    await peer.emit("n", 2)
    assert await ours.events(2, "n") == await theirs.events(2, "n") == [1, 2]
    assert {each["id"] for each in await peer.ask("fetchSockets")} == {ours.sid, theirs.sid}


async def test_a_client_recovers_from_either_to_the_other(
    open_cluster: OpenCluster, open_node: OpenNode
) -> None:
    cluster, peer = await mixed(open_cluster, open_node)
    client = await cluster.client(cluster.first)
    await cluster.first.emit("n", 1)
    await client.events(1, "n")
    await client.drop()
    await cluster.last.emit("n", 2)
    assert (await client.reconnect(peer.url)).recovered
    await numbered(client, 2)
    await left(peer, client)
    await peer.emit("n", 3)
    assert (await client.reconnect(cluster.last.url)).recovered
    await numbered(client, 3)
