"""A Redis Cluster that tests may break, and servers and clients on it."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import pytest_asyncio

from tests.clusters import RealCluster
from tests.faults.conftest import impatient
from tests.faults.outage import STREAM
from tests.faults.redis_process import RedisProcess
from tests.sentinel.conftest import World
from tests.sentinel.processes import SentinelGroup

__all__ = ["impatient"]


class Home:
    """What a `World` asks of whatever its store is: the node that has the stream is its primary."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster

    @property
    def url(self) -> str:
        """URL of the store."""
        return self._cluster.url

    @property
    def primary(self) -> RedisProcess:
        """Who has the stream now."""
        return self._cluster.owner(STREAM)


class ClusterWorld(World):
    """Servers and clients on a cluster, and what is written down of them.

    Attributes:
        cluster: the store.
    """

    def __init__(self, cluster: RealCluster) -> None:
        super().__init__(cast("SentinelGroup", Home(cluster)))  # of which it asks no more than this
        self.cluster = cluster

    @asynccontextmanager
    async def traffic(self, *, travellers: int) -> AsyncGenerator[None]:
        """Every server emits, and so many clients come and go, while the block runs."""
        stop = asyncio.Event()
        seed = int(os.environ.get("CLUSTER_SEED", random.randrange(2**32)))
        print(f"CLUSTER_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
        async with asyncio.TaskGroup() as tasks:
            for producer in range(len(self.nodes)):
                tasks.create_task(self.flood(producer, stop))
            for client in self.clients[:travellers]:
                tasks.create_task(self.travel(client, stop, random.Random(f"{seed} {client.name}")))
            yield
            stop.set()


@pytest.fixture(scope="session")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A cluster that tests break; `own_cluster` mends it."""
    with RealCluster(tmp_path_factory.mktemp("breakable")) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(breakable: RealCluster) -> RealCluster:
    """A cluster that the test may break, whole and empty."""
    breakable.mend()
    return breakable


@pytest_asyncio.fixture
async def world(own_cluster: RealCluster, impatient: None) -> AsyncIterator[ClusterWorld]:
    """Servers and clients on that cluster, which notice within half a second that a node is silent."""
    made = ClusterWorld(own_cluster)
    yield made
    await asyncio.to_thread(own_cluster.mend)  # or servers would have nobody to say good-bye to
    await made.close()
