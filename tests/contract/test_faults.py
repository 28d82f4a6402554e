"""What a store says when it cannot: no answer, half an answer, a wrong answer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recovery.commands import (
    Append,
    Appended,
    ClaimSession,
    Command,
    GetStream,
    OpenStream,
    Read,
    ReadBack,
    SaveSession,
)
from recovery.errors import StoreError, StoreUnavailableError
from recovery.offsets import Offset
from recovery.records import Epoch, StreamState
from recovery.stores.embedded import EmbeddedServer
from recovery.stores.redis import connections
from tests.contract.builders import PID, append, claim, save
from tests.contract.silent_server import silent_server
from tests.contract.subject import KEYS, ClusterHand, RedisHand, Subject, opened
from tests.faults.proxy import Proxy
from tests.waiting import async_wait_until

OPEN = OpenStream(Epoch("first"))


class Unheard(Command[None]):
    """A command that no store knows."""


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A server that the test may break."""
    with EmbeddedServer() as server:
        yield server


@pytest.mark.parametrize("url", ["unix:///no/such/socket", "redis://127.0.0.1:1"])
async def test_a_store_that_is_not_there_was_certainly_not_reached(url: str, colour: str) -> None:
    store = opened(url, colour)
    with pytest.raises(StoreUnavailableError, match="no connection to the store at") as caught:
        await store.execute(append(b"a"))
    assert caught.value.maybe_applied is False
    first, second = await store.execute_many([append(b"a"), append(b"b", sequence=2)])
    assert isinstance(first, StoreUnavailableError)
    assert isinstance(second, StoreUnavailableError)
    with pytest.raises(StoreUnavailableError):
        await store.execute(Read(Offset(0, 0), 1, 100))
    await store.close()


async def test_a_server_that_ended_while_nothing_was_under_way_was_not_reached(
    own_server: EmbeddedServer, colour: str
) -> None:
    store = opened(own_server.url, colour)
    await store.execute(OPEN)
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(StoreUnavailableError) as caught:
        await store.execute(append(b"a"))
    assert caught.value.maybe_applied is False
    await store.close()


async def test_a_server_whose_connections_were_reset_while_nothing_was_under_way_was_not_reached(
    own_server: EmbeddedServer, colour: str
) -> None:
    async with Proxy(own_server.url) as proxy:
        store = opened(proxy.url, colour)
        await store.execute(OPEN)
        proxy.refuse()

        async def all_ended() -> bool:
            return proxy.connections == 0

        await async_wait_until(all_ended)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.execute(append(b"a"))
        assert caught.value.maybe_applied is False
        await store.close()


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_command_whose_answer_is_lost_may_have_been_carried_out(
    tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch, *, hangs_up: bool
) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT", 0.1)
    async with silent_server(tmp_path / "s", hangs_up=hangs_up) as url:
        store = opened(url, colour)
        for _ in range(2):  # a new connection each time
            with pytest.raises(StoreUnavailableError, match="no answer") as caught:
                await store.execute(append(b"a"))
            assert caught.value.maybe_applied is True
        await store.close()


async def test_closing_does_not_wait_for_a_server_that_says_nothing(tmp_path: Path, colour: str) -> None:
    heard = asyncio.Event()
    async with silent_server(tmp_path / "s", hangs_up=False, heard=heard) as url:
        store = opened(url, colour)
        calls = [asyncio.create_task(store.execute(append(b"a", producer=f"p{n}"))) for n in range(3)]
        async with asyncio.timeout(3):
            await heard.wait()
            await store.close()
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailableError] * 3


async def test_a_connection_that_died_while_idle_is_replaced_and_the_reader_told(
    server_store: Subject, server_hand: RedisHand
) -> None:
    """What is read next may be of another server, or of a stream that was trimmed: continuity is in doubt."""
    state = await server_store.execute(OPEN)
    await server_store.execute(Read(state.last, 1, 1))
    await server_hand.hang_up()
    appended = await server_store.execute(append(b"a"))
    with pytest.raises(StoreUnavailableError, match="hung up") as caught:
        await server_store.execute(Read(state.last, 1, 1_000))
    assert caught.value.maybe_applied is False
    [entry] = await server_store.execute(Read(state.last, 1, 1_000))
    assert entry.offset == appended.offsets[0]


async def test_a_connection_that_dies_under_a_read_ends_it(
    server_store: Subject, server_hand: RedisHand
) -> None:
    state = await server_store.execute(OPEN)
    reading = asyncio.create_task(server_store.execute(Read(state.last, 1, 4_000)))

    async def waits() -> bool:
        return await server_hand.waiting_reads() == 1

    await async_wait_until(waits)
    await server_hand.hang_up()
    with pytest.raises(StoreUnavailableError):
        await reading
    appended = await server_store.execute(append(b"a"))
    [entry] = await server_store.execute(Read(state.last, 1, 1_000))
    assert entry.offset == appended.offsets[0]


