"""Retention: by time, on Redis's clock, and a hard cap that says so when it cuts into the window."""

import logging

import freezegun
import pytest

from recovery.offsets import Offset, parse_offset
from recovery.reasons import Reason
from tests.faults.outage import STREAM, Node, Outage, until
from tests.interleavings.clock import stopped_clock

WINDOW = {"max_disconnection_duration": 0.3, "checkpoint_interval": 0.1}
PINGS = {"ping_interval": 0.3, "ping_timeout": 0.3}
RETENTION_MS = 1000  # of these settings
SESSION_MS = RETENTION_MS + 300  # the life of a session whose client is connected: three checkpoints more
NODE_OF_A_STREAM = 100  # entries; servers trim approximately, in nodes of so many


def ids(any_outage: Outage) -> list[Offset]:
    return [parse_offset(id_) for id_, _ in any_outage.redis.client.xrange(STREAM)]


def redis_ms(any_outage: Outage) -> int:
    seconds, micros = any_outage.redis.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


@pytest.mark.parametrize("year", [1999, 2099])
async def test_offsets_and_expiry_are_on_the_clock_of_redis(any_outage: Outage, year: int) -> None:
    began = redis_ms(any_outage)
    with freezegun.freeze_time(f"{year}-01-01", real_asyncio=True, ignore=["_pytest"]):
        node = any_outage.direct_node(server_options=PINGS, **WINDOW)
        client = await any_outage.connected(node)
        await node.emit_numbers("n", range(3))
        await until(lambda: len(client.got("n")) == 3)
        assert all(began <= each.ms <= redis_ms(any_outage) for each in ids(any_outage))
        left = any_outage.redis.client.pttl(f"sio:session:{client.pid}")
        assert 0 < left <= SESSION_MS
        client.cut()
        await until(lambda: node.disconnected)
        await any_outage.connect(client, node)
        assert client.outcomes == ["fresh", "recovered"]
        client.cut()
        await until(lambda: any_outage.redis.client.exists(f"sio:session:{client.pid}") == 0)
        await any_outage.connect(client, node)
    assert client.outcomes[-1] == "fresh"
    assert node.manager.outcomes[Reason.SESSION_EXPIRED.value] == 1


async def test_entries_are_kept_as_long_as_somebody_may_need_them_and_no_longer(any_outage: Outage) -> None:
    node = any_outage.direct_node(server_options=PINGS, **WINDOW)
    await node.sio.emit("n", 0)
    first = ids(any_outage)[-1]
    while redis_ms(any_outage) < first.ms + RETENTION_MS - 200:
        await node.sio.emit("n", 1)
        assert first in ids(any_outage), "it is younger than the retention"
    await until(lambda: redis_ms(any_outage) > first.ms + RETENTION_MS + 200)
    await node.sio.emit("n", 2)
    kept, now = ids(any_outage), redis_ms(any_outage)
    assert first not in kept
    old = [each for each in kept if each.ms < now - RETENTION_MS - 200]
    assert len(old) <= 1, "the newest of the old ones proves that nothing is missing after it"


async def _emit_more_than_fits(node: Node) -> None:
    await node.emit_numbers("n", range(3 * NODE_OF_A_STREAM))


async def test_a_cap_that_cuts_into_the_window_is_counted_and_said_once_a_minute(
    any_outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    node = any_outage.direct_node(max_len=10)
    await node.sio.emit("n", 0)
    assert "stream.cut" not in node.manager.counters
    with stopped_clock() as clock, caplog.at_level(logging.WARNING, "recovery.runtime"):
        await _emit_more_than_fits(node)
        batches = node.manager.counters["stream.cut"]
        assert batches > 1
        assert len(any_outage.logged("stream.cut")) == 1
        clock.advance(61)
        await _emit_more_than_fits(node)
        assert len(any_outage.logged("stream.cut")) == 2
        assert node.manager.counters["stream.cut"] > batches


async def test_what_is_older_than_the_window_may_go_without_a_word(any_outage: Outage) -> None:
    node = any_outage.direct_node(server_options=PINGS, **WINDOW)
    capped = any_outage.direct_node(max_len=10, server_options=PINGS, **WINDOW)
    await _emit_more_than_fits(node)
    await until(lambda: redis_ms(any_outage) > ids(any_outage)[-1].ms + RETENTION_MS + 100)
    await capped.emit_numbers("n", range(5))
    assert len(ids(any_outage)) <= 6
    assert "stream.cut" not in capped.manager.counters


async def test_who_lost_something_to_the_cap_is_told_and_the_others_are_not(any_outage: Outage) -> None:
    node, other = any_outage.direct_node(max_len=10), any_outage.direct_node()
    here, away = await any_outage.connected(node), await any_outage.connected(other)
    await node.sio.emit("n", -1)
    await until(lambda: away.got("n") == [-1])
    away.cut()
    await until(lambda: other.disconnected)
    await _emit_more_than_fits(node)
    newcomer = any_outage.direct_node()
    await any_outage.connect(away, newcomer)
    assert dict(newcomer.manager.outcomes) == {Reason.OFFSET_TRIMMED.value: 1}
    assert away.got("n") == [-1], "not a part of it"
    await until(lambda: here.got("n") == list(range(-1, 3 * NODE_OF_A_STREAM)))
    assert here.outcomes == ["fresh"], "its reader kept up"


async def test_an_outage_is_said_once_and_counted(any_outage: Outage) -> None:
    node = any_outage.node()
    await node.sio.emit("n", 0)
    for times in (1, 2):
        any_outage.proxy.refuse()
        before = node.manager.counters.get("reader.failed", 0)
        await until(lambda before=before: node.manager.counters.get("reader.failed", 0) > before + 3)  # type: ignore[misc]
        await any_outage.proxy.forward()
        await node.sio.emit("n", times)
        await until(lambda times=times: any_outage.stored("n")[-1] == times)  # type: ignore[misc]
        await until(lambda: node.runtime.dispatcher.position == node.runtime.dispatcher.published)
        assert len(any_outage.logged("reader.failed")) == times
