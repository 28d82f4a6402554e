"""Whatever another program does to the keys of a session in Redis: refused, said, and nothing is changed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from recovery.commands import AsyncStore, Claimed, ClaimRefused, Overtaken, Saved
from recovery.errors import StoreError
from recovery.reasons import Reason
from recovery.records import HolderState
from recovery.stores import open_async_store
from tests.contract.builders import PID, claim, save
from tests.contract.subject import KEYS

WRONG: dict[str, dict[str, Any]] = {
    "n": {
        "text": "abc",
        "fraction": "1.5",
        "below zero": "-1",
        "empty": "",
        "huge": "9" * 400,
        "exponent": "1e3",
    },
    "state": {"unknown": "dead", "empty": "", "upper case": "LIVE", "bytes": b"\xff"},
    "deadline": {"text": "tomorrow", "huge": "9" * 30, "empty": "", "infinite": "inf", "nan": "nan"},
    "since": {"text": "then", "hexadecimal": "0x10", "nan": "nan"},
    "proven": {"text": "x", "half": "5", "below zero": "-1-1", "beyond 64 bits": "9" * 20 + "-0"},
    "holder": {"bytes": b"\xff\xfe", "empty": "", "very long": "h" * 10_000},
}
CASES = [
    pytest.param(field, value, id=f"{field} {name}")
    for field, values in WRONG.items()
    for name, value in values.items()
]
ESSENTIAL = ("n", "state", "deadline", "since", "proven", "holder", "nsp", "identity", "epoch")


@pytest.fixture
def hand(redis_url: str) -> Any:
    """A client of another program."""
    client: Any = redis.Redis.from_url(redis_url)  # its types are those of both colours at once
    yield client
    client.close()


@pytest_asyncio.fixture
async def store(redis_url: str) -> AsyncIterator[AsyncStore]:
    names = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}
    opened = open_async_store(redis_url, **names)
    yield opened
    await opened.close()


@pytest.mark.parametrize(("field", "value"), CASES)
async def test_a_field_that_is_not_ours_refuses_the_claim_and_changes_nothing(
    store: AsyncStore, hand: Any, field: str, value: Any
) -> None:
    assert await store.execute(save(create=True)) == Saved()
    hand.hset(KEYS.claim(PID), field, value)
    before = hand.hgetall(KEYS.claim(PID))
    reply = await store.execute(claim())
    assert isinstance(reply, ClaimRefused)
    assert reply.reason is Reason.SESSION_UNKNOWN
    assert field in reply.detail
    assert len(reply.detail) < 100
    if field != "proven":  # the script cannot tell 64 bits; a claim is made then, and let go
        assert hand.hgetall(KEYS.claim(PID)) == before


@pytest.mark.parametrize("field", ESSENTIAL)
async def test_a_field_that_is_missing_refuses_the_claim(store: AsyncStore, hand: Any, field: str) -> None:
    await store.execute(save(create=True))
    hand.hdel(KEYS.claim(PID), field)
    reply = await store.execute(claim())
    assert isinstance(reply, ClaimRefused)
    assert reply.reason is Reason.SESSION_UNKNOWN


@pytest.mark.parametrize("field", ["n", "state", "deadline", "owner", "holder"])
async def test_a_holder_can_go_on_writing_or_is_told(store: AsyncStore, hand: Any, field: str) -> None:
    """It owns the session; what it writes next puts things right, or says that they are not."""
    await store.execute(save(create=True))
    hand.hset(KEYS.claim(PID), field, b"\xff garbage")
    [reply] = await store.execute_many([save(state=HolderState.AWAY)])
    assert isinstance(reply, Saved | Overtaken | StoreError)
    [again] = await store.execute_many([save(create=True)])
    assert isinstance(again, Saved | Overtaken)


async def test_a_session_that_is_too_large_is_refused_without_being_transferred(
    store: AsyncStore, hand: Any
) -> None:
    await store.execute(save(create=True))
    hand.setrange(KEYS.session(PID), 50_000_000, "x")
    sent = hand.info("stats")["total_net_output_bytes"]
    reply = await store.execute(claim(max_bytes=4_000_000))
    assert reply == ClaimRefused(
        Reason.SESSION_UNKNOWN, "the session has 50000001 bytes, more than max_session_bytes"
    )
    assert hand.info("stats")["total_net_output_bytes"] - sent < 100_000
    assert hand.hget(KEYS.claim(PID), "n") == b"1"


async def test_a_session_of_just_that_size_is_not(store: AsyncStore) -> None:
    await store.execute(save(create=True, value=b"x" * 1000))
    assert isinstance(await store.execute(claim(max_bytes=999)), ClaimRefused)
    assert isinstance(await store.execute(claim(max_bytes=1000)), Claimed)


async def test_an_empty_session_is_one_that_cannot_be_read_not_one_that_expired(
    store: AsyncStore, hand: Any
) -> None:
    await store.execute(save(create=True))
    hand.set(KEYS.session(PID), "", ex=60)
    reply = await store.execute(claim())
    assert isinstance(reply, Claimed)
    assert reply.value == b""
