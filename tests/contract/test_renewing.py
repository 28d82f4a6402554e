"""A stream that lost writes gets a new identity: `RenewStream`."""

import pytest

from recovery.commands import GetStream, OpenStream, Read, RenewStream
from recovery.offsets import Offset
from recovery.records import Epoch, StreamState
from tests.contract.builders import append
from tests.contract.subject import Hand, Subject

OPEN = OpenStream(Epoch("first"))


def renew(lost: Offset, *, stale: str = "first", candidate: str = "second") -> RenewStream:
    return RenewStream(Epoch(stale), Epoch(candidate), lost)


async def opened_and_lost(store: Subject, hand: Hand) -> tuple[StreamState, Offset]:
    """A stream that has lost its last entry; its state, and what was lost."""
    opened = await store.execute(OPEN)
    lost = (await store.execute(append(b"lost"))).offsets[0]
    await hand.lose_writes(opened.last)
    return opened, lost


async def test_the_epoch_changes_and_a_genesis_entry_says_so(store: Subject, hand: Hand) -> None:
    opened, lost = await opened_and_lost(store, hand)
    state = await store.execute(renew(lost))
    assert (state.epoch, state.first) == ("second", opened.first)
    assert await store.execute(GetStream()) is not None
    [genesis] = await store.execute(Read(opened.last, 10, 0))
    assert genesis.fields == {b"epoch": b"second"}
    assert genesis.offset == state.last
    assert (await store.execute(OpenStream(Epoch("third")))).epoch == "second"


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000])
async def test_what_is_appended_next_is_above_what_was_lost(
    store: Subject, hand: Hand, ahead_ms: int
) -> None:
    """The clock of the server that took over may be behind."""
    _, lost = await opened_and_lost(store, hand)
    lost = Offset(lost.ms + ahead_ms, 7)
    state = await store.execute(renew(lost))
    appended = await store.execute(append(b"next", sequence=2))
    assert lost < state.last < appended.offsets[0]


async def test_who_comes_second_changes_no_epoch(store: Subject, other_store: Subject, hand: Hand) -> None:
    _, lost = await opened_and_lost(store, hand)
    first = await store.execute(renew(lost))
    again = await other_store.execute(renew(lost, candidate="third"))
    assert (again.epoch, again.last) == (first.epoch, first.last)


async def test_who_comes_second_and_lost_more_raises_the_offsets(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    """And the epoch changes again: the one that is there cannot be told from one that came back."""
    _, lost = await opened_and_lost(store, hand)
    first = await store.execute(renew(lost))
    later = Offset(first.last.ms + 60_000, 0)
    again = await other_store.execute(renew(later, candidate="third"))
    assert again.epoch == "third"
    assert again.last > later


async def test_an_epoch_that_was_replaced_and_came_back_does_not_go_on(store: Subject, hand: Hand) -> None:
    """The replica had neither the lost entries nor the epoch that an earlier failover had made necessary."""
    opened, lost = await opened_and_lost(store, hand)
    await store.execute(append(b"by a server that knows of nothing", sequence=2))
    state = await store.execute(renew(lost, stale="second", candidate="third"))
    assert (opened.epoch, state.epoch) == ("first", "third")
    assert state.last > lost


async def test_a_stream_that_is_gone_is_made_anew(store: Subject, hand: Hand) -> None:
    opened = await store.execute(OPEN)
    await hand.delete_stream()
    state = await store.execute(renew(opened.last))
    assert state.epoch == "second"
    assert state.first == state.last > opened.last


async def test_who_appends_to_a_stream_that_lost_what_it_knows_renews_it(store: Subject, hand: Hand) -> None:
    opened, lost = await opened_and_lost(store, hand)
    again = append(b"next", sequence=2, known=lost)
    appended = await store.execute(again)
    assert appended.epoch == again.candidate != opened.epoch
    genesis, entry = await store.execute(Read(opened.last, 10, 0))
    assert genesis.fields == {b"epoch": appended.epoch.encode()}
    assert lost < genesis.offset < entry.offset == appended.offsets[0]
    assert await store.execute(again) == appended


async def test_who_appends_to_a_stream_that_has_what_it_knows_changes_no_epoch(store: Subject) -> None:
    opened = await store.execute(OPEN)
    first = await store.execute(append(b"one", known=opened.last))
    second = await store.execute(append(b"two", sequence=2, known=first.offsets[0]))
    assert first.epoch == second.epoch == "first"


async def test_what_was_trimmed_is_not_lost(store: Subject, hand: Hand) -> None:
    opened = await store.execute(OPEN)
    first = await store.execute(append(b"one"))
    await hand.age_stream(store, 20)
    await store.execute(append(b"two", sequence=2, retention_ms=1))
    await hand.age_stream(store, 20)
    await store.execute(append(b"three", sequence=3, retention_ms=1))
    appended = await store.execute(append(b"four", sequence=4, known=opened.last))
    assert appended.epoch == first.epoch
