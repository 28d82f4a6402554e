"""The stream's identity and its offsets: `OpenStream`, `GetStream` and `Append`."""

import asyncio

import pytest

from recovery.commands import Append, Appended, GetStream, OpenStream, Read, ReadBack
from recovery.errors import StoreError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry, Epoch, StreamState
from tests.contract.builders import append
from tests.contract.subject import KEYS, Hand, RedisHand, Subject

pytestmark = pytest.mark.everywhere

OPEN = OpenStream(Epoch("first"))


async def everything(store: Subject) -> list[Entry]:
    return list(await store.execute(Read(ORIGIN, 1000, 0)))


async def payloads(store: Subject) -> list[bytes]:
    return [entry.fields[b"data"] for entry in await everything(store) if b"data" in entry.fields]


async def test_a_stream_that_does_not_exist_has_no_state(store: Subject) -> None:
    assert await store.execute(GetStream()) is None


async def test_opening_creates_one_genesis_entry_that_names_the_epoch(store: Subject) -> None:
    state = await store.execute(OPEN)
    [genesis] = await everything(store)
    assert genesis.fields == {b"epoch": b"first"}
    assert (state.epoch, state.first, state.last) == ("first", genesis.offset, genesis.offset)
    assert state.now_ms >= genesis.offset.ms


async def test_opening_again_keeps_the_epoch(store: Subject, other_store: Subject) -> None:
    first = await store.execute(OPEN)
    again = await other_store.execute(OpenStream(Epoch("second")))
    seen = await store.execute(GetStream())
    assert seen is not None
    assert (again.epoch, again.last) == (seen.epoch, seen.last) == (first.epoch, first.last)


async def test_appending_opens_a_stream_that_does_not_exist(store: Subject) -> None:
    appended = await store.execute(append(b"a"))
    genesis, entry = await everything(store)
    assert genesis.fields == {b"epoch": b"epoch-of-append"}
    assert appended == Appended(Epoch("epoch-of-append"), (entry.offset,), cut_into_window=False)


async def test_a_batch_keeps_its_order_and_its_fields(store: Subject) -> None:
    state = await store.execute(OPEN)
    binary = bytes(range(256))
    batch = append(b"a", b"", binary)
    appended = await store.execute(batch)
    entries = await store.execute(Read(state.last, 10, 0))
    assert [entry.offset for entry in entries] == list(appended.offsets) == sorted(appended.offsets)
    assert [dict(entry.fields) for entry in entries] == [dict(each.fields) for each in batch.drafts]


async def test_a_large_batch_is_stored_whole(store: Subject) -> None:
    expected = [b"%d" % number for number in range(9000)]  # more than Lua can return at once
    appended = await store.execute(append(*expected))
    entries = await store.execute(Read(ORIGIN, 10_000, 0))
    assert len(set(appended.offsets)) == len(expected)
    assert [entry.fields[b"data"] for entry in entries[1:]] == expected


async def test_the_state_tells_both_ends(store: Subject) -> None:
    opened = await store.execute(OPEN)
    appended = await store.execute(append(b"a", b"b"))
    state = await store.execute(GetStream())
    assert state is not None
    assert (state.epoch, state.first, state.last) == ("first", opened.first, appended.offsets[-1])


async def test_a_repeated_batch_is_stored_once_and_gets_the_same_answer(
    store: Subject, other_store: Subject
) -> None:
    first = await store.execute(append(b"a", b"b"))
    await other_store.execute(append(b"c", producer="two"))
    assert await other_store.execute(append(b"a", b"b")) == first
    assert await payloads(store) == [b"a", b"b", b"c"]


async def test_a_straggler_is_refused_and_stores_nothing(store: Subject) -> None:
    await store.execute(append(b"a", b"b", sequence=1))
    await store.execute(append(b"c", b"d", sequence=3))
    for straggler in (append(b"a", b"b", sequence=1), append(b"d", sequence=4), append(b"c", sequence=3)):
        with pytest.raises(StoreError, match="batch"):
            await store.execute(straggler)
    assert await payloads(store) == [b"a", b"b", b"c", b"d"]


async def test_numbers_may_have_gaps(store: Subject) -> None:
    await store.execute(append(b"a", sequence=1))
    await store.execute(append(b"b", sequence=7))
    assert await payloads(store) == [b"a", b"b"]


async def test_producers_count_by_themselves(store: Subject, other_store: Subject) -> None:
    async def produce(subject: Subject, name: str) -> list[Offset]:
        offsets: list[Offset] = []
        for number in range(1, 21):
            batch = append(f"{name}{number}".encode(), sequence=number, producer=name)
            offsets.extend((await subject.execute(batch)).offsets)
        return offsets

    ours, theirs = await asyncio.gather(produce(store, "a"), produce(other_store, "b"))
    assert ours == sorted(ours)
    assert theirs == sorted(theirs)
    stored = await payloads(store)
    assert [each for each in stored if each.startswith(b"a")] == [b"a%d" % n for n in range(1, 21)]
    assert [each for each in stored if each.startswith(b"b")] == [b"b%d" % n for n in range(1, 21)]


