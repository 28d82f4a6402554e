"""A store that takes no writes: full, read-only, or with somebody else's keys; real processes and clients."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from recovery.reasons import Reason
from recovery.records import Pid
from recovery.stores.redis.keys import Keys
from tests.e2e.cluster import Server, ServerError
from tests.e2e.js_clients import Connected, JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_kept, until_more
from tests.faults.nodes import PATIENT_PINGS, RECOVERY_SECONDS, Nodes
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

PREFIX = "sio:session:"
SHORT: dict[str, Any] = {"publish_timeout": 0.5, "server": PATIENT_PINGS}


@pytest.fixture
def store_url(own_redis: RedisProcess) -> str:
    return own_redis.url


async def _fails(do: Awaitable[None], kind: str, word: str) -> bool | None:
    """Demand that something raises an error of ours; return whether it may be stored, if it says."""
    with pytest.raises(ServerError, match=word) as caught:
        await do
    assert caught.value.kind == kind
    maybe_stored: bool | None = caught.value.details.get("maybe_stored")
    return maybe_stored


async def _until_failed(server: Server, tag: str, word: str = "") -> None:
    async def failed() -> bool:
        return bool(await server.failures(tag))

    await async_wait_until(failed, timeout=RECOVERY_SECONDS, what=f"an emit of {tag} has raised")


async def test_a_store_without_memory_is_told_and_gets_over_it(
    own_redis: RedisProcess, open_nodes: OpenNodes
) -> None:
    cluster = await open_nodes(2, **SHORT)
    cluster.expected_errors.append("OOM")
    clients = await cluster.travellers(4)
    away = await cluster.client(keep=["n"])
    for server in cluster.servers:
        await server.flood(server.host.name, interval=0.01, sturdy=True)
    await until_more([*clients, away])
    await away.drop()
    await cluster.first.wait_log("disconnect-done", away.sid)
    own_redis.config_set("maxmemory", "1")
    for server in cluster.servers:
        await _until_failed(server, server.host.name)
    sid = clients[0].sid
    assert await _fails(cluster.first.emit("lost"), "PublishError", "OOM") is False
    await _fails(cluster.first.save_session(sid, {"name": "ada"}), "SaveError", "OOM")
    await _fails(cluster.first.enter_room(sid, "red"), "SaveError", "OOM")
    stranger = await cluster.client(cluster.last, **await _papers(away))
    assert not stranger.last.recovered
    assert (await cluster.last.recovery(stranger.sid))["reason"] == Reason.STORE_UNAVAILABLE
    await stranger.dispose()
    own_redis.config_set("maxmemory", "0")
    await until_more(clients)
    await cluster.come_back(away)
    await cluster.first.save_session(sid, {"name": "ada"})
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"
    await _everything_stored_and_whole(own_redis, cluster, [*clients, away])
    await clients[0].follow([])
    await clients[0].drop()
    await cluster.come_back(clients[0])
    assert await cluster.last.get_session(sid) == {"name": "ada"}
    assert "red" in await cluster.last.rooms(sid), "it was entered here, and saved when that was possible"


async def _papers(client: JsClient) -> dict[str, Any]:
    """What a client would present if it came back."""
    state = await client.state()
    return {"pid": client.pid, "offset": state["lastOffset"]}


async def _everything_stored_and_whole(
    own_redis: RedisProcess, cluster: Nodes, clients: list[JsClient]
) -> None:
    counts = [await server.stop_flood(server.host.name) for server in cluster.servers]
    truth = await assert_whole(cluster, own_redis.url, clients)
    for server, count in zip(cluster.servers, counts, strict=True):
        assert_stored(truth, server.host.name, count, await server.failures(server.host.name))


async def test_a_read_only_store_is_waited_for(own_redis: RedisProcess, open_nodes: OpenNodes) -> None:
    cluster = await open_nodes(2, server=PATIENT_PINGS, publish_timeout=20.0)
    clients = await cluster.travellers(4)
    for server in cluster.servers:
        await server.flood(server.host.name, interval=0.01)
    await until_more(clients)
    own_redis.become_lonely_replica()
    before = own_redis.client.xlen(cluster.app)
    await clients[0].lose("close")  # it recovers when the store can be written, or on its own
    await _refused(own_redis, times=20)
    assert own_redis.client.xlen(cluster.app) == before
    own_redis.replica_of(None)
    await until_more(clients)
    await _everything_stored_and_whole(own_redis, cluster, clients)
    assert not any([await server.failures(server.host.name) for server in cluster.servers])
    assert all(len(client.all(Connected)) == 1 for client in clients[1:]), "they have noticed nothing"


async def _refused(own_redis: RedisProcess, *, times: int) -> None:
    """Wait until the server has refused so many commands."""

    def refusals() -> int:
        counts: dict[str, Any] = own_redis.client.info("errorstats")
        return int(counts.get("errorstat_READONLY", {"count": 0})["count"])

    async def often() -> bool:
        return refusals() >= times

    await async_wait_until(often, timeout=RECOVERY_SECONDS, what=f"{times} refusals")


async def test_a_store_that_stays_read_only_has_certainly_stored_nothing(
    own_redis: RedisProcess, open_nodes: OpenNodes
) -> None:
    cluster = await open_nodes(2, **SHORT)
    clients = await cluster.travellers(4)
    for server in cluster.servers:
        await server.flood(server.host.name, interval=0.01, sturdy=True)
    await until_more(clients)
    own_redis.become_lonely_replica()
    for server in cluster.servers:
        await _until_failed(server, server.host.name)
    said = "READONLY|the store did not answer"  # if it has to wait for its turn until its time is over
    assert await _fails(cluster.first.emit("lost"), "PublishError", said) is False
    await _fails(cluster.first.enter_room(clients[0].sid, "red"), "SaveError", "READONLY")
    own_redis.replica_of(None)
    await until_more(clients)
    await _everything_stored_and_whole(own_redis, cluster, clients)
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"


def _usurp(own_redis: RedisProcess, key: str) -> Callable[[], None]:
    """Put somebody else's value in the place of a key; return how to put ours back."""
    with own_redis.client.pipeline() as pipe:  # at once, or a server makes a stream in between
        pipe.rename(key, "kept")
        pipe.sadd(key, "somebody else's")
        pipe.execute()

    def restore() -> None:
        own_redis.client.rename("kept", key)

    return restore


