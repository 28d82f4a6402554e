"""A store that forgets: all of it, the stream, or what it evicts; real processes and JavaScript clients."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from recovery.reasons import Reason
from recovery.records import Pid
from recovery.stores.redis.keys import Keys
from tests.e2e.js_clients import Connected, Disconnected, JsClient
from tests.faults.ledger import assert_whole, until_kept, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.faults.redis_process import RedisProcess
from tests.waiting import async_wait_until

PREFIX = "sio:session:"
LOST = {Reason.EPOCH_CHANGED, Reason.SESSION_UNKNOWN, Reason.SESSION_EXPIRED, Reason.OFFSET_TRIMMED}
"""What may be true of a session when nobody knows what else is gone."""

Forget = Callable[[RedisProcess, Keys], None]


@pytest.fixture
def store_url(own_redis: RedisProcess) -> str:
    return own_redis.url


def _forget_all(own_redis: RedisProcess, keys: Keys) -> None:
    own_redis.client.flushall()


def _forget_stream(own_redis: RedisProcess, keys: Keys) -> None:
    own_redis.client.delete(keys.stream)


def _forget_stream_and_epoch(own_redis: RedisProcess, keys: Keys) -> None:
    own_redis.client.delete(keys.stream, keys.epoch)


def _evict(own_redis: RedisProcess, keys: Keys) -> None:
    """Have the server evict keys at random until the stream is among them."""
    redis_client = own_redis.client
    newest = redis_client.xrevrange(keys.stream, count=1)[0][0]
    own_redis.config_set("maxmemory-policy", "allkeys-random")
    own_redis.config_set("maxmemory", str(int(redis_client.info("memory")["used_memory"]) + 2**20))
    for turn in range(1000):
        if not redis_client.xrange(keys.stream, newest, newest):
            break
        pipe = redis_client.pipeline(transaction=False)
        for number in range(100):
            pipe.set(f"somebody-elses:{turn}:{number}", "x" * 4000, ex=600)
        pipe.execute()
    assert not redis_client.xrange(keys.stream, newest, newest)
    own_redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("forget", [_forget_all, _forget_stream, _forget_stream_and_epoch, _evict])
async def test_a_stream_that_is_gone_is_told_to_every_client(
    own_redis: RedisProcess, cluster: Nodes, forget: Forget
) -> None:
    cluster.expected_errors.append("entries after")
    clients = [await cluster.client(server, keep=["n"]) for server in cluster.servers * 2]
    away = await cluster.client(keep=["n"])
    everyone = (*clients, away)
    await cluster.first.emit_numbers("n", range(5))
    await until_kept(everyone, 5)
    await away.drop()
    marks = [len(client.history) for client in clients]
    await asyncio.to_thread(forget, own_redis, Keys(cluster.app, PREFIX))
    await cluster.first.emit("n", 5)  # with it the stream begins anew
    for client, mark in zip(clients, marks, strict=True):
        await client.next(Disconnected, after=mark, seconds=RECOVERY_SECONDS)
    for number, client in enumerate(everyone):
        server = cluster.servers[number % 2]
        assert not (await client.reconnect(server.url, seconds=RECOVERY_SECONDS)).recovered
        assert (await server.recovery(client.sid))["reason"] in LOST
    await _all_is_well(cluster, everyone)


async def _all_is_well(cluster: Nodes, clients: Sequence[JsClient]) -> None:
    """Packets arrive, at offsets that were never given out, and whoever is away for a while recovers."""
    await cluster.last.emit_numbers("n", range(10, 15))
    for client in clients:
        await cluster.settle(client)
        await client.drop()
    await cluster.last.emit_numbers("n", range(15, 20))
    for client in clients:
        await cluster.come_back(client)
    await cluster.settle(*clients)
    for client in clients:
        numbers, offsets = zip(*await client.kept(), strict=True)
        assert [number for number in numbers if number != 5] == [*range(5), *range(10, 20)]
        assert len(offsets) == len(set(offsets)), "no offset is given twice"


@pytest.mark.parametrize("evicted", ["session", "claim", "both"])
async def test_the_owner_saves_a_session_again_that_redis_evicted(
    own_redis: RedisProcess, cluster: Nodes, evicted: str
) -> None:
    client = await cluster.client(keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.save_session(client.sid, {"name": "ada"})
    await cluster.first.flood("f", interval=0.005)
    await until_more([client])
    keys = _keys_of(cluster, client, evicted)
    assert own_redis.client.delete(*keys) == len(keys)

    async def saved_again() -> bool:
        return bool(own_redis.client.exists(*keys) == len(keys))

    await async_wait_until(saved_again, timeout=RECOVERY_SECONDS, what="saved with the next checkpoint")
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.rooms(client.sid) == {"red"}
    assert await cluster.last.get_session(client.sid) == {"name": "ada"}
    await until_more([client])
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, own_redis.url, [client])


@pytest.mark.parametrize(
    ("evicted", "reason"),
    [
        ("session", Reason.SESSION_EXPIRED),
        ("claim", Reason.SESSION_UNKNOWN),
        ("both", Reason.SESSION_UNKNOWN),
    ],
)
async def test_an_evicted_session_of_a_client_that_is_away_is_lost_and_that_is_said(
    own_redis: RedisProcess, cluster: Nodes, evicted: str, reason: Reason
) -> None:
    client, other = await cluster.client(keep=["n"]), await cluster.client(keep=["n"])
    await cluster.last.emit_numbers("n", range(3))
    await until_kept([client, other], 3)
    for each in (client, other):
        await each.drop()
        await cluster.first.wait_log("disconnect-done", each.sid)
    await _until_away(own_redis, cluster, client)
    assert own_redis.client.delete(*_keys_of(cluster, client, evicted))
    again = await client.reconnect(cluster.last.url)
    assert not again.recovered
    assert (await cluster.last.recovery(client.sid))["reason"] == reason
    await cluster.come_back(other)
    await cluster.last.emit_numbers("n", range(3, 6))
    await until_kept([client, other], 6)
    for each in (client, other):
        assert [number for number, _ in await each.kept()] == list(range(6))
        assert len(each.all(Connected)) == 2


def _keys_of(cluster: Nodes, client: JsClient, which: str) -> list[str]:
    keys = Keys(cluster.app, PREFIX)
    names = {"session": keys.session(Pid(client.pid)), "claim": keys.claim(Pid(client.pid))}
    return list(names.values()) if which == "both" else [names[which]]


async def _until_away(own_redis: RedisProcess, cluster: Nodes, client: JsClient) -> None:
    """Wait until the owner has written that a client has gone: it writes nothing more then."""
    claim = _keys_of(cluster, client, "claim")[0]

    async def is_away() -> bool:
        return bool(own_redis.client.hget(claim, "state") == "away")

    await async_wait_until(is_away, timeout=RECOVERY_SECONDS, what="saved as away")


async def test_a_quiet_client_recovers_though_everything_was_trimmed_behind_it(
    own_redis: RedisProcess, cluster: Nodes
) -> None:
    """From the position that its last PONG has proven; its own offset is long gone."""
    silent, quiet = await cluster.client(keep=["n"]), await cluster.client(keep=["n"])
    await cluster.first.emit("n", 0, to=quiet.sid)
    await until_kept([quiet], 1)
    for number in range(20):
        await cluster.last.emit("elsewhere", number, room="others")
    newest = own_redis.client.xrevrange(cluster.app, count=1)[0][0]
    for client in (silent, quiet):
        await _until_proven(own_redis, cluster, client, newest)
    own_redis.client.xtrim(cluster.app, maxlen=1, approximate=False)
    await cluster.kill(cluster.first)
    await cluster.last.emit("n", 1)
    for client in (silent, quiet):
        await client.next(Disconnected, seconds=RECOVERY_SECONDS)
        await cluster.come_back(client)
    await until_kept([silent], 1)
    await until_kept([quiet], 2)
    assert [number for number, _ in await silent.kept()] == [1]
    assert [number for number, _ in await quiet.kept()] == [0, 1]


async def _until_proven(own_redis: RedisProcess, cluster: Nodes, client: JsClient, offset: str) -> None:
    claim = _keys_of(cluster, client, "claim")[0]
    wanted = [int(part) for part in offset.split("-")]

    async def proven() -> bool:
        reached = own_redis.client.hget(claim, "proven")
        return bool(reached) and [int(part) for part in reached.split("-")] >= wanted

    await async_wait_until(proven, timeout=RECOVERY_SECONDS, what=f"{client.name} has proven {offset}")
