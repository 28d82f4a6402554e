"""What Redis does of its own: it evicts, forgets, fills up, turns read-only, and fails over."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recovery.errors import PublishError, SaveError
from recovery.reasons import Reason
from recovery.records import HolderState
from tests.faults.outage import STREAM, Node, Outage, open_outage, ordered_once, short_timeouts, until
from tests.faults.redis_process import RedisProcess
from tests.interleavings.client import Client
from tests.interleavings.harness import settle
from tests.servers import SERVER_KINDS

EPOCH = f"{{{STREAM}}}:epoch"


@pytest.fixture(params=SERVER_KINDS)
def every_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    """A Valkey."""
    with RedisProcess("valkey", tmp_path, keep=False) as redis:
        async with open_outage(redis) as opened:
            yield opened


@pytest_asyncio.fixture
async def any_outage(tmp_path: Path, every_kind: str) -> AsyncIterator[Outage]:
    """A server of each kind."""
    with RedisProcess(every_kind, tmp_path, keep=False) as redis:
        async with open_outage(redis) as opened:
            yield opened


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with short_timeouts():
        yield


def session_of(client: Client) -> str:
    return f"sio:session:{client.pid}"


def claim_of(client: Client) -> str:
    return f"{{{session_of(client)}}}:claim"


async def came_back(outage: Outage, client: Client, node: Node) -> str:
    """Cut a client's connection, bring it back, and return what became of it."""
    client.cut()
    await settle()
    await outage.connect(client, node)
    outcome: str = client.outcomes[-1]
    return outcome


async def works(outage: Outage, client: Client, nodes: list[Node]) -> None:
    """All is well: packets arrive, and a client that was away recovers, on any server."""
    marks = [object() for _ in nodes]
    already = len(client.got("works"))
    for place, node in enumerate(nodes):
        await node.sio.emit("works", place)
    await until(lambda: client.got("works")[already:] == list(range(len(marks))), "packets arrive")
    for node in nodes:
        client.cut()
        await settle()
        await nodes[0].sio.emit("works", "away")
        await outage.connect(client, node)
        assert client.outcomes[-1] == "recovered"
        await until(lambda: client.got("works")[-1] == "away")
    assert client.got("works")[already:] == [*range(len(nodes)), *["away"] * len(nodes)]


# Forgetting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evicted", ["session", "claim", "both"])
async def test_the_owner_saves_a_session_again_that_redis_evicted(any_outage: Outage, evicted: str) -> None:
    outage = any_outage
    node, other = outage.direct_node(), outage.direct_node()
    client = await outage.connected(node)
    await node.sio.enter_room(client.sid, "news")
    await node.sio.save_session(client.sid, {"name": "ada"})
    keys = {"session": [session_of(client)], "claim": [claim_of(client)]}
    keys["both"] = keys["session"] + keys["claim"]
    outage.redis.client.delete(*keys[evicted])
    await node.checkpoint()
    assert outage.redis.client.exists(session_of(client), claim_of(client)) == 2
    await node.sio.emit("n", 1, room="news")
    await until(lambda: client.got("n") == [1])
    client.cut()
    await until(lambda: node.disconnected)
    await node.sio.emit("n", 2, room="news")
    await outage.connect(client, other)
    await until(lambda: client.got("n") == [1, 2])
    assert client.outcomes == ["fresh", "recovered"]
    assert await other.sio.get_session(client.sid) == {"name": "ada"}


async def test_a_server_that_evicts_under_pressure_costs_recoveries_and_nothing_else(
    any_outage: Outage,
) -> None:
    """With allkeys-lru anything of ours may go at any time, the stream too."""
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client = await outage.connected(nodes[0])
    outage.redis.config_set("maxmemory-policy", "allkeys-lru")
    used = int(outage.redis.client.info("memory")["used_memory"])
    outage.redis.config_set("maxmemory", str(used + 2 * 2**20))
    pipe = outage.redis.client.pipeline(transaction=False)
    for number in range(4000):
        pipe.set(f"somebody-elses:{number}", "x" * 2000, ex=600)
    pipe.execute()
    outage.redis.client.delete(STREAM, EPOCH)  # as it may have done by itself
    outage.redis.config_set("maxmemory", "0")
    await nodes[1].sio.emit("n", 1)
    await until(lambda: not client.is_connected)
    assert nodes[0].manager.counters["reader.gap"] == 1
    await outage.connect(client, nodes[1])
    assert client.outcomes == ["fresh", "fresh"]
    await works(outage, client, nodes)


