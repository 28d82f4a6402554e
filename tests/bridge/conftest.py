"""Two regions of real processes: a Valkey, a server and JavaScript clients in each, and bridges between."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bridge.processes import BridgeProcess
from tests.e2e import steps
from tests.e2e.checker import Label, Seen, Sent, check, explain
from tests.e2e.cluster import Cluster, HostProcess, Server
from tests.e2e.conftest import SETTINGS, fleet, hosts, js, node, report_output
from tests.e2e.js_clients import JsClient, JsClients
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

__all__ = ["Place", "Two", "fleet", "hosts", "js", "node", "report_output"]

STREAM = "bridged"
_SECONDS = 60.0  # for what takes no time on a machine that is not busy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of processes in one event loop, the one that owns the processes they share."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "two" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass(slots=True)
class Place:
    """One region."""

    name: str
    redis: RedisProcess
    cluster: Cluster

    @property
    def server(self) -> Server:
        """Its only server."""
        return self.cluster.first

    async def listener(self, number: int) -> JsClient:
        """A client that keeps what floods emit, and comes back whenever it loses its connection."""
        failover = {"urls": [self.server.url], "delay": 20}
        return await self.cluster.client(name=f"{self.name}-{number}", keep=["n"], failover=failover)


class Two:
    """Two regions, and the processes between them."""

    def __init__(self, east: Place, west: Place, folder: Path) -> None:
        self.east = east
        self.west = west
        self._folder = folder
        self._bridges: list[BridgeProcess] = []

    @property
    def places(self) -> tuple[Place, Place]:
        """Both."""
        return self.east, self.west

    def bridge(
        self, *options: str, source: Place | None = None, target: Place | None = None
    ) -> BridgeProcess:
        """A bridge, from east to west unless told otherwise, that is not started yet."""
        ends = ((source or self.east).redis.url, (target or self.west).redis.url)
        made = BridgeProcess(
            self._folder, "--from", ends[0], "--to", ends[1], "--stream-name", STREAM, *options
        )
        self._bridges.append(made)
        return made

    async def assert_all_arrived(self, floods: dict[str, int], *regions: list[JsClient]) -> None:
        """Demand that each listener has seen all numbers of all floods, once, in the one order of its region.

        Args:
            floods: how many packets each has emitted, by its tag.
            regions: the listeners of each region.
        """
        for listeners in regions:
            await self._assert_all_arrived(floods, listeners)

    async def _assert_all_arrived(self, floods: dict[str, int], listeners: list[JsClient]) -> None:
        audience = frozenset(listener.name for listener in listeners)
        sent = [
            Sent(Label(tag, number), audience)
            for tag, count in floods.items()
            for number in range(1, count + 1)
        ]
        for listener in listeners:

            async def has_all(listener: JsClient = listener) -> bool:
                return await listener.kept_count() >= len(sent)

            await async_wait_until(has_all, timeout=_SECONDS, what=f"{listener.name} has {len(sent)} packets")
        seen = {listener.name: [_seen(args) for args in await listener.kept()] for listener in listeners}
        violations = check(sent, seen)
        assert not violations, explain(violations)

    def close(self) -> None:
        """End the bridges; pytest shows what they printed if the test fails."""
        for bridge in self._bridges:
            bridge.kill()
            print(f"--- bridge\n{bridge.output()}")  # noqa: T201 - pytest shows it


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """Two Valkeys that keep their data."""
    with RedisProcess("valkey", tmp_path / "east") as east, RedisProcess("valkey", tmp_path / "west") as west:
        yield east, west


@pytest_asyncio.fixture(loop_scope="session")
async def two(
    servers: tuple[RedisProcess, RedisProcess],
    js: JsClients,
    hosts: list[HostProcess],
    report_output: None,
    tmp_path: Path,
) -> AsyncIterator[Two]:
    """Two regions without a bridge."""
    places: list[Place] = []
    for name, redis, host in zip(("east", "west"), servers, hosts, strict=True):
        cluster = Cluster([host], js)
        if places:  # a client that moves finds the application under the same path
            cluster.app = places[0].cluster.app
            cluster.servers = [Server(host, cluster.app)]
        await cluster.open({"url": redis.url, "stream_name": STREAM, "publish_timeout": 60.0, **SETTINGS})
        await cluster.first.run(steps.manager_method("ready"))
        places.append(Place(name, redis, cluster))
    opened = Two(places[0], places[1], tmp_path)
    yield opened
    opened.close()
    for place in places:
        await place.cluster.close()


def _seen(args: tuple[object, ...]) -> Seen:
    tag, number, offset = args
    assert isinstance(tag, str)
    assert isinstance(number, int)
    assert isinstance(offset, str)
    return Seen(Label(tag, number), offset)
