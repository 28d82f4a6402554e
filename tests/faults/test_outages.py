"""Redis away, frozen, trimmed or failed over, under traffic: real processes and JavaScript clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recovery.reasons import Reason
from tests.e2e.js_clients import Connected, Disconnected, JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_kept, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.faults.proxy import Proxy
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

pytestmark = pytest.mark.stores("valkey")  # the servers of these tests are their own

PATIENT: dict[str, Any] = {"publish_timeout": 20.0, "max_disconnection_duration": 120.0}


@pytest.fixture(params=["valkey", "redis70"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that the test may break, and that writes everything to the disk at once."""
    with RedisProcess(request.param, tmp_path / "redis", fsync="always") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(own_redis: RedisProcess) -> AsyncIterator[Proxy]:
    async with Proxy(own_redis.url) as started:
        yield started
        await started.forward()


@pytest_asyncio.fixture(loop_scope="session")
async def behind_proxy(own_redis: RedisProcess, proxy: Proxy, open_nodes: OpenNodes) -> Nodes:
    """Two server processes whose way to Redis leads through the proxy."""
    return await open_nodes(2, urls=[proxy.url] * 2, **PATIENT)


async def _restart(redis: RedisProcess, proxy: Proxy) -> None:
    await asyncio.to_thread(redis.restart)


async def _kill(redis: RedisProcess, proxy: Proxy) -> None:
    await asyncio.to_thread(redis.kill)
    await asyncio.to_thread(redis.start)


async def _freeze(redis: RedisProcess, proxy: Proxy) -> None:
    redis.freeze()
    await asyncio.sleep(3)  # longer than an answer is waited for
    redis.thaw()


async def _hang(redis: RedisProcess, proxy: Proxy) -> None:
    proxy.hang()
    await asyncio.sleep(3)
    await proxy.forward()


async def _reset_often(redis: RedisProcess, proxy: Proxy) -> None:
    for _ in range(30):
        proxy.reset()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("own_redis", "trouble"),
    [
        ("valkey", _restart),
        ("redis70", _kill),
        ("valkey", _freeze),
        ("redis70", _hang),
        ("redis62", _reset_often),
    ],
    indirect=["own_redis"],
)
async def test_clients_get_everything_through_an_outage(
    own_redis: RedisProcess,
    proxy: Proxy,
    behind_proxy: Nodes,
    trouble: Callable[[RedisProcess, Proxy], Awaitable[None]],
) -> None:
    cluster = behind_proxy
    clients = await cluster.travellers(6)
    for tag, server in (("first", cluster.first), ("last", cluster.last)):
        await server.flood(tag, interval=0.01)
    await until_more(clients)
    await trouble(own_redis, proxy)
    await until_more(clients)
    counts = {"first": await cluster.first.stop_flood("first"), "last": await cluster.last.stop_flood("last")}
    truth = await assert_whole(cluster, own_redis.url, clients)
    for tag, count in counts.items():
        assert_stored(truth, tag, count)
    assert all(again.recovered for client in clients for again in client.all(Connected)[1:])


async def test_a_cluster_that_starts_before_its_redis(own_redis: RedisProcess, open_nodes: OpenNodes) -> None:
    await asyncio.to_thread(own_redis.stop)
    cluster = await open_nodes(2, urls=[own_redis.url] * 2, publish_timeout=0.5)
    client = await cluster.client(keep=["n"])
    asking = await cluster.client(cluster.last, pid="p" * 32, offset="1-1")
    assert (await cluster.last.recovery(asking.sid))["reason"] == Reason.STORE_UNAVAILABLE
    assert (client.last.pid, asking.last.pid) == (None, None), "nobody is promised what cannot be kept"
    await asyncio.to_thread(own_redis.start)
    await _until_it_emits(cluster)
    for each in (client, asking):  # told that something may be missing
        await each.next(Disconnected, seconds=RECOVERY_SECONDS)
    connected = await client.reconnect(cluster.last.url)
    assert connected.pid
    await cluster.first.flood("first", interval=0.01)
    await until_more([client])
    await client.drop()
    again = await client.reconnect(cluster.first.url)
    assert again.recovered
    await until_more([client])
    await cluster.first.stop_flood("first")


