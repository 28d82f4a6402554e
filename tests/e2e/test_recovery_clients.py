"""This project's Python clients, of both colours, and this project's servers in real processes."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from adapter.client_state import ClientRecovery
from tests.clients.drivers import COLOURS, driving, quiet_engineio
from tests.e2e import steps
from tests.e2e.checker import Label
from tests.e2e.cluster import ROOT, Cluster, real_time_passes
from tests.e2e.conftest import OpenCluster
from tests.e2e.visitors import Programme, PythonVisitor, visiting
from tests.faults.proxy import Proxy

FRESH, RECOVERED = ClientRecovery(), ClientRecovery(recovered=True)
# python-engineio leaves the response of an aborted poll open (4.15.1), to be collected at any time.
QUIETLY = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
POLLING = [pytest.param(names, marks=QUIETLY) for names in (["polling"], ["polling", "websocket"])]
TRANSPORTS = [["websocket"], *POLLING]
# A long-polling client of python-engineio that closes waits until its last poll ends, with a ping.
PINGS = {"ping_interval": 0.3, "ping_timeout": 2.0}


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def _visitor(
    stack: AsyncExitStack, cluster: Cluster, colour: str, name: str = "ann", **options: Any
) -> PythonVisitor:
    visitor = await stack.enter_async_context(visiting(colour, cluster, name, **options))
    assert isinstance(visitor, PythonVisitor)
    return visitor


@pytest.mark.core
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_a_client_that_comes_back_misses_nothing(
    open_cluster: OpenCluster, stack: AsyncExitStack, colour: str, transports: list[str]
) -> None:
    cluster = await open_cluster(server=PINGS)
    visitor = await _visitor(stack, cluster, colour)
    await visitor.come(transports=transports, auth={"user": "ann"})
    sid = visitor.sid
    await cluster.first.enter_room(sid, "red")
    await cluster.first.save_session(sid, {"name": "ann"})
    await cluster.first.emit("n", 1)
    await visitor.driver.until_got("n", 1)
    visitor.network.refuse()
    for number in (2, 3):
        await cluster.first.emit("n", {"number": number, "blob": b"\x01"}, to="red")
    await visitor.network.forward()
    await visitor.come_back(cluster.last)
    await cluster.last.emit("n", 4, to=sid)
    await visitor.driver.until_got("n", 4)
    assert visitor.driver.got("n") == [1, *({"number": n, "blob": b"\x01"} for n in (2, 3)), 4]
    assert visitor.driver.got("connect")[:2] == [FRESH, RECOVERED]
    assert visitor.sid == sid
    assert await cluster.last.get_session(sid) == {"name": "ann"}
    [*_, line] = await cluster.last.wait_log("connect", sid)
    assert line["auth"] == {"user": "ann"}


@pytest.mark.topologies("memory-1", "valkey-2")
async def test_ten_times_in_a_row_under_traffic(cluster: Cluster, stack: AsyncExitStack) -> None:
    visitors = [await _visitor(stack, cluster, colour, colour) for colour in COLOURS]
    for visitor in visitors:
        await visitor.come()
    for number, server in enumerate(cluster.servers):
        await server.flood(f"server-{number}", batch=1 + 3 * number, interval=0.005)
    dice = random.Random(1)
    for turn in range(10):
        await asyncio.sleep(dice.uniform(0, 0.2))
        server = cluster.last if turn % 2 == 0 else cluster.first
        await asyncio.gather(*(visitor.come_back(server) for visitor in visitors))
    programme = Programme()
    for producer, server in enumerate(cluster.servers):
        for number in range(1, await server.stop_flood(f"server-{producer}") + 1):
            programme.add(Label(f"server-{producer}", number), *visitors)
    await programme.check(*visitors)
    for visitor in visitors:
        assert visitor.driver.got("connect")[1:11] == [RECOVERED] * 10


@pytest.mark.topologies("valkey-2")
@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_namespaces_and_serializers(
    open_cluster: OpenCluster, stack: AsyncExitStack, colour: str, serializer: str
) -> None:
    cluster = await open_cluster(server={"serializer": serializer})
    visitor = await _visitor(stack, cluster, colour, serializer=serializer)
    visitor.driver.listen("n", "connect", "settle", namespace="/chat")
    await visitor.come()
    await cluster.first.emit("n", 1, namespace="/chat")
    await visitor.driver.until_got("n", 1, "/chat")
    visitor.network.refuse()
    await cluster.first.emit("n", {"b": b"\x01"}, namespace="/chat")
    await cluster.first.emit("n", "two")
    await visitor.network.forward()
    await visitor.come_back(cluster.last)
    await visitor.driver.until_got("connect", 2, "/chat")
    await visitor.settle()
    await visitor.settle("/chat")
    assert visitor.driver.got("n", "/chat") == [1, {"b": b"\x01"}]
    assert visitor.driver.got("n") == ["two"]
    assert visitor.driver.got("connect", "/chat")[:2] == [FRESH, RECOVERED]


@pytest.mark.topologies("memory-1")
async def test_the_reason_is_told_to_the_connect_handler(
    open_cluster: OpenCluster, stack: AsyncExitStack, colour: str
) -> None:
    cluster = await open_cluster(recovery={"max_disconnection_duration": 2.0})
    visitor = await _visitor(stack, cluster, colour)
    await visitor.come()
    sid = visitor.sid
    visitor.network.refuse()
    await cluster.first.wait_log("disconnect-done", sid)
    await real_time_passes(2.5)  # it stays known for as long again
    await visitor.network.forward()
    await visitor.driver.until_got("connect", 2)
    assert visitor.driver.got("connect") == [FRESH, ClientRecovery(reason="session-expired")]


@pytest.mark.topologies("memory-1")
async def test_volatile_and_local_packets_and_calls_reach_handlers_without_an_offset(
    cluster: Cluster, stack: AsyncExitStack, colour: str
) -> None:
    visitor = await _visitor(stack, cluster, colour)
    visitor.driver.listen("q", then="{} is the answer".format)
    await visitor.come()
    await cluster.first.run(steps.emit_volatile("n", "text"))
    await cluster.first.emit("n", "local", ignore_queue=True)
    assert await cluster.first.call("q", "text", to=visitor.sid) == "text is the answer"
    await visitor.driver.until_got("n", 2)
    assert visitor.driver.got("n") == ["text", "local"]


@pytest.mark.topologies("memory-1")
async def test_disconnecting_ends_the_session_on_the_server(
    cluster: Cluster, stack: AsyncExitStack, colour: str
) -> None:
    visitor = await _visitor(stack, cluster, colour)
    await visitor.come()
    sid = visitor.sid
    await visitor.driver.do("disconnect")
    [line] = await cluster.first.wait_log("disconnect", sid)
    assert line["reason"] == "client disconnect"


async def test_a_server_without_recovery(stock: Cluster, colour: str) -> None:
    async with driving(colour) as driver, Proxy(stock.first.url) as network:
        driver.listen("connect", "n")
        await driver.connect(network.url, socketio_path=stock.first.path)
        await stock.first.emit("n", ("a", "b"))
        await driver.until_got("n", 1)
        network.reset()
        await driver.until_got("connect", 2)
        await stock.first.emit("n", "c")
        await driver.until_got("n", 2)
        assert driver.got("n") == [("a", "b"), "c"]
        assert driver.got("connect") == [FRESH, FRESH]


class Process:
    """A process with a client in it (`tests.clients.process`)."""

    def __init__(self, colour: str, url: str, path: str, state: Any) -> None:
        self._arguments = [colour, url, path, json.dumps(state)]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is connected."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.clients.process", *self._arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def read(self) -> dict[str, Any]:
        """What it said next."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            line: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return line

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> dict[str, Any]:
        """Have it suspend its client, and end; return the state."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        while "state" not in (line := await self.read()):
            pass
        assert await asyncio.wait_for(self._process.wait(), 30) == 0
        state: dict[str, Any] = line["state"]
        return state


@pytest.mark.topologies("memory-1", "valkey-2")
async def test_a_client_process_that_restarts_misses_nothing(cluster: Cluster, colour: str) -> None:
    first = Process(colour, cluster.first.url, cluster.first.path, None)
    await first.start()
    assert await first.read() == {"connect": {"recovered": False, "reason": None}}
    await cluster.first.emit("n", 1)
    assert await first.read() == {"n": [1]}
    state = await first.stop()
    await cluster.first.emit("n", 2)
    second = Process(colour, cluster.last.url, cluster.last.path, state)
    await second.start()
    assert await second.read() == {"connect": {"recovered": True, "reason": None}}
    assert await second.read() == {"n": [2]}
    await second.stop()


@pytest.mark.topologies("valkey-2")
async def test_a_client_process_that_is_killed_goes_on_where_its_handlers_were(
    open_cluster: OpenCluster, colour: str
) -> None:
    """What it had received, and proven so, but not handled, is sent again."""
    cluster = await open_cluster(server=PINGS)
    first = Process(colour, cluster.first.url, cluster.first.path, None)
    await first.start()
    await first.read()
    await cluster.first.emit("n", 1)
    await first.read()
    await cluster.first.emit("hang")
    hanging = await first.read()
    for number in (2, 3):
        await cluster.first.emit("n", number)
    await real_time_passes(1.0)  # for a PING, its PONG, and a checkpoint
    await first.kill()
    second = Process(colour, cluster.last.url, cluster.last.path, hanging["hang"])
    await second.start()
    assert await second.read() == {"connect": {"recovered": True, "reason": None}}
    assert [await second.read() for _ in range(2)] == [{"n": [2]}, {"n": [3]}]
    await second.stop()
