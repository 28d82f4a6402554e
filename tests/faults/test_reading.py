"""Reading resumes after an outage of Redis: nothing is lost or doubled; what is, is said."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recovery.commands import (
    Claimed,
    ClaimSession,
    Command,
    GetStream,
    OpenStream,
    Read,
    ReadBack,
    SaveSession,
)
from recovery.errors import StoreUnavailableError
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Epoch, StreamState
from tests.contract.builders import append, claim, save
from tests.contract.subject import KEYS, Subject, opened
from tests.faults.outage import STREAM, Node, Outage, open_outage, ordered_once, until
from tests.faults.proxy import Direction, Proxy
from tests.faults.redis_process import Fsync, RedisProcess
from tests.interleavings.client import Client
from tests.interleavings.harness import settle


async def _hang_up(proxy: Proxy) -> None:
    """Reset all connections, and let their owners know."""
    proxy.reset()
    await until(lambda: proxy.connections == 0)
    await settle()


async def _tell_reader(store: Subject, command: Command[Any]) -> None:
    """Whoever reads is told once that there was an interruption."""
    if isinstance(command, Read):
        with contextlib.suppress(StoreUnavailableError):
            await store.execute(command)


def _steady(reply: Any) -> Any:
    """A reply without what changes from one time to the next: the store's clock."""
    if isinstance(reply, StreamState):
        return replace(reply, now_ms=0)
    return replace(reply, since_ms=0) if isinstance(reply, Claimed) else reply


def failures(node: Node) -> int:
    """How often a server's reader has found no Redis."""
    return node.manager.counters.get("reader.failed", 0)


async def got_all(client: Client, numbers: range) -> None:
    """Wait until a client has the numbers, each once and in order, on the connection that it had."""
    await until(lambda: client.got("n")[-1:] == [numbers[-1]], f"{numbers} arrived")
    assert ordered_once(client, "n") == list(numbers)
    assert client.outcomes == ["fresh"], "it was never disconnected"


@pytest.mark.parametrize("fsync", ["everysec", "always"])
async def test_clients_notice_nothing_of_a_redis_that_restarts_with_its_data(
    every_kind: str, tmp_path: Path, fsync: Fsync
) -> None:
    with RedisProcess(every_kind, tmp_path, fsync=fsync) as redis:
        async with open_outage(redis) as outage:
            nodes = [outage.direct_node(publish_timeout=15.0) for _ in range(2)]
            clients = [await outage.connected(node) for node in nodes]
            await nodes[0].emit_numbers("n", range(10))
            await outage.stop_redis()
            emitting = asyncio.create_task(nodes[1].emit_numbers("n", range(10, 20)))
            await until(lambda: all(failures(node) for node in nodes), "both readers noticed")
            await outage.start_redis()
            await emitting
            for client in clients:
                await got_all(client, range(20))


async def test_nothing_confirmed_is_lost_when_redis_is_killed_and_writes_always(
    every_kind: str, tmp_path: Path
) -> None:
    with RedisProcess(every_kind, tmp_path, fsync="always") as redis:
        async with open_outage(redis) as outage:
            nodes = [outage.direct_node(publish_timeout=15.0) for _ in range(2)]
            clients = [await outage.connected(node) for node in nodes]
            emitting = asyncio.create_task(nodes[0].emit_numbers("n", range(300)))
            await until(lambda: len(clients[1].got("n")) > 20)
            await outage.kill_redis()
            await outage.start_redis()
            await emitting
            for client in clients:
                await got_all(client, range(300))


async def test_a_client_that_was_away_during_a_restart_recovers(any_outage: Outage) -> None:
    nodes = [any_outage.direct_node(publish_timeout=15.0) for _ in range(2)]
    client = await any_outage.connected(nodes[0])
    await nodes[0].emit_numbers("n", range(5))
    await until(lambda: len(client.got("n")) == 5)
    client.cut()
    await until(lambda: nodes[0].disconnected)
    await any_outage.stop_redis()
    emitting = asyncio.create_task(nodes[0].emit_numbers("n", range(5, 10)))
    await any_outage.start_redis()
    await emitting
    await any_outage.connect(client, nodes[1])
    await until(lambda: len(client.got("n")) == 10)
    assert client.outcomes == ["fresh", "recovered"]
    assert ordered_once(client, "n") == list(range(10))