async def _until_it_emits(cluster: Nodes) -> None:
    async def emits() -> bool:
        for server in cluster.servers:
            await server.flood("probe", event="probe", sturdy=True, interval=0.05)
            await asyncio.sleep(0.1)
            await server.stop_flood("probe")
            if await server.failures("probe"):
                return False
        return True

    await async_wait_until(emits, timeout=RECOVERY_SECONDS, what="both servers can emit")


async def test_a_trim_during_an_outage_is_told_to_every_client(
    own_redis: RedisProcess, proxy: Proxy, open_nodes: OpenNodes
) -> None:
    cluster = await open_nodes(2, urls=[proxy.url, own_redis.url], **PATIENT)
    cluster.expected_errors.append("entries after")
    clients = [await cluster.client(cluster.first, keep=["n"]) for _ in range(3)]
    await cluster.last.emit_numbers("n", range(5))
    await until_kept(clients, 5)
    marks = [len(client.history) for client in clients]
    proxy.hang()
    await cluster.last.emit_numbers("n", range(5, 10))
    own_redis.client.xtrim(cluster.app, maxlen=2, approximate=False)
    await asyncio.sleep(0.2)
    proxy.reset()
    await proxy.forward()
    for client, mark in zip(clients, marks, strict=True):
        again = await _come_back(client, mark)
        assert not again.recovered
        reason = (await cluster.first.recovery(client.sid))["reason"]
        assert reason == Reason.OFFSET_TRIMMED
    await cluster.last.emit_numbers("n", range(10, 15))
    await until_kept(clients, 10)
    for client in clients:
        assert [args[0] for args in await client.kept()] == [*range(5), *range(10, 15)]


async def _come_back(client: JsClient, mark: int) -> Connected:
    """Wait until the server closes a client's transport, and let it connect again."""
    await client.next(Disconnected, after=mark, seconds=RECOVERY_SECONDS)
    return await client.reconnect(seconds=RECOVERY_SECONDS)


@pytest.fixture
def spare(own_redis: RedisProcess, tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that is to be a replica; it outlives the server processes."""
    with RedisProcess(own_redis.kind, tmp_path / "spare") as started:
        yield started


async def test_a_failover_that_lost_writes_is_told_to_every_client(
    own_redis: RedisProcess, spare: RedisProcess, proxy: Proxy, behind_proxy: Nodes
) -> None:
    cluster = behind_proxy
    cluster.expected_errors.append("entries after")
    clients = [await cluster.client(server, keep=["n"]) for server in cluster.servers * 2]
    await cluster.first.emit_numbers("n", range(5))
    await until_kept(clients, 5)
    await asyncio.to_thread(spare.replica_of, own_redis)
    spare.become_lonely_replica()
    await cluster.last.emit_numbers("n", range(5, 10))
    await until_kept(clients, 10)
    marks = [len(client.history) for client in clients]
    spare.replica_of(None)
    proxy.redirect(spare.url)
    await asyncio.to_thread(own_redis.kill)
    for place, (client, mark) in enumerate(zip(clients, marks, strict=True)):
        assert not (await _come_back(client, mark)).recovered
        reason = (await cluster.servers[place % 2].recovery(client.sid))["reason"]
        assert reason == Reason.EPOCH_CHANGED
    await cluster.first.emit_numbers("n", range(10, 15))
    await until_kept(clients, 15)
    for client in clients:
        numbers, offsets = zip(*await client.kept(), strict=True)
        assert list(numbers) == list(range(15))
        assert len(offsets) == len(set(offsets)), "no offset is given twice"
        await client.drop()
        await cluster.come_back(client)