async def test_a_producer_that_was_forgotten_starts_again(store: Subject, hand: Hand) -> None:
    await store.execute(append(b"a", sequence=5, producer_ttl_ms=20))
    await hand.age_stream(store, 30)
    await store.execute(append(b"b", sequence=1))
    assert await payloads(store) == [b"a", b"b"]


async def test_a_deleted_stream_gets_a_new_epoch_and_higher_offsets(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    old = await store.execute(append(b"a"))
    await hand.delete_stream()
    assert await store.execute(GetStream()) is None
    new = await store.execute(append(b"b", sequence=2, candidate=Epoch("second")))
    genesis, entry = await everything(store)
    assert new.epoch == "second"
    assert genesis.fields == {b"epoch": b"second"}
    assert old.offsets[-1] < genesis.offset < entry.offset


async def test_reopening_a_deleted_stream_gives_a_new_epoch(store: Subject, hand: Hand) -> None:
    old = await store.execute(OPEN)
    await hand.delete_stream()
    new = await store.execute(OpenStream(Epoch("second")))
    assert new.epoch == "second"
    assert new.first > old.last


async def test_a_batch_whose_stream_was_lost_answers_with_its_old_epoch(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    first = await store.execute(append(b"a"))
    await hand.delete_stream()
    await store.execute(OpenStream(Epoch("second")))
    assert await store.execute(append(b"a")) == first
    assert await payloads(store) == []


async def test_offsets_rise_although_the_clock_goes_back(store: Subject, hand: Hand) -> None:
    await store.execute(OPEN)
    await hand.turn_clock_back(3_600_000)
    ahead = await store.execute(OPEN)
    appended = await store.execute(append(b"a", b"b"))
    assert ahead.last < appended.offsets[0] < appended.offsets[1]


async def test_offsets_rise_although_the_stream_was_lost_and_the_clock_goes_back(
    store: Subject, hand: Hand
) -> None:
    await store.execute(OPEN)
    await hand.turn_clock_back(3_600_000)
    before = await store.execute(append(b"a"))
    await hand.delete_stream()
    after = await store.execute(append(b"b", sequence=2, candidate=Epoch("second")))
    [genesis, entry] = await everything(store)
    assert before.offsets[-1] < genesis.offset < entry.offset == after.offsets[0]


async def test_what_is_too_old_is_trimmed_but_the_newest_of_it_stays(store: Subject, hand: Hand) -> None:
    await store.execute(append(b"a", b"b", b"c"))
    await hand.age_stream(store, 30)
    young = await store.execute(append(b"d", sequence=4, retention_ms=20))
    assert await payloads(store) == [b"c", b"d"]
    assert not young.cut_into_window


async def test_what_is_young_is_not_trimmed(store: Subject, hand: Hand) -> None:
    await store.execute(append(b"a"))
    await hand.age_stream(store, 30)
    await store.execute(append(b"b", sequence=2, retention_ms=60_000))
    assert len(await everything(store)) == 3


async def test_the_hard_cap_says_when_it_cuts_into_the_window(store: Subject) -> None:
    batch = [b"%d" % number for number in range(1000)]
    fits = await store.execute(append(*batch, sequence=1, max_len=2000))
    cut = await store.execute(append(*batch, sequence=1001, max_len=500))
    assert not fits.cut_into_window
    assert cut.cut_into_window
    left = await payloads(store)
    assert 500 <= len(left) < 700, "approximate, but never fewer"
    assert left == batch[-len(left) :]


async def test_the_hard_cap_may_cut_what_is_old_without_a_word(store: Subject, hand: Hand) -> None:
    batch = [b"%d" % number for number in range(1000)]
    await store.execute(append(*batch, sequence=1))
    await hand.age_stream(store, 30)
    fits = await store.execute(append(b"x", sequence=1001, retention_ms=20, max_len=500))
    assert not fits.cut_into_window


async def test_a_read_returns_what_comes_after_ascending_and_bounded(store: Subject) -> None:
    appended = await store.execute(append(b"a", b"b", b"c", b"d"))
    offsets = appended.offsets
    assert [e.offset for e in await store.execute(Read(offsets[0], 2, 0))] == list(offsets[1:3])
    assert await store.execute(Read(offsets[-1], 2, 0)) == ()
    between = Offset(offsets[1].ms, offsets[1].seq)
    assert [e.offset for e in await store.execute(Read(between, 10, 0))] == list(offsets[2:])


async def test_a_read_back_returns_what_comes_before_descending_and_bounded(store: Subject) -> None:
    appended = await store.execute(append(b"a", b"b", b"c", b"d"))
    offsets = appended.offsets
    assert [e.offset for e in await store.execute(ReadBack(offsets[2], 2))] == [offsets[2], offsets[1]]
    beyond = Offset(offsets[-1].ms + 1, 0)
    assert [e.offset for e in await store.execute(ReadBack(beyond, 1))] == [offsets[-1]]
    assert await store.execute(ReadBack(Offset(1, 0), 5)) == ()


async def test_reading_a_stream_that_does_not_exist_finds_nothing(store: Subject) -> None:
    assert await store.execute(Read(ORIGIN, 10, 0)) == ()
    assert await store.execute(ReadBack(Offset(2**60, 0), 10)) == ()


async def test_many_commands_keep_their_order_and_fail_alone(store: Subject) -> None:
    first = append(b"a", b"b", sequence=1)
    straggler = append(b"b", sequence=2)
    one, two, three, four = await store.execute_many([first, straggler, append(b"c", sequence=3), first])
    assert isinstance(one, Appended)
    assert isinstance(two, StoreError)
    assert isinstance(three, Appended)
    assert isinstance(four, StoreError), "by then it is a straggler"
    assert one.offsets[-1] < three.offsets[0]
    assert await payloads(store) == [b"a", b"b", b"c"]


async def test_many_commands_of_several_kinds_keep_their_order(store: Subject) -> None:
    commands: list[Append | OpenStream | GetStream | Read] = [
        GetStream(),
        OPEN,
        append(b"a"),
        Read(ORIGIN, 10, 5_000),
        GetStream(),
    ]
    before, opened, appended, read, after = await store.execute_many(commands)
    assert before is None
    assert isinstance(opened, StreamState)
    assert isinstance(after, StreamState)
    assert isinstance(appended, Appended)
    assert isinstance(read, tuple)
    assert [entry.offset for entry in read] == [opened.last, *appended.offsets]
    assert after.last == appended.offsets[-1]


async def test_no_commands_have_no_replies(store: Subject) -> None:
    assert await store.execute_many([]) == []


async def test_many_callers_at_once_all_get_their_own_answer(store: Subject) -> None:
    async def produce(number: int) -> Appended:
        return await store.execute(append(b"%d" % number, producer=f"producer-{number}"))

    appended = await asyncio.gather(*(produce(number) for number in range(600)))
    by_offset = {entry.offset: entry.fields.get(b"data") for entry in await everything(store)}
    assert len(by_offset) == 601
    assert [by_offset[each.offsets[0]] for each in appended] == [b"%d" % number for number in range(600)]


# ------------------------------------------------------------------- what only a server can meet


async def test_a_stream_that_node_made_gets_an_epoch_but_no_genesis(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_hand.client.xadd(KEYS.stream, {"uid": "node", "nsp": "/", "type": "3", "data": "{}"})
    assert await server_store.execute(GetStream()) is None, "it has no epoch yet"
    state = await server_store.execute(OPEN)
    assert state.epoch == "first"
    assert state.first == state.last
    assert len(await everything(server_store)) == 1


async def test_entries_that_node_adds_stand_in_the_same_order(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(append(b"a", sequence=1))
    await server_hand.turn_clock_back(60_000)  # Node's clock is the server's: its entry is ahead
    await server_store.execute(append(b"b", sequence=2))
    await server_hand.client.xadd(KEYS.stream, {"data": "n"})
    appended = await server_store.execute(append(b"c", sequence=3))
    stored = await everything(server_store)
    assert [entry.fields[b"data"] for entry in stored if b"data" in entry.fields] == [b"a", b"b", b"n", b"c"]
    assert stored[-1].offset == appended.offsets[0]


async def test_a_stream_that_was_trimmed_to_nothing_keeps_its_epoch(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(OPEN)
    appended = await server_store.execute(append(b"a"))
    await server_hand.client.xtrim(KEYS.stream, maxlen=0, approximate=False)
    assert await server_store.execute(GetStream()) is None
    state = await server_store.execute(OpenStream(Epoch("second")))
    assert state.epoch == "first"
    assert state.first > appended.offsets[-1]


async def test_a_field_of_many_megabytes_passes(store: Subject) -> None:
    large = bytes(5_000_000)
    await store.execute(append(large))
    assert await payloads(store) == [large]


async def test_scripts_that_the_server_forgot_are_sent_again(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(append(b"a", sequence=1))
    await server_hand.client.script_flush()
    results = await server_store.execute_many([append(b"b", sequence=2), append(b"c", sequence=3)])
    assert [type(each) for each in results] == [Appended, Appended]
    assert await payloads(server_store) == [b"a", b"b", b"c"]