@pytest.mark.parametrize(
    ("key", "command"),
    [
        (KEYS.stream, OPEN),
        (KEYS.stream, GetStream()),
        (KEYS.stream, append(b"a")),
        (KEYS.stream, Read(Offset(0, 0), 1, 0)),
        (KEYS.stream, ReadBack(Offset(1, 0), 1)),
        (KEYS.epoch, OPEN),
        (KEYS.epoch, append(b"a")),
        (KEYS.producer(append(b"a").producer), append(b"a")),
        (KEYS.session(PID), save(create=True)),
        (KEYS.claim(PID), save(create=True)),
        (KEYS.claim(PID), claim()),
    ],
)
async def test_a_key_that_somebody_else_wrote_is_named(
    server_store: Subject, server_hand: RedisHand, key: str, command: Command[Any]
) -> None:
    await server_hand.client.sadd(key, "somebody else's")
    await server_hand.client.expire(key, 60)
    kept = await server_hand.count_keys()
    with pytest.raises(StoreError, match="holds a set, not a") as caught:
        await server_store.execute(command)
    assert key.replace(PID, f"{PID[:4]}...") in str(caught.value)
    assert PID not in str(caught.value), "a pid is a secret"
    assert await server_hand.count_keys() == kept, "nothing was written"


async def test_a_session_key_that_somebody_else_wrote_is_named_by_a_claim(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(save(create=True))
    await server_hand.client.delete(KEYS.session(PID))
    await server_hand.client.sadd(KEYS.session(PID), "x")
    await server_hand.client.expire(KEYS.session(PID), 60)
    with pytest.raises(StoreError, match="holds a set, not a string"):
        await server_store.execute(claim())


async def test_a_server_without_memory_stores_nothing(own_server: EmbeddedServer, colour: str) -> None:
    store = opened(own_server.url, colour)
    hand = RedisHand(own_server.url)
    await store.execute(append(b"a"))
    await hand.client.config_set("maxmemory", "1")
    with pytest.raises(StoreError, match="OOM") as caught:
        await store.execute(append(b"b", sequence=2))
    assert not isinstance(caught.value, StoreUnavailableError), "it did answer"
    await hand.client.config_set("maxmemory", "0")
    await store.execute(append(b"b", sequence=2))
    assert len(await store.execute(Read(Offset(0, 0), 10, 0))) == 3
    await hand.close()
    await store.close()


async def test_a_server_that_became_a_replica_did_nothing(
    server_store: Subject, server_hand: RedisHand
) -> None:
    if isinstance(server_hand, ClusterHand):
        pytest.skip("a replica of a cluster redirects: tests/rediscluster/test_redirections.py")
    await server_store.execute(append(b"a"))
    await server_hand.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailableError, match="READONLY") as caught:
            await server_store.execute(append(b"b", sequence=2))
    finally:
        await server_hand.client.execute_command("REPLICAOF", "NO", "ONE")
    assert caught.value.maybe_applied is False
    assert isinstance(await server_store.execute(append(b"b", sequence=2)), Appended)


async def test_wrong_credentials_are_an_answer(own_server: EmbeddedServer, colour: str) -> None:
    hand = RedisHand(own_server.url)
    await hand.client.config_set("requirepass", "s3cret")
    wrong = opened(own_server.url.replace("unix://", "unix://:gu3ss@"), colour)
    with pytest.raises(StoreError, match="credentials") as caught:
        await wrong.execute(GetStream())
    assert not isinstance(caught.value, StoreUnavailableError)
    assert "gu3ss" not in str(caught.value)
    right = opened(own_server.url.replace("unix://", "unix://:s3cret@"), colour)
    assert await right.execute(GetStream()) is None
    for store in (wrong, right):
        await store.close()
    await hand.close()


async def test_a_command_that_no_store_knows_fails_alone(store: Subject) -> None:
    with pytest.raises(StoreError, match="Unheard"):
        await store.execute(Unheard())
    commands: list[Command[Any]] = [OPEN, Unheard(), GetStream()]
    before, failure, after = await store.execute_many(commands)
    assert isinstance(before, StreamState)
    assert isinstance(failure, StoreError)
    assert isinstance(after, StreamState)


@pytest.mark.parametrize(
    "command", [OPEN, GetStream(), append(b"a"), Read(Offset(0, 0), 1, 100), claim(), save()]
)
async def test_a_closed_store_refuses(
    store: Subject, command: Append | ClaimSession | GetStream | OpenStream | Read | SaveSession
) -> None:
    await store.execute(GetStream())
    await store.close()
    await store.close()  # again: harmless
    some: Command[Any] = command
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.execute(some)
    [result] = await store.execute_many([some])
    assert isinstance(result, StoreUnavailableError)


async def test_a_cancelled_caller_does_not_disturb_the_others(server_url: str) -> None:
    store = opened(server_url, "async")  # a thread cannot be cancelled
    callers = [
        asyncio.create_task(store.execute(append(b"%d" % number, producer=f"p{number}")))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert isinstance(await store.execute(append(b"last", producer="last")), Appended)
    await store.close()
