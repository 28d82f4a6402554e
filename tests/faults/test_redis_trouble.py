"""What Redis does of its own: it evicts, forgets, fills up, and holds somebody else's values."""

from typing import Any

import pytest

from recovery.errors import PublishError, SaveError
from recovery.reasons import Reason
from tests.faults.outage import (
    STREAM,
    Outage,
    came_back,
    claim_of,
    ids,
    session_of,
    until,
    works,
)

EPOCH = f"{{{STREAM}}}:epoch"


# Forgetting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evicted", ["session", "claim", "both"])
async def test_the_owner_saves_a_session_again_that_redis_evicted(
    forgetful_outage: Outage, evicted: str
) -> None:
    outage = forgetful_outage
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
    forgetful_outage: Outage,
) -> None:
    """With allkeys-lru anything of ours may go at any time, the stream too."""
    outage = forgetful_outage
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
async def test_a_stream_that_is_gone_is_told_to_everybody(forgetful_outage: Outage, how: str) -> None:
    outage = forgetful_outage
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


# Filling up ----------------------------------------------------------------------------------------------


async def test_a_redis_without_memory_is_told_and_gets_over_it(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
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


async def test_a_stream_key_of_a_wrong_type_is_named_and_the_rest_goes_on(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
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


async def test_an_epoch_key_of_a_wrong_type_is_named(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
    nodes = [outage.direct_node(), outage.direct_node()]
    client = await outage.connected(nodes[0])
    restore = _usurp(outage, EPOCH)
    with pytest.raises(PublishError, match="epoch' holds a set, not a hash"):
        await nodes[0].sio.emit("n", "lost")
    restore()
    await works(outage, client, nodes)


async def test_a_producer_key_of_a_wrong_type_stops_one_server_only(forgetful_outage: Outage) -> None:
    outage = forgetful_outage
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
    forgetful_outage: Outage, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    outage = forgetful_outage
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
