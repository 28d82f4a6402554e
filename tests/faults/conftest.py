"""Fixtures of tests that break real processes: servers of their own, and the clients of `tests.e2e`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import js, node
from tests.e2e.js_clients import JsClients
from tests.faults.nodes import Node, Nodes
from tests.faults.outage import Outage, open_outage, short_timeouts
from tests.faults.proxy import Proxy
from tests.faults.redis_process import RedisProcess
from tests.servers import SERVER_KINDS

__all__ = ["js", "node"]

OpenNodes = Callable[..., Awaitable[Nodes]]

STORES = ["valkey", "redis70"]
"""What every test with real processes runs on."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stores(*names): runs on these kinds of store only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("stores")
        metafunc.parametrize("store", STORES if only is None else list(only.args))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with JavaScript clients in one event loop, the one that owns the process of these clients."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "js" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture
def store_url(store: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty server of the kind."""
    url: str = request.getfixturevalue(f"{store}_url")
    return url


@pytest.fixture
def own_redis(store: str, tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that the test may break, and that writes everything to the disk at once.

    A file whose servers use it has a fixture `store_url` of its own, which returns its URL.
    """
    with RedisProcess(store, tmp_path / "redis", fsync="always") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(store_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the store; ask for it before `open_nodes`, whose servers need it to the end."""
    async with Proxy(store_url) as between:
        yield between
        await between.forward()


class Pool:
    """Server processes that have nothing to do: to start one takes a second."""

    def __init__(self) -> None:
        self._idle: dict[str, Node] = {}

    async def take(self, name: str, *, fresh: bool, colour: str) -> Node:
        """Return a running process."""
        if not fresh and name in self._idle:
            return self._idle.pop(name)
        made = Node(name, colour=colour)
        await made.start()
        made.is_special = fresh
        return made

    async def put(self, used: Node) -> None:
        """Keep a process that has no application any more; end it if a test has done something to it."""
        if used.is_special or used.name in self._idle:
            await used.stop()
        else:
            await used.be_as_new()
            self._idle[used.name] = used

    async def stop(self) -> None:
        """End all processes."""
        for each in self._idle.values():
            await each.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool() -> AsyncIterator[Pool]:
    """Processes that tests have left as they were."""
    made = Pool()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def open_nodes(store_url: str, js: JsClients, pool: Pool) -> AsyncIterator[OpenNodes]:
    """Let server processes have an application: ``await open_nodes(2, takeover_timeout=0.2)``.

    Those of an earlier test will do, unless they are to be `fresh`.
    What they printed is printed at the end: pytest shows it on failure.
    """
    nodes: list[Node] = []
    opened: list[Nodes] = []

    async def open_with(
        count: int = 2,
        *,
        urls: Sequence[str] = (),
        server: dict[str, Any] | None = None,
        notes_expiry: bool = False,
        fresh: bool = False,
        colour: str = "asyncio",
        **recovery: Any,
    ) -> Nodes:
        fresh = fresh or colour != "asyncio"  # those that are idle are of that
        names = [f"node-{number}" for number in range(1, count + 1)]
        mine = await asyncio.gather(*(pool.take(name, fresh=fresh, colour=colour) for name in names))
        nodes.extend(mine)
        cluster = Nodes(mine, js, urls or [store_url] * count)
        opened.append(cluster)
        await cluster.open(recovery, server, notes_expiry=notes_expiry)
        return cluster

    ended_well = False
    yield open_with
    try:
        for cluster in opened:
            await cluster.close()
        ended_well = True
    finally:
        for each in nodes:
            print(f"--- {each.name}\n{each.output()}")  # noqa: T201 - pytest shows it with the failure
            await (pool.put(each) if ended_well else each.stop())


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(open_nodes: OpenNodes) -> Nodes:
    """Two server processes with the settings of most tests."""
    return await open_nodes()


@pytest.fixture(params=SERVER_KINDS)
def every_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of server in turn."""
    return str(request.param)


@pytest.fixture
def impatient() -> Iterator[None]:
    """Servers give up on a silent Redis soon."""
    with short_timeouts():
        yield


@pytest.fixture(params=STORES)
def outage_store(request: pytest.FixtureRequest) -> str:
    """What the tests with an `outage` run on."""
    return str(request.param)


@pytest_asyncio.fixture
async def outage(tmp_path: Path, impatient: None, outage_store: str) -> AsyncIterator[Outage]:
    """Servers in this process, and a store that can be broken."""
    with RedisProcess(outage_store, tmp_path) as redis:
        async with open_outage(redis) as opened:
            yield opened


@pytest_asyncio.fixture
async def any_outage(tmp_path: Path, impatient: None, every_kind: str) -> AsyncIterator[Outage]:
    """The same with a store of every kind of server."""
    with RedisProcess(every_kind, tmp_path) as redis:
        async with open_outage(redis) as opened:
            yield opened


@pytest_asyncio.fixture
async def forgetful_outage(tmp_path: Path, impatient: None, every_kind: str) -> AsyncIterator[Outage]:
    """The same with a store that keeps nothing when it ends."""
    with RedisProcess(every_kind, tmp_path, keep=False) as redis:
        async with open_outage(redis) as opened:
            yield opened