@pytest.mark.parametrize("how", ["flushall", "delete-stream", "delete-stream-and-epoch"])
async def test_a_stream_that_is_gone_is_told_to_everybody(any_outage: Outage, how: str) -> None:
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    clients = [await outage.connected(node) for node in nodes]
    away = await outage.connected(nodes[0])
    await nodes[0].emit_numbers("n", range(3))
    await until(lambda: all(client.got("n") == [0, 1, 2] for client in (*clients, away)))
    away.cut()
    await until(lambda: nodes[0].disconnected)
    before = ids(outage)[-1]
    if how == "flushall":
        outage.redis.client.flushall()
    else:
        outage.redis.client.delete(STREAM, *([EPOCH] if how == "delete-stream-and-epoch" else []))
    await nodes[0].sio.emit("n", 3)  # the stream begins anew with it
    await until(lambda: not any(client.is_connected for client in clients))
    assert ids(outage)[0] > before, "offsets go on above the lost ones"
    for client, node in zip((*clients, away), (*nodes, nodes[1]), strict=True):
        await outage.connect(client, node)
        assert client.outcomes == ["fresh", "fresh"]
    refused = {reason for node in nodes for reason in node.manager.outcomes}
    assert refused <= {Reason.EPOCH_CHANGED, Reason.SESSION_UNKNOWN, Reason.OFFSET_TRIMMED}
    await works(outage, clients[0], nodes)
    await works(outage, away, nodes)


def ids(outage: Outage) -> list[tuple[int, ...]]:
    return [tuple(map(int, id_.split("-"))) for id_, _ in outage.redis.client.xrange(STREAM)]


# Filling up ----------------------------------------------------------------------------------------------


async def test_a_redis_without_memory_is_told_and_gets_over_it(any_outage: Outage) -> None:
    outage = any_outage
    nodes = [outage.direct_node(publish_timeout=1.0) for _ in range(2)]
    client, away = await outage.connected(nodes[0]), await outage.connected(nodes[0])
    await nodes[0].sio.emit("n", 0)
    await until(lambda: client.got("n") == away.got("n") == [0])
    away.cut()
    await until(lambda: nodes[0].disconnected)
    await until(lambda: outage.redis.client.hget(claim_of(away), "state") == "away")
    outage.redis.config_set("maxmemory", "1")
    with pytest.raises(PublishError, match="OOM") as caught:
        await nodes[0].sio.emit("n", "lost")
    assert caught.value.maybe_stored is False
    with pytest.raises(SaveError, match="OOM"):
        await nodes[0].sio.save_session(client.sid, {"name": "ada"})
    with pytest.raises(SaveError, match="OOM"):
        await nodes[0].sio.enter_room(client.sid, "news")
    pid, offset = away.pid, away.offset
    await outage.connect(away, nodes[1])
    assert away.outcomes == ["fresh", "fresh"]
    assert dict(nodes[1].manager.outcomes) == {Reason.STORE_UNAVAILABLE.value: 1}
    away.cut()
    outage.redis.config_set("maxmemory", "0")
    await nodes[0].sio.emit("n", 1, room="news")
    await until(lambda: client.got("n") == [0, 1])
    away.sockets["/"].pid, away.sockets["/"].offset = pid, offset
    await outage.connect(away, nodes[1])
    assert away.outcomes[-1] == "recovered", "the refusal has destroyed nothing"
    assert client.outcomes == ["fresh"], "nobody was disconnected"
    await nodes[0].sio.save_session(client.sid, {"name": "ada"})
    assert await came_back(outage, client, nodes[1]) == "recovered"
    assert await nodes[1].sio.get_session(client.sid) == {"name": "ada"}
    assert "news" in nodes[1].sio.rooms(client.sid)
    await works(outage, client, nodes)


