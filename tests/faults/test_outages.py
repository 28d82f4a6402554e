"""Redis away, frozen, trimmed or failed over, under traffic: real processes and JavaScript clients."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recovery.reasons import Reason
from tests.e2e.cluster import Server
from tests.e2e.js_clients import Connected, Disconnected, JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_kept, until_more
from tests.faults.nodes import PATIENT_PINGS, RECOVERY_SECONDS, Nodes
from tests.faults.proxy import Proxy, Strike
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

Trouble = Callable[[RedisProcess, Proxy], Awaitable[None]]

PATIENT: dict[str, Any] = {"publish_timeout": 20.0, "max_disconnection_duration": 120.0}


FLOODED = b'"first"'
"""What the packets of one server's flood have in them, and so the script call that appends them."""


@pytest.fixture
def store_url(own_redis: RedisProcess) -> str:
    return own_redis.url


@pytest_asyncio.fixture(loop_scope="session")
async def behind_proxy(proxy: Proxy, open_nodes: OpenNodes) -> Nodes:
    """Two server processes whose way to Redis leads through the proxy."""
    return await open_nodes(2, urls=[proxy.url] * 2, server=PATIENT_PINGS, **PATIENT)


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


async def _cut_replies(redis: RedisProcess, proxy: Proxy) -> None:
    """Reset connections in the middle of a reply: of reads, emits and checkpoints."""
    for after in range(0, 400, 11):
        await _struck(proxy.cut_reply(after=after))


async def _lose_replies(redis: RedisProcess, proxy: Proxy) -> None:
    """Lose replies to emits, which are repeated: once, and several times in a row."""
    for times in (1, 1, 1, 3, 1, 2):
        for strike in [proxy.swallow_reply(to=FLOODED) for _ in range(times)]:
            await _struck(strike)


async def _deliver_late(redis: RedisProcess, proxy: Proxy) -> None:
    """Let emits arrive after their repetitions on other connections, and after later emits."""
    held = [proxy.hold_command(FLOODED) for _ in range(2)]
    for each in held:
        await asyncio.wait_for(each.caught.wait(), RECOVERY_SECONDS)
    for each in held:
        each.release()
        await asyncio.wait_for(each.delivered.wait(), RECOVERY_SECONDS)


async def _struck(strike: Strike) -> None:
    """Wait until a reply was hit, or was shorter than that."""
    await asyncio.wait_for(strike.seen.wait(), RECOVERY_SECONDS)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(strike.struck.wait(), 0.05)


@pytest.mark.parametrize(
    "trouble", [_restart, _kill, _freeze, _hang, _reset_often, _cut_replies, _lose_replies, _deliver_late]
)
async def test_clients_get_everything_through_an_outage(
    own_redis: RedisProcess, proxy: Proxy, behind_proxy: Nodes, trouble: Trouble
) -> None:
    await _everything_arrives_through(trouble, own_redis, proxy, behind_proxy)


@pytest.mark.stores("redis62")
async def test_clients_get_everything_from_the_oldest_redis_though_connections_are_reset(
    own_redis: RedisProcess, proxy: Proxy, behind_proxy: Nodes
) -> None:
    await _everything_arrives_through(_reset_often, own_redis, proxy, behind_proxy)


async def _everything_arrives_through(
    trouble: Trouble, own_redis: RedisProcess, proxy: Proxy, cluster: Nodes
) -> None:
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


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_emits_that_find_no_store_for_too_long_say_whether_they_may_be_stored(
    own_redis: RedisProcess, proxy: Proxy, open_nodes: OpenNodes, how: str
) -> None:
    cluster = await open_nodes(2, urls=[proxy.url] * 2, server=PATIENT_PINGS, publish_timeout=1.0)
    clients = await cluster.travellers(4)
    for server in cluster.servers:
        await server.flood(server.host.name, batch=20, interval=0.01, sturdy=True)
    await until_more(clients)
    if how == "refuses":
        proxy.refuse()
    else:
        proxy.hang()
    for server in cluster.servers:
        await _until_denied(server, server.host.name)
    await proxy.forward()
    await until_more(clients)
    counts = [await server.stop_flood(server.host.name) for server in cluster.servers]
    truth = await assert_whole(cluster, own_redis.url, clients)
    for server, count in zip(cluster.servers, counts, strict=True):
        assert_stored(truth, server.host.name, count, await server.failures(server.host.name))
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"


