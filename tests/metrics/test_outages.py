"""A store that stops and returns, as the metrics and the health of its servers tell it; on a real Valkey."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import socketio

from adapter import AsyncRecoveryManager, RecoveryManager
from recovery.core.health import Health, Trouble
from recovery.errors import PublishError
from tests.faults.outage import Node, Outage, until
from tests.faults.redis_process import RedisProcess
from tests.metrics.reading import value
from tests.waiting import wait_until


async def _stop(outage: Outage) -> Callable[[], Awaitable[None]]:
    await outage.kill_redis()
    return outage.start_redis


async def _freeze(outage: Outage) -> Callable[[], Awaitable[None]]:
    outage.redis.freeze()

    async def thaw() -> None:
        outage.redis.thaw()

    return thaw


@pytest.mark.parametrize("harm", [_stop, _freeze], ids=["killed", "frozen"])
async def test_a_server_is_not_healthy_while_its_store_is_away(
    outage: Outage, harm: Callable[[Outage], Awaitable[Callable[[], Awaitable[None]]]]
) -> None:
    node = outage.node(publish_timeout=0.5)
    client = await outage.connected(node)
    await until(node.manager.health, "healthy")
    assert value(node.manager, "healthy") == 1
    mend = await harm(outage)
    assert await until(lambda: _troubles(node), "not healthy") == (Trouble.STORE_AWAY,)
    with pytest.raises(PublishError):
        await node.sio.emit("n", 1)
    assert value(node.manager, "publish_failures_total") == 1
    await until(lambda: value(node.manager, "read_failures_total") > 0, "read failures")
    assert value(node.manager, "healthy") == 0
    lag = value(node.manager, "reader_lag_seconds")
    await until(lambda: value(node.manager, "reader_lag_seconds") > lag + 0.1, "the lag grows")
    await mend()
    await until(node.manager.health, "healthy again")
    failures = value(node.manager, "read_failures_total")
    await node.sio.emit("n", 2)
    await until(lambda: 2 in client.got("n"))
    assert client.outcomes == ["fresh"]
    assert value(node.manager, "reader_lag_seconds") < 1
    assert value(node.manager, "read_failures_total") == failures


def _troubles(node: Node) -> tuple[Trouble, ...]:
    return node.manager.health(max_lag=0.3).reasons


async def test_an_emit_that_a_restart_interrupts_counts_its_retries(outage: Outage) -> None:
    node = outage.node()
    await outage.connected(node)
    await outage.kill_redis()
    emit = asyncio.create_task(node.sio.emit("n", 1))
    await until(lambda: value(node.manager, "publish_retries_total") > 1, "retries")
    assert Trouble.STORE_AWAY in node.manager.health().reasons
    assert value(node.manager, "waiting_bytes") > 1000
    await outage.start_redis()
    await emit
    assert value(node.manager, "publish_failures_total") == 0
    await until(node.manager.health, "healthy again")


async def test_a_server_is_not_ready_before_it_has_begun_to_read(outage: Outage) -> None:
    node = outage.node()
    assert node.manager.health().reasons == (Trouble.STARTING,)
    await outage.kill_redis()
    node.manager.start()
    node.manager.start()
    await until(lambda: Trouble.STORE_AWAY in node.manager.health().reasons)
    assert Trouble.STARTING in node.manager.health().reasons
    await outage.start_redis()
    await until(node.manager.health, "healthy")
    await node.manager.close()
    assert node.manager.health().reasons == (Trouble.CLOSED,)
    assert value(node.manager, "healthy") == 0


async def test_a_process_that_only_emits_is_ready_from_the_first(outage: Outage) -> None:
    manager = AsyncRecoveryManager(outage.redis.url, write_only=True, publish_timeout=0.3)
    manager.start()
    assert manager.health() == Health()
    await manager.emit("n", 1)
    await outage.kill_redis()
    with pytest.raises(PublishError):
        await manager.emit("n", 2)
    assert manager.health().reasons == (Trouble.STORE_AWAY,)
    await until(lambda: manager.health(max_lag=0.2), "it forgets")
    await outage.start_redis()
    await manager.emit("n", 3)
    assert manager.health() == Health()
    await manager.close()
    assert manager.health().reasons == (Trouble.CLOSED,)


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_with_threads_tells_its_health_in_the_same_words(
    tmp_path: Path, harm: signal.Signals, impatient: None
) -> None:
    with RedisProcess("valkey", tmp_path) as redis:
        manager = RecoveryManager(redis.url, block_time=0.1)
        socketio.Server(async_mode="threading", client_manager=manager)
        try:
            assert manager.health().reasons == (Trouble.STARTING,)
            manager.start()
            wait_until(manager.health, what="healthy")
            (redis.kill if harm is signal.SIGKILL else redis.freeze)()
            wait_until(lambda: not manager.health(max_lag=0.3), what="not healthy")
            assert manager.health(max_lag=0.3).reasons == (Trouble.STORE_AWAY,)
            (redis.start if harm is signal.SIGKILL else redis.thaw)()
            wait_until(manager.health, timeout=20, what="healthy again")
        finally:
            manager.close()
        assert manager.health().reasons == (Trouble.CLOSED,)
