"""A `Read` that waits: what wakes it, what ends it, and that nothing else waits with it."""

import asyncio

import pytest

from recovery.commands import Appended, GetStream, OpenStream, Read
from recovery.errors import StoreUnavailableError
from recovery.offsets import Offset
from recovery.records import Entry, Epoch
from tests.contract.builders import append
from tests.contract.subject import Hand, Subject, opened
from tests.waiting import async_wait_until

pytestmark = pytest.mark.everywhere

OPEN = OpenStream(Epoch("first"))

# Longer than the test's patience: a read that is not woken fails the test.
LONG = 4_000


async def started(
    store: Subject, hand: Hand, read: Read, *, waiting: int = 1
) -> asyncio.Task[tuple[Entry, ...]]:
    """Start a read, and return when the store lets it wait."""
    task = asyncio.create_task(store.execute(read))

    async def waits() -> bool:
        return await hand.waiting_reads() == waiting

    await async_wait_until(waits, what="the read waits")
    return task


async def test_an_append_wakes_it(store: Subject, hand: Hand) -> None:
    state = await store.execute(OPEN)
    reading = await started(store, hand, Read(state.last, 10, LONG))
    appended = await store.execute(append(b"a"))
    async with asyncio.timeout(2):
        entries = await reading
    assert [entry.offset for entry in entries] == list(appended.offsets)


async def test_an_append_by_another_store_wakes_it(store: Subject, other_store: Subject, hand: Hand) -> None:
    state = await store.execute(OPEN)
    reading = await started(store, hand, Read(state.last, 10, LONG))
    appended = await other_store.execute(append(b"a"))
    async with asyncio.timeout(2):
        entries = await reading
    assert [entry.offset for entry in entries] == list(appended.offsets)


async def test_it_sees_a_batch_whole(store: Subject, hand: Hand) -> None:
    state = await store.execute(OPEN)
    reading = await started(store, hand, Read(state.last, 10, LONG))
    appended = await store.execute(append(b"a", b"b", b"c"))
    assert [entry.offset for entry in await reading] == list(appended.offsets)


async def test_it_does_not_wait_when_there_is_something(store: Subject) -> None:
    state = await store.execute(OPEN)
    appended = await store.execute(append(b"a"))
    async with asyncio.timeout(2):
        [entry] = await store.execute(Read(state.last, 10, LONG))
    assert entry.offset == appended.offsets[0]


async def test_it_returns_nothing_when_nothing_came(store: Subject, hand: Hand) -> None:
    state = await store.execute(OPEN)
    assert await store.execute(Read(state.last, 10, 20)) == ()
    assert await hand.waiting_reads() == 0


async def test_it_waits_on_a_stream_that_does_not_exist_yet(store: Subject, hand: Hand) -> None:
    reading = await started(store, hand, Read(Offset(0, 0), 10, LONG))
    await store.execute(OPEN)
    async with asyncio.timeout(2):
        [genesis] = await reading
    assert genesis.fields == {b"epoch": b"first"}


async def test_an_entry_before_its_offset_does_not_end_it(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    reading = await started(store, hand, Read(Offset(2**50, 0), 10, LONG))
    await store.execute(append(b"a"))
    assert (await store.execute(GetStream())) is not None
    assert not reading.done()
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await reading


async def test_other_commands_do_not_wait_for_it(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    reading = await started(store, hand, Read(Offset(2**50, 0), 10, LONG))
    async with asyncio.timeout(2):
        replies = await asyncio.gather(
            *(store.execute(append(b"%d" % n, producer=f"p{n}")) for n in range(50)),
            store.execute(GetStream()),
        )
    assert all(isinstance(reply, Appended) for reply in replies[:-1])
    assert not reading.done()
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await reading


async def test_closing_the_store_ends_it_at_once(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    reading = await started(store, hand, Read(Offset(2**50, 0), 10, LONG))
    await store.close()
    async with asyncio.timeout(2):
        with pytest.raises(StoreUnavailableError, match="closed"):
            await reading


async def test_a_cancelled_read_leaves_the_store_usable(store_url: str, hand: Hand) -> None:
    store = opened(store_url, "async")  # a thread cannot be cancelled
    state = await store.execute(OPEN)
    reading = await started(store, hand, Read(state.last, 10, LONG))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    appended = await store.execute(append(b"a"))
    [entry] = await store.execute(Read(state.last, 10, LONG))
    assert entry.offset == appended.offsets[0]
    await store.close()
