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
    """A store, how many server processes share it, of which colour these are, and how many streams it has."""

    store: str
    processes: int
    colour: str = "asyncio"
    streams: int = 1

    def __str__(self) -> str:
        colour = "" if self.colour == "asyncio" else f"-{self.colour}"
        streams = "" if self.streams == 1 else f"-{self.streams}streams"
        return f"{self.store}-{self.processes}{colour}{streams}"


EVERYWHERE = [Topology("memory", 1), Topology("valkey", 1), Topology("valkey", 2)]
CORE_ONLY = [Topology("redis62", 2, streams=3), Topology("redis70", 2)]
IN_COLOURS = [Topology("valkey", 2, "threading"), Topology("valkey", 2, "gevent")]
CORE_IN_COLOURS = [
    Topology("memory", 1, "threading"),
    Topology("redis70", 2, "threading"),
    Topology("memory", 1, "gevent"),
    Topology("valkey", 2, "gevent-websocket"),
    Topology("valkey", 2, "eventlet"),
]
SERVERS = ("asyncio", "threading", "gevent")
MATRIX = [Topology("valkey", 2, server) for server in SERVERS]
CORE_MATRIX = [Topology(*store, server) for store in (("memory", 1), ("redis70", 2)) for server in SERVERS]
WHOLE_MATRIX = [*MATRIX, *CORE_MATRIX, *(Topology("redis62", 2, server) for server in SERVERS)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "core: runs on every kind of server, not only on memory and Valkey")
    config.addinivalue_line("markers", "colours: runs on synchronous servers, too")
    config.addinivalue_line("markers", "matrix: runs with every server on Valkey; E2E_MATRIX=all adds stores")
    config.addinivalue_line(
        "markers", "topologies(*names): runs in these topologies only, such as 'valkey-2'"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "topology" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("topologies")
    is_core = metafunc.definition.get_closest_marker("core") is not None
    every, core = EVERYWHERE, CORE_ONLY
    if metafunc.definition.get_closest_marker("colours"):
        every, core = EVERYWHERE + IN_COLOURS, CORE_ONLY + CORE_IN_COLOURS
    if metafunc.definition.get_closest_marker("matrix"):
        every, core = MATRIX, CORE_MATRIX
        if os.environ.get("E2E_MATRIX") == "all":
            every, core = WHOLE_MATRIX, []
    chosen = every + (core if is_core else [])
    if only is not None:
        chosen = [each for each in every + core if f"{each.store}-{each.processes}" in only.args]
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


class Fleet:
    """Server processes, two of each colour that is asked for. You must call `stop` at the end."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[HostProcess]] = {}

    async def of(self, colour: str) -> list[HostProcess]:
        """Return the two processes of a colour."""
        if colour not in self._hosts:
            self._hosts[colour] = [HostProcess(f"host-{colour}-{n}", colour=colour) for n in (1, 2)]
            for host in self._hosts[colour]:
                await host.start()
        return self._hosts[colour]

    async def stop(self) -> None:
        """End all processes."""
        for hosts in self._hosts.values():
            for host in hosts:
                await host.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet() -> AsyncIterator[Fleet]:
    """All server processes."""
    started = Fleet()
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def hosts(fleet: Fleet, request: pytest.FixtureRequest) -> list[HostProcess]:
    """Two server processes, of the topology's colour."""
    topology = request.getfixturevalue("topology") if "topology" in request.fixturenames else None
    return await fleet.of("asyncio" if topology is None else topology.colour)


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
        count = max(topology.streams, int(os.environ.get("E2E_STREAMS", "1")))  # more by hand
        streams = {"stream_name": cluster.app, "stream_count": count}
        settings = {"url": store_url, **streams, **SETTINGS, **(recovery or {})}
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
