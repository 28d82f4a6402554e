"""Stock python-socketio clients on a server with recovery: no argument that they did not have before."""

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import socketio

from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import OpenCluster
from tests.waiting import async_wait_until

# python-engineio leaves the response of an aborted poll open (4.15.1), to be collected at any time.
QUIETLY = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
POLLING = [pytest.param(names, marks=QUIETLY) for names in (["polling"], ["polling", "websocket"])]
TRANSPORTS = [["websocket"], *POLLING]


class Asynchronous:
    """python-socketio's asyncio client, with a handler of exactly one argument and one of none."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.client: Any = socketio.AsyncClient(reconnection=False)
        self.client.on("one", self._one)
        self.client.on("none", self._none)
        self.client.on("q", self._answer)

    async def open(self, cluster: Cluster, transports: list[str]) -> None:
        server = cluster.first
        await self.client.connect(server.url, socketio_path=server.path, transports=transports)

    async def close(self) -> None:
        await self.client.disconnect()

    async def _one(self, value: Any) -> None:
        self.seen.append(value)

    async def _none(self) -> None:
        self.seen.append("none")

    async def _answer(self, value: Any) -> Any:
        return value


class Threaded:
    """python-socketio's threaded client, likewise."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.client: Any = socketio.Client(reconnection=False, handle_sigint=False)
        self.client.on("one", self._one)
        self.client.on("none", self._none)
        self.client.on("q", self._answer)
        self._lock = threading.Lock()

    async def open(self, cluster: Cluster, transports: list[str]) -> None:
        server = cluster.first
        await asyncio.to_thread(
            self.client.connect, server.url, socketio_path=server.path, transports=transports
        )

    async def close(self) -> None:
        await asyncio.to_thread(self.client.disconnect)

    def _one(self, value: Any) -> None:
        with self._lock:
            self.seen.append(value)

    def _none(self) -> None:
        with self._lock:
            self.seen.append("none")

    def _answer(self, value: Any) -> Any:
        return value


Stock = Asynchronous | Threaded


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    """Its asyncio client does not release the response of an aborted poll (4.15.1): collect that quietly."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest_asyncio.fixture(loop_scope="session", params=[Asynchronous, Threaded])
async def python_client(request: pytest.FixtureRequest) -> AsyncIterator[Stock]:
    client: Stock = request.param()
    yield client
    await client.close()


@pytest.mark.topologies("memory-1", "valkey-2")
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_stock_python_clients_see_no_extra_argument(
    open_cluster: OpenCluster, python_client: Stock, transports: list[str]
) -> None:
    # A closing long-polling client of python-engineio waits until its last poll ends, with a ping.
    cluster = await open_cluster(server={"ping_interval": 0.3, "ping_timeout": 2.0})
    await python_client.open(cluster, transports)
    javascript = await cluster.client()
    await cluster.last.emit("one", {"a": b"\x01"})
    await async_wait_until(lambda: _counted(python_client, 1))
    await cluster.last.emit("none")
    await async_wait_until(lambda: _counted(python_client, 2))
    assert python_client.seen == [{"a": b"\x01"}, "none"]
    await javascript.events(2)
    assert all(item.offset is not None for item in javascript.received())


@pytest.mark.colours
@pytest.mark.topologies("memory-1", "valkey-2")
async def test_stock_python_clients_answer_and_use_rooms(cluster: Cluster, python_client: Stock) -> None:
    await python_client.open(cluster, ["websocket"])
    sid = python_client.client.get_sid()
    assert await cluster.last.call("q", "a", to=sid) == "a"
    await cluster.last.enter_room(sid, "red")
    await cluster.last.emit("one", 1, to="red")
    await async_wait_until(lambda: _counted(python_client, 1))
    await cluster.last.run(steps.emit_volatile("one", 2, to="red"))
    await async_wait_until(lambda: _counted(python_client, 2))
    await cluster.first.emit("one", 3, to="red", ignore_queue=True)
    await async_wait_until(lambda: _counted(python_client, 3))
    await cluster.last.emit("none", to="red")
    await async_wait_until(lambda: _counted(python_client, 4))
    assert python_client.seen == [1, 2, 3, "none"]


@pytest.mark.topologies("memory-1")
async def test_python_clients_get_offsets_if_they_are_wanted(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(offsets_for_all=True)
    seen: list[tuple[Any, ...]] = []
    async with socketio.AsyncSimpleClient() as client:
        await client.connect(cluster.first.url, socketio_path=cluster.first.path)
        await cluster.first.emit("one", 1)
        event, *args = await client.receive(timeout=5)
        seen.append((event, *args))
    assert seen[0][:2] == ("one", 1)
    assert len(seen[0]) == 3


async def _counted(client: Stock, count: int) -> bool:
    return len(client.seen) >= count
