"""A Redis that turns read-only, and one whose place is taken by a replica, which may lag behind."""

import asyncio
from pathlib import Path

import pytest

from recovery.errors import PublishError, SaveError
from recovery.reasons import Reason
from recovery.records import HolderState
from tests.faults.outage import (
    STREAM,
    Outage,
    came_back,
    claim_of,
    ids,
    ordered_once,
    until,
    works,
)
from tests.faults.redis_process import RedisProcess
from tests.interleavings.harness import settle


async def test_a_read_only_server_is_waited_for(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
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


async def test_a_server_that_stays_read_only_has_certainly_stored_nothing(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
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
def replica(forgetful_outage: Outage, tmp_path: Path) -> RedisProcess:
    """A replica of the server; it has what that has now, and gets what it gets."""
    return forgetful_outage.replica(tmp_path / "replica")


async def test_a_failover_that_lost_nothing_is_not_noticed(
    forgetful_outage: Outage, replica: RedisProcess
) -> None:
    outage = forgetful_outage
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
    forgetful_outage: Outage, replica: RedisProcess
) -> None:
    outage = forgetful_outage
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
    forgetful_outage: Outage, replica: RedisProcess
) -> None:
    """Its emitter was told that it is stored: only this server knows that it was there."""
    outage = forgetful_outage
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
    forgetful_outage: Outage, replica: RedisProcess
) -> None:
    """A room that was left must not be there again as if nothing had happened."""
    outage = forgetful_outage
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
    forgetful_outage: Outage, replica: RedisProcess
) -> None:
    """The claim number went back: the server that had it must not think that it still holds the session."""
    outage = forgetful_outage
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
