"""Nodes that send a store elsewhere, on a real cluster: nothing is lost, doubled, or left out unnoticed."""

import asyncio
from typing import Any

import pytest
import redis
import valkey
from redis import asyncio as aredis
from redis.crc import key_slot
from valkey import asyncio as avalkey

from recovery.commands import Appended, Claimed, GetStream, Read, Saved
from recovery.errors import ConfigurationError, StoreError, StoreUnavailableError
from recovery.offsets import ORIGIN
from recovery.records import Pid
from recovery.stores import endpoint_of, open_store
from recovery.stores.redis.endpoints import Node
from tests.clusters import RealCluster
from tests.contract.builders import append, claim, save
from tests.contract.subject import KEYS, Subject, opened
from tests.faults.redis_process import RedisProcess

SLOT = key_slot(KEYS.stream.encode())
NAMES = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}


@pytest.fixture(params=["async", "sync"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def other(cluster: RealCluster, node: RedisProcess) -> RedisProcess:
    """Another node with slots."""
    return next(each for each in cluster.primaries() if each is not node)


async def repeated(store: Subject, command: Any) -> Any:
    """Carry a command out again and again until it is answered, as whoever insists does."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.execute(command)
            except StoreUnavailableError:
                await asyncio.sleep(0.02)


async def test_a_slot_that_has_moved_is_found(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    await store.execute(append(b"a"))
    own_cluster.move(SLOT, other(own_cluster, own_cluster.owner_of(SLOT)))
    appended = await store.execute(append(b"b", sequence=2))
    assert await store.execute(append(b"b", sequence=2)) == appended, "its producer's key has moved, too"
    assert len(await store.execute(Read(ORIGIN, 10, 0))) == 3
    await store.close()


async def test_a_reader_is_told_once_that_another_node_answers(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    state = await store.execute(append(b"a"))
    await store.execute(Read(ORIGIN, 10, 10))
    own_cluster.move(SLOT, other(own_cluster, own_cluster.owner_of(SLOT)))
    appended = await store.execute(append(b"b", sequence=2))
    with pytest.raises(StoreUnavailableError, match="hung up"):
        await store.execute(Read(state.offsets[-1], 10, 1000))
    [entry] = await store.execute(Read(state.offsets[-1], 10, 1000))
    assert entry.offset == appended.offsets[0]
    await store.close()


async def test_a_reader_is_told_once_while_the_slot_is_on_its_way(
    own_cluster: RealCluster, colour: str
) -> None:
    store = opened(own_cluster.url, colour)
    await store.execute(append(b"a"))
    await store.execute(Read(ORIGIN, 10, 10))
    target = other(own_cluster, own_cluster.owner_of(SLOT))
    source = own_cluster.begin_move(SLOT, target)
    assert len(await store.execute(Read(ORIGIN, 10, 10))) == 2, "the key is where it was"
    own_cluster.move_keys(SLOT, source, target, own_cluster.keys_in(SLOT, source))
    with pytest.raises(StoreUnavailableError, match="hung up"):
        await store.execute(Read(ORIGIN, 10, 10))
    for _ in range(2):
        assert len(await store.execute(Read(ORIGIN, 10, 10))) == 2
    own_cluster.end_move(SLOT, source, target)
    with pytest.raises(StoreUnavailableError, match="hung up"):
        await store.execute(Read(ORIGIN, 10, 10))
    assert len(await store.execute(Read(ORIGIN, 10, 10))) == 2
    await store.close()


async def test_a_waiting_read_ends_when_its_slot_goes_away(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    state = await store.execute(append(b"a"))
    reading = asyncio.create_task(store.execute(Read(state.offsets[-1], 10, 4_000)))
    await asyncio.to_thread(own_cluster.move, SLOT, other(own_cluster, own_cluster.owner_of(SLOT)))
    appended = await store.execute(append(b"b", sequence=2))
    with pytest.raises(StoreUnavailableError, match="hung up"):
        await reading
    [entry] = await store.execute(Read(state.offsets[-1], 10, 4_000))
    assert entry.offset == appended.offsets[0]
    await store.close()


async def test_keys_of_a_script_on_two_nodes_are_an_outage_that_ends(
    own_cluster: RealCluster, colour: str
) -> None:
    store = opened(own_cluster.url, colour)
    await store.execute(append(b"a"))
    target = other(own_cluster, own_cluster.owner_of(SLOT))
    source = own_cluster.begin_move(SLOT, target)
    own_cluster.move_keys(SLOT, source, target, [KEYS.stream])
    with pytest.raises(StoreUnavailableError, match="TRYAGAIN") as caught:
        await store.execute(append(b"b", sequence=2))
    assert caught.value.maybe_applied is False
    own_cluster.move_keys(SLOT, source, target, own_cluster.keys_in(SLOT, source))
    appended = await store.execute(append(b"b", sequence=2))
    own_cluster.end_move(SLOT, source, target)
    assert await store.execute(append(b"b", sequence=2)) == appended
    await store.close()


async def test_a_session_is_made_when_its_slot_has_arrived(own_cluster: RealCluster, colour: str) -> None:
    """Its keys would be new: neither node can say that they are not at the other one."""
    store = opened(own_cluster.url, colour)
    pid = Pid("pid-of-a-new-session")
    slot = key_slot(KEYS.session(pid).encode())
    target = other(own_cluster, own_cluster.owner_of(slot))
    source = own_cluster.begin_move(slot, target)
    with pytest.raises(StoreUnavailableError, match="TRYAGAIN"):
        await store.execute(save(pid=pid, create=True))
    own_cluster.end_move(slot, source, target)
    assert await store.execute(save(pid=pid, create=True)) == Saved()
    assert isinstance(await store.execute(claim(pid=pid)), Claimed)
    await store.close()


async def test_commands_for_all_nodes_travel_together_while_slots_move(
    own_cluster: RealCluster, colour: str
) -> None:
    store = opened(own_cluster.url, colour)
    pids = [Pid(f"pid-{number:016}") for number in range(40)]
    saved = await store.execute_many([save(pid=pid, create=True) for pid in pids])
    assert saved == [Saved()] * len(pids)
    for pid in pids[:10]:
        slot = key_slot(KEYS.session(pid).encode())
        await asyncio.to_thread(own_cluster.move, slot, other(own_cluster, own_cluster.owner_of(slot)))
    claims = await store.execute_many([claim(pid=pid) for pid in pids])
    assert [claimed.number for claimed in claims if isinstance(claimed, Claimed)] == [2] * len(pids)
    await store.close()


async def test_a_replica_takes_over_and_is_found(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    appended = await store.execute(append(b"a"))
    await store.execute(Read(ORIGIN, 10, 10))
    old = own_cluster.owner_of(SLOT)
    own_cluster.wait_until_copied(old)
    old.kill()
    with pytest.raises(StoreUnavailableError):
        await store.execute(append(b"b", sequence=2))
    own_cluster.fail_over(old)
    assert await repeated(store, append(b"a")) == appended, "what was stored is known there"
    assert isinstance(await store.execute(append(b"b", sequence=2)), Appended)
    with pytest.raises(StoreUnavailableError):
        await store.execute(Read(ORIGIN, 10, 10))
    assert len(await repeated(store, Read(ORIGIN, 10, 10))) == 3
    await store.close()


async def test_a_primary_that_became_a_replica_sends_elsewhere(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    await store.execute(append(b"a"))
    old = own_cluster.owner_of(SLOT)
    own_cluster.wait_until_copied(old)
    own_cluster.fail_over(old)
    own_cluster.wait_until_agreed()
    assert isinstance(await repeated(store, append(b"b", sequence=2)), Appended)
    await store.close()


async def test_a_cluster_that_has_lost_slots_is_an_outage(own_cluster: RealCluster, colour: str) -> None:
    store = opened(own_cluster.url, colour)
    await store.execute(append(b"a"))
    with own_cluster.without(SLOT):
        with pytest.raises(StoreUnavailableError) as caught:
            await store.execute(append(b"b", sequence=2))
        assert caught.value.maybe_applied is False
    assert isinstance(await repeated(store, append(b"b", sequence=2)), Appended)
    await store.close()


async def test_one_node_of_the_url_will_do(own_cluster: RealCluster, colour: str) -> None:
    *_, last = own_cluster.nodes
    store = opened(f"redis+cluster://127.0.0.1:1,127.0.0.1:{last.port}", colour)
    assert isinstance(await store.execute(append(b"a")), Appended)
    await store.close()


async def test_a_url_of_a_single_server_to_a_node_is_told_what_to_write(
    own_cluster: RealCluster, colour: str
) -> None:
    node = other(own_cluster, own_cluster.owner_of(SLOT))
    store = opened(node.url, colour)
    with pytest.raises(StoreError, match=r"MOVED .*use redis\+cluster://"):
        await store.execute(GetStream())
    await store.close()


async def test_a_url_of_a_cluster_to_a_single_server_is_told_what_to_write(
    colour: str, redis70_server: Any, unused_tcp_port: int
) -> None:
    with redis.Redis.from_url(redis70_server.url) as admin:
        admin.config_set("port", unused_tcp_port)
        store = opened(f"redis+cluster://127.0.0.1:{unused_tcp_port}", colour)
        with pytest.raises(StoreError, match="is no node of a Redis Cluster: use redis://"):
            await store.execute(GetStream())
        await store.close()
        admin.config_set("port", 0)


async def test_nobody_at_the_address_is_an_outage(colour: str) -> None:
    store = opened("redis+cluster://127.0.0.1:1", colour)
    with pytest.raises(StoreUnavailableError) as caught:
        await store.execute(append(b"a"))
    assert caught.value.maybe_applied is False
    await store.close()


@pytest.mark.parametrize(
    "names", [{"stream_name": "a}b"}, {"stream_name": "{}{a}"}, {"session_key_prefix": "a}b:"}]
)
def test_names_that_would_part_what_belongs_together_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(names))}.*different slots"):
        open_store("redis+cluster://127.0.0.1:1", **{**NAMES, **names})


@pytest.mark.parametrize("library", ["redis", "redis.asyncio", "valkey", "valkey.asyncio"])
async def test_a_cluster_is_opened_by_a_client(own_cluster: RealCluster, colour: str, library: str) -> None:
    where: dict[str, Any] = {"host": "127.0.0.1", "port": own_cluster.nodes[0].port}
    client: Any  # of two libraries and two colours
    if library.endswith("asyncio"):
        client = (aredis.RedisCluster if "redis" in library else avalkey.ValkeyCluster)(**where)
    else:
        client = (redis.RedisCluster if "redis" in library else valkey.ValkeyCluster)(**where)
    store = opened(client, colour)
    assert isinstance(await store.execute(append(b"a")), Appended)
    await store.close()
    await client.aclose() if library.endswith("asyncio") else client.close()


def test_what_a_client_says_of_the_way_in_is_copied() -> None:
    def remap(address: tuple[str, int]) -> tuple[str, int]:
        return (address[0], address[1] + 1)

    client = aredis.RedisCluster(
        host="one", port=7000, username="me", password="pw", ssl=True, ssl_ca_certs="ca", address_remap=remap
    )
    endpoint = endpoint_of(client)
    assert endpoint.cluster is not None
    assert endpoint.cluster.nodes == (Node("one", 7000),)
    node = endpoint.at(Node("two", 7001))
    assert node.kind == "SSLConnection"
    wanted = {"host": "two", "port": 7002, "username": "me", "password": "pw", "ssl_ca_certs": "ca"}
    assert {name: node.options[name] for name in wanted} == wanted
    assert "pw" not in f"{endpoint!r} {node!r}"
