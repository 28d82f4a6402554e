"""Channels on a cluster: who listens where, who is counted, and what becomes of them when nodes change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis

from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis.slots import slot_of
from tests.clusters import CLUSTER_KIND, RealCluster
from tests.contract.test_channels import Listener
from tests.faults.outage import STREAM, Node, until
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

CHANNELS = [f"channel-{number}" for number in range(12)]

needs_sharded = pytest.mark.skipif(CLUSTER_KIND == "redis62", reason="Redis 6.2 has no sharded PUB/SUB")
either = pytest.mark.parametrize("sharded", [False, pytest.param(True, marks=needs_sharded)])

OpenListener = Callable[..., Listener]


@pytest_asyncio.fixture
async def listener(own_cluster: RealCluster, impatient: None) -> AsyncIterator[OpenListener]:
    """What makes listeners."""
    made: list[Listener] = []

    def make(*, sharded: bool, silence: float = 10.0) -> Listener:
        made.append(Listener(own_cluster.url, sharded=sharded, silence=silence))
        return made[-1]

    yield make
    await asyncio.to_thread(own_cluster.mend)
    for each in made:
        await each.close()


def other(cluster: RealCluster, node: RedisProcess) -> RedisProcess:
    return next(each for each in cluster.primaries() if each is not node)


async def until_counted(one: Listener, channel: str, count: int) -> None:
    async def counted() -> bool:
        try:
            return await one.channels.publish(channel, b"?") == count
        except StoreUnavailableError:
            return False

    await async_wait_until(counted, timeout=30, what=f"{count} listeners of {channel}")


async def until_heard(one: Listener, message: bytes) -> None:
    await until(lambda: message in one.heard, f"{message!r}")


@needs_sharded
async def test_a_listener_is_at_each_node_that_has_one_of_its_channels(
    own_cluster: RealCluster, listener: OpenListener
) -> None:
    one, two = listener(sharded=True), listener(sharded=True)
    await one.channels.subscribe(*CHANNELS)
    await two.channels.subscribe(CHANNELS[0])
    counts = [await two.channels.publish(channel, channel.encode()) for channel in CHANNELS]
    assert counts == [2] + [1] * 11
    for channel in CHANNELS:
        await until_heard(one, channel.encode())
    at = [len(node.client.client_list("pubsub")) for node in own_cluster.primaries()]
    assert min(at) >= 1, "the channels are spread over all nodes"
    assert two.heard == [CHANNELS[0].encode()]


@either
async def test_whoever_listens_at_another_node_is_counted(
    own_cluster: RealCluster, listener: OpenListener, *, sharded: bool
) -> None:
    """As servers of Node's may do: any node, or with sharded channels a replica of theirs."""
    one = listener(sharded=sharded)
    await one.channels.subscribe("a")
    home = own_cluster.owner("a" if sharded else STREAM)
    [replica] = own_cluster.replicas_of(home)
    elsewhere = replica if sharded else other(own_cluster, home)
    with redis.Redis(port=elsewhere.port, protocol=2) as client:
        connection: Any = client.connection_pool.get_connection()
        connection.send_command("READONLY")
        connection.read_response()
        connection.send_command("SSUBSCRIBE" if sharded else "SUBSCRIBE", "a")
        connection.read_response()
        await until_counted(one, "a", 2)  # others hear of a new replica a moment later
        assert (await asyncio.to_thread(connection.read_response))[1] == b"a"
        assert await one.channels.publish("a", b"y", counted=False) in {0, 1}
        connection.disconnect()


@needs_sharded
async def test_a_channel_is_heard_again_when_its_slot_has_moved(
    own_cluster: RealCluster, listener: OpenListener
) -> None:
    one, two = listener(sharded=True), listener(sharded=True)
    await one.channels.subscribe(*CHANNELS)
    slot = slot_of(CHANNELS[0])
    await asyncio.to_thread(own_cluster.move, slot, other(own_cluster, own_cluster.owner_of(slot)))
    await until_counted(two, CHANNELS[0], 1)
    for channel in CHANNELS:  # those that have stayed were listened to anew, perhaps
        await until_counted(two, channel, 1)
    assert await two.channels.publish(CHANNELS[0], b"after") == 1
    await until_heard(one, b"after")


@either
async def test_channels_are_heard_again_when_their_node_has_died(
    own_cluster: RealCluster, listener: OpenListener, *, sharded: bool
) -> None:
    one, two = listener(sharded=sharded), listener(sharded=sharded)
    await one.channels.subscribe(*CHANNELS)
    await two.channels.subscribe(CHANNELS[0])
    old = own_cluster.owner(CHANNELS[0] if sharded else STREAM)
    await asyncio.to_thread(old.kill)
    await until(lambda: one.failures and two.failures, "both are told")
    with pytest.raises(StoreError):
        await two.channels.publish(CHANNELS[0], b"lost")
    await asyncio.to_thread(own_cluster.fail_over, old)
    await until_counted(two, CHANNELS[0], 2)
    assert await two.channels.publish(CHANNELS[0], b"after") == 2
    await until_heard(one, b"after")


@needs_sharded
async def test_listeners_where_nobody_sends_are_made_to_hear_something(
    own_cluster: RealCluster, listener: OpenListener
) -> None:
    """Heartbeats go to one channel only, and silence counts as loss."""
    one = listener(sharded=True, silence=0.3)
    await one.channels.subscribe(*CHANNELS)

    async def all_were_pinged() -> bool:
        clients = [each for node in own_cluster.primaries() for each in node.client.client_list("pubsub")]
        return len(clients) >= 3 and all(each["cmd"] == "ping" for each in clients)

    await async_wait_until(all_were_pinged, what="a PING to each node")
    assert await one.channels.publish(CHANNELS[0], b"x") == 1
    await until_heard(one, b"x")


async def test_a_listener_starts_while_nobody_answers() -> None:
    one = Listener("redis+cluster://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError):
        await one.channels.subscribe("a")
    with pytest.raises(StoreUnavailableError):
        await one.channels.publish("a", b"x")
    await one.close()


@either
async def test_servers_on_a_cluster_ask_one_another(
    own_cluster: RealCluster, impatient: None, *, sharded: bool
) -> None:
    nodes = [Node(own_cluster.url, use_sharded_pubsub=sharded) for _ in range(2)]
    for node in nodes:
        await node.manager.ready()
    nodes[1].manager.on_server_event("where", lambda: "here")
    assert list((await nodes[0].manager.server_side_call("where")).values()) == ["here"]
    assert len(await nodes[1].manager.servers()) == 2
    for node in nodes:
        await node.manager.close()