async def test_emits_that_find_no_place_to_wait_raise_at_once_and_the_others_arrive(
    own_redis: RedisProcess, proxy: Proxy, open_nodes: OpenNodes
) -> None:
    patience = 2 * RECOVERY_SECONDS  # of those that found a place
    cluster = await open_nodes(
        2, urls=[proxy.url] * 2, server=PATIENT_PINGS, max_waiting_bytes=20_000, publish_timeout=patience
    )
    clients = await cluster.travellers(4)
    await cluster.first.flood("calm", interval=0.01)
    await until_more(clients)
    await cluster.first.stop_flood("calm")
    proxy.refuse()
    await cluster.first.flood("crowd", batch=200, sturdy=True)
    await _until_failed(cluster.first, "crowd", 100)
    await proxy.forward()
    await until_more(clients, 5)
    count = await cluster.first.stop_flood("crowd")
    failures = await cluster.first.failures("crowd")
    assert not any(maybe_stored for _, maybe_stored in failures), "they were not even tried"
    truth = await assert_whole(cluster, own_redis.url, clients)
    assert_stored(truth, "crowd", count, failures)
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"


async def _until_denied(server: Server, tag: str) -> None:
    """Wait until an emit of a flood has raised that was not even sent; those under way have, too."""

    async def denied() -> bool:
        return any(not maybe_stored for _, maybe_stored in await server.failures(tag))

    await async_wait_until(denied, timeout=RECOVERY_SECONDS, what=f"an emit of {tag} was not stored")


async def _until_failed(server: Server, tag: str, count: int) -> None:
    """Wait until so many emits of a flood have raised."""

    async def so_many() -> bool:
        return len(await server.failures(tag)) >= count

    await async_wait_until(so_many, timeout=RECOVERY_SECONDS, what=f"{count} emits of {tag} have raised")


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
    old = clients[0].last.pid, (await clients[0].state())["lastOffset"]
    for client, mark in zip(clients, marks, strict=True):
        again = await _come_back(client, mark)
        assert not again.recovered
        assert (await cluster.first.recovery(client.sid))["reason"] == Reason.OFFSET_TRIMMED
    for server in [cluster.first] * 2:  # whoever tries again and again is told why each time
        insistent = await cluster.client(server, pid=old[0], offset=old[1])
        assert not insistent.last.recovered
        assert (await server.recovery(insistent.sid))["reason"] == Reason.OFFSET_TRIMMED
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


async def test_a_failover_that_lost_nothing_is_not_noticed(
    own_redis: RedisProcess, spare: RedisProcess, proxy: Proxy, behind_proxy: Nodes
) -> None:
    cluster = behind_proxy
    clients = await cluster.travellers(4)
    await cluster.first.flood("before", interval=0.01)
    await until_more(clients)
    await asyncio.to_thread(spare.replica_of, own_redis)
    await cluster.first.stop_flood("before")
    await cluster.settle(*clients)
    newest = own_redis.client.xrevrange(cluster.app, count=1)

    async def replicated() -> bool:
        return bool(spare.client.xrevrange(cluster.app, count=1) == newest)

    await async_wait_until(replicated, what="the replica has everything")
    spare.replica_of(None)
    proxy.redirect(spare.url)
    await asyncio.to_thread(own_redis.kill)
    await cluster.last.flood("after", interval=0.01)
    await until_more(clients)
    await cluster.last.stop_flood("after")
    await assert_whole(cluster, spare.url, clients)
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"


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
