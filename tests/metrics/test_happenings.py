"""What happens to clients is what the metrics say: each number moves when that happens, and by as much."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from adapter.guesses import MOST_GUESSES
from recovery.commands import Append, Read, SaveSession
from recovery.core.health import Trouble
from recovery.errors import PublishError, StoreError
from recovery.records import ExpiredSession, HolderState
from tests.hostile.poison import fields, inject, poison_claim
from tests.interleavings.client import Client
from tests.interleavings.clock import Clock
from tests.interleavings.harness import Server, World, settle, until
from tests.metrics.reading import value


async def _came_back(world: World, client: Client, server: Server) -> None:
    client.cut()
    await settle()
    await world.connect(client, server)


async def test_a_client_that_comes_back_counts_with_all_that_it_missed(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    assert value(server.manager, "recoveries_total", outcome="recovered") == 0
    client.cut()
    await settle()
    for number in range(3):
        await server.sio.emit("n", number)
    await world.connect(client, server)
    assert client.got("n") == [0, 1, 2]
    assert value(server.manager, "recoveries_total", outcome="recovered") == 1
    assert value(server.manager, "replayed_packets_total") == 3
    assert value(server.manager, "attempt_seconds_count", outcome="recovered") == 1
    assert value(server.manager, "attempt_seconds_bucket", outcome="recovered", le="+Inf") == 1
    assert 0 < value(server.manager, "attempt_seconds_sum", outcome="recovered") < 60
    assert value(server.manager, "attempt_seconds_count", outcome="refused") == 0


async def test_who_does_not_ask_does_not_count(world: World) -> None:
    server = world.server()
    await world.connected(server)
    counted = [sample for sample in server.manager.metrics() if "recoveries" in sample.name]
    assert len(counted) == 13
    assert not any(sample.value for sample in counted)
    assert value(server.manager, "attempt_seconds_count", outcome="recovered") == 0
    assert value(server.manager, "attempt_seconds_count", outcome="refused") == 0


async def test_a_counter_does_not_go_down_when_the_application_refuses_a_recovered_client(
    world: World,
) -> None:
    server = world.server()
    client = await world.connected(server)
    client.cut()
    await settle()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def connect(_sid: str, _environ: Any, _auth: Any = None) -> bool:
        entered.set()
        await leave.wait()
        return False

    server.sio.on("connect", connect)
    world.dial(client, server)
    await until(entered.is_set)
    assert value(server.manager, "recoveries_total", outcome="recovered") == 0, "it is not in yet"
    assert value(server.manager, "connections", phase="held") == 1
    leave.set()
    await until(lambda: client.refused)
    assert server.manager.outcomes == {"refused": 1}
    assert value(server.manager, "recoveries_total", reason="refused") == 1


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_recovered_client_counts_once(world: World, always_connect: bool) -> None:
    server = world.server(server_options={"always_connect": always_connect})
    client = await world.connected(server)
    for times in (1, 2):
        await _came_back(world, client, server)
        await settle()
        assert server.manager.outcomes == {"recovered": times}


async def test_a_takeover_counts_where_the_client_is_and_a_handover_where_it_was(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    await world.connect(client, two)  # its old transport stays as it is
    assert client.outcomes == ["fresh", "recovered"]
    assert (value(one.manager, "takeovers_total"), value(two.manager, "takeovers_total")) == (0, 1)
    assert (value(one.manager, "handovers_total"), value(two.manager, "handovers_total")) == (1, 0)
    await _came_back(world, client, two)
    assert client.outcomes[-1] == "recovered"
    assert value(two.manager, "takeovers_total") == 1, "its old connection had closed"


async def test_a_takeover_that_waits_no_longer_counts(world: World) -> None:
    one, two = world.server(), world.server(takeover_timeout=0.01)
    client = await world.connected(one)
    leave = asyncio.Event()

    async def disconnect(_sid: str, _reason: str) -> None:
        await leave.wait()

    one.sio.on("disconnect", disconnect)
    await world.connect(client, two)
    assert value(two.manager, "takeover_timeouts_total") == 1
    assert value(one.manager, "connections", phase="ending") == 1
    leave.set()
    await until(lambda: value(one.manager, "connections", phase="ending") == 0)


async def test_connections_and_saved_sessions_are_those_of_now(world: World) -> None:
    server = world.server()
    clients = [await world.connected(server) for _ in range(3)]
    stock = await world.connected(server, stock_python=True)  # cannot recover, so nothing of it is saved
    assert value(server.manager, "connections", phase="live") == 4
    assert value(server.manager, "saved_sessions") == 3
    assert value(server.manager, "session_saves_total", outcome="saved") >= 3
    for client in (clients[0], stock):
        client.cut()
    await settle()
    assert value(server.manager, "connections", phase="live") == 2
    assert value(server.manager, "saved_sessions") == 2


async def test_a_save_that_the_store_refuses_counts(world: World) -> None:
    server = world.server()
    await world.connected(server)
    failure = server.store.fail(SaveSession, StoreError("it is full"))
    server.sessions.save_later(server.clients.all()[0], HolderState.LIVE)
    await until(lambda: value(server.manager, "session_saves_total", outcome="failed") == 1)
    failure.clear()


async def test_a_save_of_a_session_that_has_moved_counts(world: World) -> None:
    one, two = world.server(), world.server(takeover_timeout=0.01)
    client = await world.connected(one)
    behind = one.store.hold_replies(Read)
    await world.connect(client, two)
    one.sessions.save_later(one.clients.all()[0], HolderState.LIVE)
    await until(lambda: value(one.manager, "session_saves_total", outcome="overtaken") == 1)
    behind.release()
    await until(lambda: not one.clients.all())


async def test_a_slow_client_counts(world: World) -> None:
    server = world.server(max_client_buffer=5)
    slow = await world.connected(server)
    slow.transport.stall()
    for number in range(20):
        await server.sio.emit("n", number)
    await until(lambda: value(server.manager, "slow_clients_total") == 1)


async def test_what_cannot_be_read_counts(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.cut()
    await settle()
    claim = poison_claim(world.state, client.pid)
    claim.value = b"poison"
    await world.connect(client, server)
    assert value(server.manager, "unreadable_sessions_total") == 1
    assert value(server.manager, "recoveries_total", reason="session-unknown") == 1


async def test_an_entry_that_is_left_out_counts(world: World) -> None:
    server = world.server()
    await world.connected(server)
    inject(world, fields(payload=b"poison"), fields(3, {"packet": 1}))
    await until(lambda: value(server.manager, "skipped_entries_total") == 2)


async def test_pids_that_are_not_looked_up_count(world: World) -> None:
    server = world.server(server_options={"namespaces": "*"})
    client = world.client(*(f"/{number}" for number in range(MOST_GUESSES + 5)))
    for socket in client.sockets.values():
        socket.pid = "x" * 32
    await world.connect(client, server)
    assert value(server.manager, "refused_guesses_total") == 5
    assert value(server.manager, "recoveries_total", reason="session-unknown") == MOST_GUESSES + 5


async def test_emits_count_by_entry_and_by_batch_and_so_does_what_is_read(world: World) -> None:
    server = world.server(log_max_entries=5)
    await world.connected(server)
    before = value(server.manager, "published_entries_total"), value(server.manager, "publish_batches_total")
    await asyncio.gather(*(server.sio.emit("n", number) for number in range(10)))
    await server.sio.emit("n", 10)
    await settle()
    assert value(server.manager, "published_entries_total") - before[0] == 11
    assert value(server.manager, "publish_batches_total") - before[1] == 2
    assert value(server.manager, "read_entries_total") == 11
    assert value(server.manager, "replay_log_entries") == value(server.manager, "replay_log_max_entries") == 5
    log = server.runtime.dispatcher.log
    assert 0 < value(server.manager, "replay_log_bytes") == sum(each.size for each in log.entries(log.start))


async def test_what_waits_for_the_store_counts_until_it_has_gone_or_is_given_up(world: World) -> None:
    server = world.server(publish_timeout=0.3)
    await world.connected(server)
    failure = server.store.fail(Append)
    emit = asyncio.create_task(server.sio.emit("n", "x" * 1000))
    await until(lambda: value(server.manager, "publish_retries_total") >= 1)
    assert 2000 < value(server.manager, "waiting_bytes") < 3000
    with pytest.raises(PublishError):
        await emit
    assert value(server.manager, "publish_failures_total") == 1
    assert value(server.manager, "waiting_bytes") == 0
    failure.clear()
    await server.sio.emit("n", 1)
    assert value(server.manager, "publish_failures_total") == 1


async def test_a_cap_that_cuts_into_the_window_counts(world: World) -> None:
    server = world.server(max_len=3)
    await world.connected(server)
    for number in range(8):
        await server.sio.emit("n", number)
        await settle()
    cuts = value(server.manager, "window_cuts_total")
    assert cuts == server.manager.counters["stream.cut"] > 0


async def test_a_gap_counts(world: World) -> None:
    world.expects_errors = True
    server = world.server()
    await world.connected(server)
    world.state.delete_stream()
    await server.sio.emit("n", 0)
    await until(lambda: value(server.manager, "reader_gaps_total") == 1)


async def test_a_reader_that_has_much_to_read_is_behind_by_the_time_that_it_lacks(
    world: World, clock: Clock
) -> None:
    one, two = world.server(), world.server(read_count=100)
    await world.connected(two)
    blocked = two.store.hold_replies(Read)
    for _ in range(2):
        clock.advance(10)
        await asyncio.gather(*(one.sio.emit("n", number) for number in range(150)))
    middle = world.state._stream.entries[50].offset
    later = two.store.hold(Read, lambda command: command.after >= middle)
    blocked.release()
    await until(lambda: later.waiting)
    assert value(two.manager, "reader_lag_seconds") == pytest.approx(10, abs=0.5)
    assert two.manager.health().reasons == (Trouble.READER_BEHIND,)
    assert two.manager.health(max_lag=11)
    assert value(two.manager, "healthy") == 0
    later.release()
    await until(two.manager.health)
    assert value(two.manager, "reader_lag_seconds") == 0
    await until(lambda: value(two.manager, "read_entries_total") == 300)


async def test_the_window_is_what_was_configured(world: World) -> None:
    server = world.server(max_disconnection_duration=60.0, checkpoint_interval=10.0)
    await world.connected(server)
    assert value(server.manager, "window_seconds") == 60
    assert value(server.manager, "stream_retention_seconds") == 60 + 10 + 25 + 20
    assert value(server.manager, "stream_span_seconds") < 5, "the stream is new"


async def test_a_session_that_is_too_large_counts_as_one_that_cannot_be_read(world: World) -> None:
    one, two = world.server(), world.server(max_session_bytes=10)
    client = await world.connected(one)
    client.cut()
    await settle()
    await world.connect(client, two)
    assert value(two.manager, "unreadable_sessions_total") == 1


async def test_a_session_behind_a_failover_can_be_read(world: World) -> None:
    world.expects_errors = True
    server = world.server()
    client = await world.connected(server)
    kept = server.runtime.dispatcher.position
    client.cut()
    await server.sio.emit("n", 1)
    await settle()
    world.state.lose_writes(kept)
    await world.connect(client, server)
    assert server.manager.outcomes == {"epoch-changed": 1}
    assert value(server.manager, "unreadable_sessions_total") == 0


async def test_a_handler_of_expired_sessions_counts_by_how_it_ended(world: World, clock: Clock) -> None:
    ends = iter([None, ValueError("the handler's own")])

    async def session_expired(_session: ExpiredSession) -> None:
        if (error := next(ends)) is not None:
            raise error

    world.expects_errors = True
    server = world.server(session_expired=session_expired)
    for word in ("returned", "raised"):
        client = await world.connected(server)
        client.cut()
        await _pass_until(clock, partial(value, server.manager, "expired_sessions_total", outcome=word))
    assert value(server.manager, "expired_sessions_total", outcome="returned") == 1


async def _pass_until(clock: Clock, predicate: Callable[[], object]) -> None:
    for _ in range(200):
        if predicate():
            return
        clock.advance(1)
        await settle()
    raise AssertionError("not within 200 s")