# Somebody else's keys ------------------------------------------------------------------------------------


def _usurp(outage: Outage, key: str) -> Any:
    """Put somebody else's value in the place of a key; return how to put ours back."""
    redis = outage.redis.client
    redis.rename(key, "kept")
    redis.sadd(key, "somebody else's")

    def restore() -> None:
        redis.rename("kept", key)

    return restore


async def test_a_stream_key_of_a_wrong_type_is_named_and_the_rest_goes_on(any_outage: Outage) -> None:
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client = await outage.connected(nodes[0])
    await nodes[0].sio.emit("n", 0)
    await until(lambda: client.got("n") == [0])
    restore = _usurp(outage, STREAM)
    with pytest.raises(PublishError, match=f"key '{STREAM}' holds a set, not a stream") as caught:
        await nodes[0].sio.emit("n", "lost")
    assert caught.value.maybe_stored is False
    await until(lambda: nodes[0].manager.counters.get("reader.failed"))
    assert any(f"'{STREAM}' holds a set" in message for message in outage.logged("reader.failed"))
    await nodes[0].sio.save_session(client.sid, {"name": "ada"})  # has nothing to do with it
    restore()
    await nodes[1].sio.emit("n", 1)
    await until(lambda: client.got("n") == [0, 1])
    assert client.outcomes == ["fresh"]
    await works(outage, client, nodes)


async def test_an_epoch_key_of_a_wrong_type_is_named(any_outage: Outage) -> None:
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client = await outage.connected(nodes[0])
    restore = _usurp(outage, EPOCH)
    with pytest.raises(PublishError, match="epoch' holds a set, not a hash"):
        await nodes[0].sio.emit("n", "lost")
    restore()
    await works(outage, client, nodes)


async def test_a_producer_key_of_a_wrong_type_stops_one_server_only(any_outage: Outage) -> None:
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client = await outage.connected(nodes[0])
    await nodes[0].sio.emit("n", 0)
    restore = _usurp(outage, f"{{{STREAM}}}:producer:{nodes[0].runtime.server}")
    with pytest.raises(PublishError, match=r"producer:\w+' holds a set, not a hash"):
        await nodes[0].sio.emit("n", "lost")
    await nodes[1].sio.emit("n", 1)
    await until(lambda: client.got("n") == [0, 1])
    restore()
    await works(outage, client, nodes)


