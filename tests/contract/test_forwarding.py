"""What a bridge asks of the store that it ends at: `Forward`."""

from typing import Any

import pytest

from recovery.bridging import Forward
from recovery.commands import GetStream, OpenStream, Read
from recovery.errors import StoreError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Epoch
from tests.contract.builders import append, draft
from tests.contract.subject import KEYS, Hand, RedisHand, Subject


def forward(before: int | None, upto: int, *payloads: bytes, **changes: Any) -> Forward:
    """A step of a bridge; the source's offsets are ``1000-upto`` here."""
    defaults: dict[str, Any] = {
        "link": "east",
        "before": None if before is None else Offset(1000, before),
        "upto": Offset(1000, upto),
        "drafts": tuple(draft(payload) for payload in payloads),
        "candidate": Epoch("epoch-of-forward"),
        "retention_ms": 60_000,
    }
    return Forward(**{**defaults, **changes})


async def payloads(store: Subject) -> list[bytes]:
    entries = await store.execute(Read(ORIGIN, 1000, 0))
    return [entry.fields[b"data"] for entry in entries if b"data" in entry.fields]


async def test_entries_are_appended_in_order_and_the_position_is_kept(store: Subject) -> None:
    await store.execute(forward(None, 0))
    forwarded = await store.execute(forward(0, 7, b"one", b"two"))
    assert (forwarded.done, forwarded.position) == (True, Offset(1000, 7))
    assert await payloads(store) == [b"one", b"two"]
    state = await store.execute(GetStream())
    assert state is not None
    assert state.last == forwarded.last


async def test_a_repetition_appends_nothing_and_tells_the_position(
    store: Subject, other_store: Subject
) -> None:
    await store.execute(forward(None, 0))
    await store.execute(forward(0, 7, b"one"))
    again = await other_store.execute(forward(0, 7, b"one"))
    assert (again.done, again.position, again.last) == (False, Offset(1000, 7), ORIGIN)
    assert await payloads(store) == [b"one"]


async def test_of_two_bridges_of_one_name_one_goes_on(store: Subject, other_store: Subject) -> None:
    await store.execute(forward(None, 0))
    await store.execute(forward(0, 7, b"one"))
    behind = await other_store.execute(forward(0, 4, b"half of it"))
    assert (behind.done, behind.position) == (False, Offset(1000, 7))
    assert (await other_store.execute(forward(7, 9, b"two"))).done
    assert await payloads(store) == [b"one", b"two"]


async def test_who_begins_learns_the_position_that_is_kept(store: Subject, other_store: Subject) -> None:
    await store.execute(forward(None, 3))
    begun = await other_store.execute(forward(None, 9))
    assert (begun.done, begun.position) == (False, Offset(1000, 3))


async def test_each_bridge_has_a_position_of_its_own(store: Subject) -> None:
    await store.execute(forward(None, 3))
    assert (await store.execute(forward(None, 9, link="north {of} it"))).done
    assert (await store.execute(forward(3, 4, b"one"))).done


async def test_a_bridge_whose_position_was_deleted_with_everything_goes_on(store: Subject) -> None:
    assert (await store.execute(forward(5, 6, b"one"))).done
    assert await payloads(store) == [b"one"]


async def test_a_stream_is_begun_where_there_is_none(store: Subject) -> None:
    await store.execute(forward(None, 3))
    state = await store.execute(GetStream())
    assert state is not None
    assert state.epoch == "epoch-of-forward"


async def test_a_stream_that_was_known_keeps_its_epoch(store: Subject) -> None:
    opened = await store.execute(OpenStream(Epoch("known")))
    await store.execute(forward(None, 3))
    await store.execute(forward(3, 4, b"one"))
    state = await store.execute(GetStream())
    assert state is not None
    assert (state.epoch, state.first) == (opened.epoch, opened.first)


async def test_a_stream_that_lost_what_a_bridge_appended_gets_a_new_epoch(store: Subject, hand: Hand) -> None:
    opened = await store.execute(OpenStream(Epoch("known")))
    await store.execute(forward(None, 3))
    lost = (await store.execute(forward(3, 4, b"lost"))).last
    await hand.lose_writes(opened.last)
    forwarded = await store.execute(forward(4, 5, b"next", known=lost))
    state = await store.execute(GetStream())
    assert state is not None
    assert state.epoch == "epoch-of-forward"
    assert forwarded.last > lost


async def test_old_entries_are_trimmed_and_a_cap_is_said(store: Subject, hand: Hand) -> None:
    await store.execute(append(*[b"old"] * 300))
    await store.execute(forward(None, 0))
    await hand.age_stream(store, 20)
    await store.execute(forward(0, 1, b"one", retention_ms=10))
    assert len(await payloads(store)) < 300
    capped = await store.execute(forward(1, 2, *[b"more"] * 500, max_len=10))
    assert capped.cut_into_window


async def test_a_position_of_another_type_is_an_error(server_store: Subject, server_hand: RedisHand) -> None:
    await server_hand.client.xadd(KEYS.bridge("east"), {"a": "b"})
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await server_store.execute(forward(None, 3))
    await server_hand.client.delete(KEYS.bridge("east"))