@pytest.mark.parametrize("which", ["stream", "epoch"])
async def test_a_key_of_the_stream_of_a_wrong_type_is_named_and_clients_miss_nothing(
    own_redis: RedisProcess, open_nodes: OpenNodes, which: str
) -> None:
    cluster = await open_nodes(2, **SHORT)
    clients = await cluster.travellers(4)
    for server in cluster.servers:
        await server.flood(server.host.name, interval=0.01, sturdy=True)
    await until_more(clients)
    key = getattr(Keys(cluster.app, PREFIX), which)
    restore = _usurp(own_redis, key)
    for server in cluster.servers:
        await _until_failed(server, server.host.name)
    assert await _fails(cluster.first.emit("lost"), "PublishError", f"'{key}' holds a set, not a") is False
    await cluster.first.save_session(clients[0].sid, {"name": "ada"})  # has nothing to do with it
    restore()
    await until_more(clients)
    await _everything_stored_and_whole(own_redis, cluster, clients)
    assert all(len(client.all(Connected)) == 1 for client in clients), "they have noticed nothing"


@pytest.mark.parametrize("which", ["session", "claim"])
async def test_a_key_of_a_session_of_a_wrong_type_costs_this_recovery_only(
    own_redis: RedisProcess, cluster: Nodes, which: str
) -> None:
    client, other = await cluster.client(keep=["n"]), await cluster.client(keep=["n"])
    await cluster.last.emit_numbers("n", range(3))
    await until_kept([client, other], 3)
    keys = Keys(cluster.app, PREFIX)
    key = {"session": keys.session, "claim": keys.claim}[which](Pid(client.pid))
    papers = await _papers(client)
    restore = _usurp(own_redis, key)
    with pytest.raises(ServerError, match="holds a set, not a") as caught:
        await cluster.first.enter_room(client.sid, "red")
    assert client.pid not in str(caught.value)
    for each in (client, other):
        await each.drop()
    assert not (await client.reconnect(cluster.last.url)).recovered
    assert (await cluster.last.recovery(client.sid))["reason"] == Reason.STORE_UNAVAILABLE
    await cluster.come_back(other)
    await cluster.last.emit_numbers("n", range(3, 6))
    await until_kept([client, other], 6)
    restore()
    outputs = "".join(cluster.node(server).output() for server in cluster.servers)
    assert papers["pid"] not in outputs, "a pid is a secret"
    returned = await cluster.client(cluster.last, **papers, keep=["n"])
    assert returned.last.recovered, "the refusal has destroyed nothing"
    await until_kept([returned], 3)
    assert [number for number, _ in await returned.kept()] == [3, 4, 5]