async def test_a_client_that_comes_back_during_the_outage_recovers_when_it_is_over(outage: Outage) -> None:
    """It is let in without recovery, because the store is away; its old session is as it was."""
    node = outage.node(publish_timeout=0.6)
    client, other = await outage.connected(node), outage.client()
    await node.emit_numbers("n", range(5))
    await until(lambda: len(client.got("n")) == 5)
    client.cut()
    await until(lambda: node.disconnected)
    await until(lambda: outage.redis.client.hget(f"{{sio:session:{client.pid}}}:claim", "state") == "away")
    await outage.stop_redis()
    other.sockets["/"].pid, other.sockets["/"].offset = client.pid, client.offset
    await outage.connect(other, node)
    assert other.outcomes == ["fresh"]
    assert dict(node.manager.outcomes) == {Reason.STORE_UNAVAILABLE.value: 1}
    other.cut()
    await outage.start_redis()
    await node.emit_numbers("n", range(5, 10))
    await outage.connect(client, node)
    await until(lambda: len(client.got("n")) == 10)
    assert client.outcomes == ["fresh", "recovered"]
    assert ordered_once(client, "n") == list(range(10))


async def test_clients_notice_nothing_of_a_redis_that_stands_still(any_outage: Outage) -> None:
    """Longer than our timeouts: commands that were given up are carried out when it goes on."""
    outage = any_outage
    nodes = [outage.direct_node(publish_timeout=15.0) for _ in range(2)]
    clients = [await outage.connected(node) for node in nodes]
    await nodes[0].emit_numbers("n", range(10))
    outage.redis.freeze()
    emitting = asyncio.create_task(nodes[1].emit_numbers("n", range(10, 20)))
    await until(lambda: all(failures(node) >= 2 for node in nodes), "the readers gave up more than once")
    outage.redis.thaw()
    await emitting
    for client in clients:
        await got_all(client, range(20))


@pytest.mark.parametrize("direction", Direction)
async def test_a_way_that_stalls_for_longer_than_the_timeouts(outage: Outage, direction: Direction) -> None:
    node, other = outage.node(), outage.direct_node()
    client = await outage.connected(node)
    await other.emit_numbers("n", range(10))
    outage.proxy.stall(direction)
    await other.emit_numbers("n", range(10, 20))
    await until(lambda: failures(node) >= 2, "the reader gave up more than once")
    await outage.proxy.forward()
    await other.emit_numbers("n", range(20, 30))
    await got_all(client, range(30))


