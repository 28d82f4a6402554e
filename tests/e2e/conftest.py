"""Fixtures of the end-to-end tests: real servers, real clients, and the topologies they run in.

A test that takes `cluster` or `open_cluster` runs once for each topology: a store and a number of server
processes. `core` marks those that also run on the two Redis versions; all others run in memory and on Valkey.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, HostProcess
from tests.e2e.js_clients import JsClients
from tests.e2e.npm import NodeMissingError, install_packages

OpenCluster = Callable[..., Awaitable[Cluster]]

# Short, so that tests of pings and checkpoints are; long enough for a machine that is busy.
SETTINGS: dict[str, Any] = {
    "max_disconnection_duration": 30.0,
    "checkpoint_interval": 0.2,
}


@dataclass(frozen=True, slots=True)
class Topology:
    """A store and how many server processes share it."""

    store: str
    processes: int

    def __str__(self) -> str:
        return f"{self.store}-{self.processes}"


EVERYWHERE = [Topology("memory", 1), Topology("valkey", 1), Topology("valkey", 2)]
CORE_ONLY = [Topology("redis62", 2), Topology("redis70", 2)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "core: runs on every kind of server, not only on memory and Valkey")
    config.addinivalue_line(
        "markers", "topologies(*names): runs in these topologies only, such as 'valkey-2'"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "topology" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("topologies")
    chosen = EVERYWHERE + (CORE_ONLY if metafunc.definition.get_closest_marker("core") else [])
    if only is not None:
        chosen = [topology for topology in EVERYWHERE + CORE_ONLY if str(topology) in only.args]
    metafunc.parametrize("topology", chosen, ids=str)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests in one event loop, the one that owns the processes they share."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def node() -> None:
    """Node and its packages are installed."""
    try:
        install_packages()
    except NodeMissingError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def js(node: None) -> AsyncIterator[JsClients]:
    """The process in which all JavaScript clients live."""
    clients = JsClients()
    await clients.start()
    yield clients
    await clients.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hosts() -> AsyncIterator[list[HostProcess]]:
    """Two server processes."""
    started = [HostProcess(f"host-{number}") for number in (1, 2)]
    for host in started:
        await host.start()
    yield started
    for host in started:
        await host.stop()


@pytest.fixture
def store_url(topology: Topology, request: pytest.FixtureRequest) -> str:
    """The URL of the topology's store."""
    if topology.store == "memory":
        return "memory://"
    url: str = request.getfixturevalue(f"{topology.store}_url")
    return url


@pytest.fixture
def report_output(hosts: list[HostProcess], request: pytest.FixtureRequest) -> Iterator[None]:
    """What the server processes print while a test runs, the test prints: pytest shows it on failure."""
    before = [len(host.output()) for host in hosts]
    yield
    for host, length in zip(hosts, before, strict=True):
        if text := host.output()[length:]:
            print(f"--- {host.name}\n{text}")  # noqa: T201 - pytest shows it with the failure


@pytest_asyncio.fixture(loop_scope="session")
async def open_cluster(
    topology: Topology, store_url: str, js: JsClients, hosts: list[HostProcess], report_output: None
) -> AsyncIterator[OpenCluster]:
    """Open an application with settings of the test's choice: ``await open_cluster(always_connect=True)``."""
    opened: list[Cluster] = []

    async def open_with(recovery: dict[str, Any] | None = None, **spec: Any) -> Cluster:
        cluster = Cluster(hosts[: topology.processes], js)
        settings = {"url": store_url, "stream_name": cluster.app, **SETTINGS, **(recovery or {})}
        opened.append(cluster)
        await cluster.open(settings, **spec)
        return cluster

    yield open_with
    for cluster in opened:
        await cluster.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(open_cluster: OpenCluster) -> Cluster:
    """An application with the settings of most tests."""
    return await open_cluster()


@pytest_asyncio.fixture(loop_scope="session")
async def stock(js: JsClients, hosts: list[HostProcess], report_output: None) -> AsyncIterator[Cluster]:
    """A stock server without recovery, in one process: what the harness itself is proven on."""
    cluster = Cluster(hosts[:1], js)
    await cluster.open(None)
    yield cluster
    await cluster.close()