@pytest.mark.parametrize("which", ["session", "claim"])
async def test_a_session_key_of_a_wrong_type_costs_this_recovery_only(
    any_outage: Outage, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    outage = any_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client, other = await outage.connected(nodes[0]), await outage.connected(nodes[0])
    await nodes[0].sio.emit("n", 0)
    await until(lambda: client.got("n") == other.got("n") == [0])
    pid = client.pid
    restore = _usurp(outage, session_of(client) if which == "session" else claim_of(client))
    with pytest.raises(SaveError, match="holds a set, not a") as caught:
        await nodes[0].sio.enter_room(client.sid, "news")
    assert pid not in str(caught.value)
    assert await came_back(outage, client, nodes[1]) == "fresh"
    assert await came_back(outage, other, nodes[1]) == "recovered"
    assert nodes[1].manager.outcomes[Reason.STORE_UNAVAILABLE.value] == 1
    assert pid not in caplog.text
    restore()
    await works(outage, client, nodes)
    await works(outage, other, nodes)


# Read-only, and failing over -----------------------------------------------------------------------------


async def test_a_read_only_server_is_waited_for(any_outage: Outage) -> None:
    outage = any_outage
    node = outage.direct_node(publish_timeout=10.0)
    client = await outage.connected(node)
    await node.sio.emit("n", 0)
    outage.redis.become_lonely_replica()
    emitting = asyncio.create_task(node.emit_numbers("n", range(1, 5)))
    saving = asyncio.create_task(node.sio.save_session(client.sid, {"name": "ada"}))
    await asyncio.sleep(0.5)
    assert not emitting.done()
    assert not saving.done()
    outage.redis.replica_of(None)
    await asyncio.gather(emitting, saving)
    await until(lambda: client.got("n") == list(range(5)))
    assert client.outcomes == ["fresh"]
    await works(outage, client, [node])


async def test_a_server_that_stays_read_only_has_certainly_stored_nothing(any_outage: Outage) -> None:
    outage = any_outage
    node = outage.direct_node(publish_timeout=0.4)
    client = await outage.connected(node)
    await node.sio.emit("n", 0)
    outage.redis.become_lonely_replica()
    with pytest.raises(PublishError, match="READONLY") as caught:
        await node.sio.emit("n", "lost")
    assert caught.value.maybe_stored is False
    with pytest.raises(SaveError, match="READONLY"):
        await node.sio.enter_room(client.sid, "news")
    outage.redis.replica_of(None)
    await node.sio.emit("n", 1)
    await until(lambda: client.got("n") == [0, 1])
    await works(outage, client, [node])


@pytest.fixture
def replica(any_outage: Outage, tmp_path: Path) -> RedisProcess:
    """A replica of the server; it has what that has now, and gets what it gets."""
    return any_outage.replica(tmp_path / "replica")


async def test_a_failover_that_lost_nothing_is_not_noticed(any_outage: Outage, replica: RedisProcess) -> None:
    outage = any_outage
    nodes = [outage.node(publish_timeout=10.0) for _ in range(2)]
    clients = [await outage.connected(node) for node in nodes]
    await nodes[0].emit_numbers("n", range(5))
    last = ids(outage)[-1]
    await until(lambda: any(last == _newest(replica) for _ in [0]), "replicated")
    await outage.fail_over(replica)
    await nodes[1].emit_numbers("n", range(5, 10))
    await until(lambda: all(client.got("n") == list(range(10)) for client in clients))
    assert [client.outcomes for client in clients] == [["fresh"]] * 2
    assert not outage.logged("reader.gap")
    await works(outage, clients[0], nodes)


def _newest(redis: RedisProcess) -> tuple[int, ...]:
    entries = redis.client.xrevrange(STREAM, count=1)
    return tuple(map(int, entries[0][0].split("-"))) if entries else ()


async def test_a_failover_that_lost_writes_is_told_to_everybody(
    any_outage: Outage, replica: RedisProcess
) -> None:
    outage = any_outage
    nodes = [outage.node(publish_timeout=10.0) for _ in range(2)]
    clients = [await outage.connected(node) for node in nodes]
    away = await outage.connected(nodes[0])
    everyone = (*clients, away)
    await nodes[0].emit_numbers("n", range(3))
    await until(lambda: all(client.got("n") == [0, 1, 2] for client in everyone))
    kept = ids(outage)[-1]
    await until(lambda: _newest(replica) == kept, "replicated")
    await _stop_following(replica)
    away.cut()
    await until(lambda: nodes[0].disconnected)
    await nodes[1].emit_numbers("n", range(3, 6))  # confirmed, read, and lost
    await until(lambda: all(client.got("n") == list(range(6)) for client in clients))
    lost = ids(outage)[-1]
    await outage.fail_over(replica)
    await until(lambda: not any(client.is_connected for client in clients), "all transports closed")
    await nodes[0].sio.emit("n", 6)
    assert ids(outage)[-1] > lost, "ids go on above those that clients may hold"
    for client, node in zip(everyone, (*reversed(nodes), nodes[1]), strict=True):
        await outage.connect(client, node)
        assert client.outcomes == ["fresh", "fresh"]
    reasons = [node.manager.outcomes.get(Reason.EPOCH_CHANGED.value, 0) for node in nodes]
    assert sum(reasons) == 3, [dict(node.manager.outcomes) for node in nodes]
    assert all(node.manager.counters["reader.gap"] == 1 for node in nodes)
    assert ordered_once(away, "n")[:3] == [0, 1, 2]
    assert not set(away.got("n")) & {3, 4, 5}
    for client in everyone:
        await works(outage, client, nodes)


async def _stop_following(replica: RedisProcess) -> None:
    """Cut the replica off: what its primary takes from now on is lost if the primary dies."""
    replica.become_lonely_replica()
    await settle()


async def test_a_failover_that_lost_an_emit_that_nobody_had_read(
    any_outage: Outage, replica: RedisProcess
) -> None:
    """Its emitter was told that it is stored: only this server knows that it was there."""
    outage = any_outage
    node = outage.node(publish_timeout=10.0)
    emitter = outage.node(publish_timeout=10.0)
    client = await outage.connected(node)
    await emitter.emit_numbers("n", range(3))
    await until(lambda: client.got("n") == [0, 1, 2])
    kept = ids(outage)[-1]
    await until(lambda: _newest(replica) == kept, "replicated")
    await _stop_following(replica)
    outage.proxy.hold_command(b"BLOCK")
    outage.proxy.hold_command(b"BLOCK")
    await until(lambda: not outage.proxy._holds, "both readers are held up")
    await emitter.sio.emit("n", 3)
    assert client.got("n") == [0, 1, 2]
    await outage.fail_over(replica)
    await outage.proxy.forward()
    await until(lambda: not client.is_connected, "its transport was closed")
    await outage.connect(client, node)
    assert client.outcomes == ["fresh", "fresh"]
    assert dict(node.manager.outcomes) == {Reason.EPOCH_CHANGED.value: 1}
    await works(outage, client, [node, emitter])


async def test_a_session_whose_last_writes_were_lost_does_not_come_back_wrong(
    any_outage: Outage, replica: RedisProcess
) -> None:
    """A room that was left must not be there again as if nothing had happened."""
    outage = any_outage
    node = outage.node(publish_timeout=10.0)
    client = await outage.connected(node)
    await node.sio.enter_room(client.sid, "secrets")
    await node.sio.emit("n", 0, room="secrets")
    await until(lambda: client.got("n") == [0])
    kept = ids(outage)[-1]
    await until(lambda: _newest(replica) == kept, "replicated")
    await _stop_following(replica)
    await node.sio.leave_room(client.sid, "secrets")
    await node.sio.emit("n", 1)
    await until(lambda: client.got("n") == [0, 1])
    client.cut()
    await until(lambda: node.disconnected)
    await outage.fail_over(replica)
    other = outage.node(publish_timeout=10.0)
    await node.sio.emit("n", "secret", room="secrets")
    await outage.connect(client, other)
    assert client.outcomes == ["fresh", "fresh"]
    assert set(other.manager.outcomes) <= {Reason.OFFSET_UNKNOWN, Reason.EPOCH_CHANGED}
    await works(outage, client, [node, other])
    assert client.got("n") == [0, 1]


async def test_a_change_of_hands_that_was_lost_with_the_primary(
    any_outage: Outage, replica: RedisProcess
) -> None:
    """The claim number went back: the server that had it must not think that it still holds the session."""
    outage = any_outage
    nodes = [outage.node(publish_timeout=10.0) for _ in range(2)]
    client = await outage.connected(nodes[0])
    await nodes[0].sio.emit("n", 0)
    await until(lambda: client.got("n") == [0])
    await until(lambda: _newest(replica) == ids(outage)[-1], "replicated")
    await until(lambda: replica.client.exists(claim_of(client)))
    await _stop_following(replica)
    assert await came_back(outage, client, nodes[1]) == "recovered"
    await nodes[1].sio.emit("n", 1)
    await until(lambda: client.got("n") == [0, 1])
    await outage.fail_over(replica)
    await until(lambda: not client.is_connected)
    await outage.connect(client, nodes[0])
    assert client.outcomes[-1] == "fresh"
    assert nodes[0].manager.outcomes.get(Reason.EPOCH_CHANGED.value) == 1
    assert HolderState(outage.redis.client.hget(claim_of(client), "state")) is HolderState.LIVE
    await works(outage, client, nodes)