@pytest.mark.parametrize("colour", ["async", "sync"])
@pytest.mark.parametrize(
    "command",
    [
        Read(ORIGIN, 10, 1_000),
        ReadBack(Offset(2**50, 0), 10),
        GetStream(),
        OpenStream(Epoch("e")),
        save(),
        claim(),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_reply_that_is_cut_anywhere_is_no_answer(
    outage: Outage, colour: str, command: Command[Any]
) -> None:
    """Not half an answer, nor that of another command."""
    store = opened(outage.proxy.url, colour)
    await store.execute(append(b"one", b"two"))
    await store.execute(save(create=True))
    whole, after, struck = await store.execute(command), 0, True
    fragment = b"pid-" if isinstance(command, SaveSession | ClaimSession) else KEYS.stream.encode()
    while struck:
        await _hang_up(outage.proxy)
        await _tell_reader(store, command)
        strike = outage.proxy.cut_reply(after=after, to=fragment)
        reply: Any = (await asyncio.gather(store.execute(command), return_exceptions=True))[0]
        struck, after = strike.struck.is_set(), after + 1
        if struck:
            assert isinstance(reply, StoreUnavailableError)
            assert reply.maybe_applied
        else:
            assert _steady(reply) == _steady(whole)
    assert after > 3, "the shortest reply is longer"
    await _hang_up(outage.proxy)
    await _tell_reader(store, command)
    assert _steady(await store.execute(command)) == _steady(whole)
    await store.close()


async def test_a_reply_of_a_read_that_is_cut_anywhere_is_read_again(any_outage: Outage) -> None:
    """Half an entry must not count, and a whole one of two must not count twice."""
    outage = any_outage
    node, other = outage.node(block_time=2.0), outage.direct_node()
    client = await outage.connected(node)
    cut = sent = 0
    for after in range(0, 700, 37):
        strike = outage.proxy.cut_reply(after=after, to=b"BLOCK")
        outage.proxy.reset()  # the read that waits now, so that the next one meets the strike
        await strike.seen.wait()
        await asyncio.gather(other.sio.emit("n", sent), other.sio.emit("n", sent + 1))  # one batch, one reply
        sent += 2
        await until(lambda: len(client.got("n")) == sent)  # noqa: B023 - it is awaited here
        cut += strike.struck.is_set()
    assert cut > sent / 4, "most of these were within the reply"
    await got_all(client, range(sent))


async def test_connections_that_are_reset_all_the_time(any_outage: Outage) -> None:
    outage = any_outage
    node, other = outage.node(publish_timeout=15.0), outage.direct_node()
    clients = [await outage.connected(node), await outage.connected(other)]
    emitting = asyncio.gather(node.emit_numbers("n", range(200)), other.emit_numbers("m", range(200)))
    while not emitting.done():
        outage.proxy.reset()
        await asyncio.sleep(0.03)
    await emitting
    await until(lambda: all(len(client.got("n") + client.got("m")) == 400 for client in clients))
    for client in clients:
        assert ordered_once(client, "n") == client.got("m") == list(range(200))
    assert clients[0].offsets == clients[1].offsets, "one order for all"


async def test_a_server_that_starts_while_redis_is_away_lets_clients_in_without_recovery(
    any_outage: Outage,
) -> None:
    outage = any_outage
    await outage.stop_redis()
    node = outage.direct_node(publish_timeout=0.5)
    client, returning = outage.client(), outage.client()
    returning.sockets["/"].pid, returning.sockets["/"].offset = "p" * 32, "1-1"
    await outage.connect(client, node)
    await outage.connect(returning, node)
    assert dict(node.manager.outcomes) == {Reason.STORE_UNAVAILABLE.value: 1}, "the other did not ask"
    assert [client.pid, returning.pid] == ["", ""], "nobody is promised what cannot be kept"
    await outage.start_redis()
    await until(lambda: node.runtime.dispatcher.position.ms > 0, "the reader found the stream")
    await until(
        lambda: not (client.is_connected or returning.is_connected), "told that something may be missing"
    )
    for each in (client, returning):
        await outage.connect(each, node)
        assert each.pid, "all is well for who comes now"
    await node.emit_numbers("n", range(5))
    await until(lambda: all(len(each.got("n")) == 5 for each in (client, returning)))
    client.cut()
    await node.emit_numbers("n", range(5, 10))
    await outage.connect(client, node)
    assert client.outcomes[-1] == "recovered"
    await until(lambda: client.got("n") == list(range(10)))


async def _with_a_gap(outage: Outage) -> tuple[Node, list[Client]]:
    """A server that was cut off from Redis, while what its clients had yet to get was trimmed."""
    node, other = outage.node(), outage.direct_node()
    clients = [await outage.connected(node) for _ in range(2)]
    await other.emit_numbers("n", range(5))
    await until(lambda: all(len(client.got("n")) == 5 for client in clients))
    outage.proxy.hang()
    await other.emit_numbers("n", range(5, 10))
    outage.redis.client.xtrim(STREAM, maxlen=2, approximate=False)
    await until(lambda: outage.logged("reader.failed"))
    await outage.proxy.forward()
    await until(lambda: not any(client.is_connected for client in clients), "all transports closed")
    return node, clients


async def test_a_trim_past_a_reader_that_was_away_is_told_to_its_clients(any_outage: Outage) -> None:
    outage = any_outage
    node, clients = await _with_a_gap(outage)
    assert outage.logged("reader.gap")
    assert [client.got("n") for client in clients] == [list(range(5))] * 2, "nothing from beyond the gap"
    for client in clients:
        await outage.connect(client, node)
        assert client.outcomes == ["fresh", "fresh"]
    assert dict(node.manager.outcomes) == {Reason.OFFSET_TRIMMED.value: 2}
    await node.emit_numbers("n", range(10, 15))
    await until(lambda: all(client.got("n")[5:] == list(range(10, 15)) for client in clients))
    for client in clients:
        client.cut()
    await node.emit_numbers("n", range(15, 20))
    for client in clients:
        await outage.connect(client, node)
    await until(lambda: all(client.got("n")[5:] == list(range(10, 20)) for client in clients))
    assert clients[0].outcomes[-1] == "recovered"


async def test_a_session_refused_for_a_gap_keeps_saying_why(outage: Outage) -> None:
    node, clients = await _with_a_gap(outage)
    pid, offset = clients[0].pid, clients[0].offset
    for attempt in range(1, 4):
        client = outage.client()
        client.sockets["/"].pid, client.sockets["/"].offset = pid, offset
        await outage.connect(client, outage.direct_node() if attempt == 3 else node)
        assert client.outcomes == ["fresh"]
        assert outage.redis.client.exists(f"sio:session:{pid}") == 1, "a refusal destroys nothing"
    assert dict(node.manager.outcomes) == {Reason.OFFSET_TRIMMED.value: 2}


async def test_a_short_absence_without_a_trim_closes_nobody(outage: Outage) -> None:
    """The proof of continuity has no false alarms: however often the reader comes back."""
    node, other = outage.node(), outage.direct_node()
    client = await outage.connected(node)
    for number in range(20):
        outage.proxy.reset()
        await other.sio.emit("n", number)
        await settle()
    await got_all(client, range(20))
    assert not outage.logged("reader.gap")
