"""Clusters of real server processes on a real Valkey, with Node's servers among them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.mixed import KINDS, Mixed
from tests.cluster.nodes import NodeServer
from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Topology, fleet, hosts, js, node, open_cluster, report_output, store_url

__all__ = ["fleet", "hosts", "js", "node", "open_cluster", "report_output", "store_url"]

COLOURS = ("asyncio", "threading")

OpenCluster = Callable[..., Awaitable[Cluster]]
OpenNode = Callable[..., Awaitable[NodeServer]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests in one event loop, the one that owns the processes they share."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(params=COLOURS)
def topology(request: pytest.FixtureRequest) -> Topology:
    """Two servers of either colour on Valkey."""
    return Topology("valkey", 2, request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(open_cluster: OpenCluster) -> Cluster:
    """Two servers of ours, both of which take part from the beginning."""
    return await opened(open_cluster)


async def opened(open_cluster: OpenCluster, **recovery: Any) -> Cluster:
    """Open a cluster, and let all its servers begin."""
    cluster = await open_cluster(recovery=recovery)
    for server in cluster.servers:
        await server.run(steps.manager_method("ready"))
    return cluster


@pytest_asyncio.fixture(loop_scope="session")
async def open_node(node: None, store_url: str) -> AsyncIterator[OpenNode]:
    """Start a server of Node's in a cluster: ``await open_node(cluster)``."""
    async with AsyncExitStack() as stack:

        async def started(cluster: Cluster, *flags: str, stream: str | None = None) -> NodeServer:
            peer = NodeServer(
                "--redis", store_url, "--stream-name", cluster.app, "--path", cluster.first.path, *flags
            )
            await peer.node.start()
            stack.push_async_callback(peer.node.stop)
            await peer.until_reading(store_url, stream or cluster.app)
            peer.url = f"http://127.0.0.1:{await peer.node.ask('port')}"
            return peer

        yield started


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which client for Redis Node uses, and how."""
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture(loop_scope="session")
async def mixed(open_cluster: OpenCluster, open_node: OpenNode, kind: str) -> Mixed:
    """Two servers of ours, one of Node's, and a client of each."""
    cluster = await opened(open_cluster, use_sharded_pubsub=kind == "sharded")
    peer = await open_node(cluster, *KINDS[kind])
    await peer.until_counted(3)
    ours = await cluster.client(cluster.first)
    theirs = await cluster.open_client(url=peer.url)
    await theirs.wait_connected()
    return Mixed(cluster, peer, ours, theirs)
