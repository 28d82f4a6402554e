"""The replay log keeps within its bounds, says from where on it is complete, and leaves nothing behind."""

import pytest

from recovery.core.packets import StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.entries import Kind
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry
from tests.unit.builders import CHAT, DRAFTS, HERE, NSP, Frame, at, audience, event, stored


def _log(*, max_entries: int = 100, max_bytes: int = 100_000, start: Offset = ORIGIN) -> ReplayLog[Frame]:
    return ReplayLog(start, max_entries=max_entries, max_bytes=max_bytes)


def _missed(log: ReplayLog[Frame], *rooms: str, after: Offset) -> list[int]:
    return [entry.offset.ms for entry in log.missed(NSP, rooms, after)]


def test_the_bound_on_entries_holds_and_the_start_follows() -> None:
    log = _log(max_entries=3)
    for number in range(1, 11):
        log.append(stored(event("e"), number))
        assert len(log) == min(number, 3)
    assert log.start == at(7)
    assert _missed(log, after=at(7)) == [8, 9, 10]


def test_the_bound_on_bytes_holds() -> None:
    size = stored(event("e"), 1).size
    log = _log(max_bytes=3 * size)
    for number in range(1, 11):
        log.append(stored(event("e"), number))
        assert log.bytes <= 3 * size
    assert len(log) == 3


def test_an_entry_larger_than_the_log_leaves_it_empty_and_complete_after_it() -> None:
    small, large = stored(event("e"), 1), stored(event("e" * 1000), 2)
    log = _log(max_bytes=500)
    log.append(small)
    log.append(large)
    assert (len(log), log.bytes, log.start) == (0, 0, at(2))
    assert _missed(log, after=at(2)) == []


def test_the_measure_is_the_bytes_of_the_fields() -> None:
    log = _log()
    one, two = stored(event("one"), 1), stored(event("two", "room"), 2)
    log.append(one)
    log.append(two)
    assert log.bytes == one.size + two.size


def test_the_index_forgets_with_the_entries() -> None:
    log = _log(max_entries=2)
    for number in range(1, 50):
        log.append(stored(event("e", f"room-{number}", "common"), number))
    assert set(log._index) == {(NSP, "room-48"), (NSP, "room-49"), (NSP, "common")}
    log.append(stored(event("e" * 200_000), 50))
    assert (len(log), log._index) == (0, {})


def test_what_is_forgotten_is_not_kept_in_memory_for_long() -> None:
    log = _log(max_entries=32)
    for number in range(1, 10_000):
        log.append(stored(event("e", "room"), number))
    lines = [log._entries, *log._index.values()]
    assert all(len(line._items) <= 32 * 17 / 16 for line in lines)


def test_a_reset_forgets_everything() -> None:
    log = _log()
    log.append(stored(event("e", "room"), 1))
    log.reset(at(9))
    assert (len(log), log.bytes, log.start, log._index) == (0, 0, at(9), {})


def test_asking_for_what_precedes_the_start_is_a_defect_of_the_caller() -> None:
    log = _log(start=at(5))
    with pytest.raises(ValueError, match="begins after 5-0"):
        list(log.missed(NSP, [], at(4)))


def test_an_entry_for_two_of_a_clients_rooms_is_found_once() -> None:
    log = _log()
    log.append(stored(event("e", "a", "b"), 1))
    assert _missed(log, "a", "b", after=ORIGIN) == [1]


def test_entries_are_found_in_order_across_rooms() -> None:
    log = _log()
    for number, rooms in enumerate([("b",), (), ("a",), ("c",), ("a", "b"), ()], start=1):
        log.append(stored(event("e", *rooms), number))
    assert _missed(log, "a", "b", after=ORIGIN) == [1, 2, 3, 5, 6]
    assert _missed(log, "a", "b", after=at(3)) == [5, 6]
    assert _missed(log, after=ORIGIN) == [2, 6]


def test_integer_rooms_are_not_text_rooms() -> None:
    log = _log()
    log.append(stored(event("e", 1), 1))
    log.append(stored(event("e", "1"), 2))
    assert [entry.offset.ms for entry in log.missed(NSP, [1], ORIGIN)] == [1]


def test_entries_of_another_namespace_are_not_found() -> None:
    log = _log()
    log.append(stored(DRAFTS.broadcast(CHAT, ["e"], audience()), 1))
    assert _missed(log, after=ORIGIN) == []


def test_entries_for_one_server_and_unreadable_ones_take_a_place_only() -> None:
    log = _log()
    log.append(stored(DRAFTS.acknowledge(NSP, HERE, "1", []), 1))
    log.append(StoredEntry(Entry(at(2), {b"nsp": b"\xff"}), None))
    assert len(log) == 2
    assert (log._index, _missed(log, after=ORIGIN)) == ({}, [])


def test_nodes_entries_may_concern_anybody() -> None:
    log = _log()
    draft = event("e", "a")
    nodes = Entry(at(1), {name: value for name, value in draft.fields if name != b"to"})
    log.append(StoredEntry.read(nodes))
    assert _missed(log, "b", after=ORIGIN) == [1]


def test_older_entries_are_added_before_the_others() -> None:
    log = _log(start=at(3))
    log.append(stored(event("e", "a"), 4))
    older = [stored(event("e", room), number) for number, room in ((2, "a"), (3, "b"))]
    assert log.extend_back(older, at(1))
    assert log.start == at(1)
    assert _missed(log, "a", "b", after=at(1)) == [2, 3, 4]


@pytest.mark.parametrize("bounds", [{"max_entries": 2}, {"max_bytes": 1000}])
def test_older_entries_that_do_not_fit_change_nothing(bounds: dict[str, int]) -> None:
    log = _log(start=at(3), **bounds)
    log.append(stored(event("e", "a"), 4))
    before = (log.bytes, len(log), dict(log._index))
    assert not log.extend_back([stored(event("e"), number) for number in (2, 3)], at(1))
    assert (log.bytes, len(log), dict(log._index)) == before
    assert log.start == at(3)


def test_after_eviction_room_for_older_entries_is_used_again() -> None:
    log = _log(max_entries=8)
    for number in range(1, 13):
        log.append(stored(event("e", "a"), number))
    assert log.start == at(4)
    log.max_entries = 12
    assert log.extend_back([stored(event("e", "a"), number) for number in (1, 2, 3, 4)], ORIGIN)
    assert _missed(log, "a", after=ORIGIN) == list(range(1, 13))


def test_older_entries_are_added_to_a_long_log_that_has_forgotten_some() -> None:
    log = _log(max_entries=100)
    for number in range(1, 104):
        log.append(stored(event("e", "a"), number))
    log.max_entries = 200
    assert log.extend_back([stored(event("e", "a"), number) for number in (1, 2, 3)], ORIGIN)
    assert len(log) == 103
    assert _missed(log, "a", after=ORIGIN) == list(range(1, 104))


def test_control_entries_are_found_with_their_audience() -> None:
    log = _log()
    log.append(stored(DRAFTS.change_rooms(Kind.JOIN, NSP, audience("sid"), ["a"]), 1))
    assert _missed(log, "sid", after=ORIGIN) == [1]
    assert _missed(log, "a", after=ORIGIN) == []


def test_it_tells_what_is_missing_from_where_to_where_it_reaches() -> None:
    log = _log(start=at(3))
    for number in (5, 7):
        log.append(stored(event(f"e{number}"), number))
    assert [log.lacks(at(number)) for number in range(2, 8)] == [False, False, True, False, True, False]


@pytest.mark.parametrize(("anchor", "lacking"), [(at(2), True), (at(1), True), (at(3), False), (None, False)])
def test_where_it_starts_it_goes_by_the_entry_that_proves_continuity(
    anchor: Offset | None, *, lacking: bool
) -> None:
    log = _log(start=at(5))
    log.extend_back([stored(event("e4"), 4), stored(event("e5"), 5)], at(3), anchor=anchor)
    assert log.lacks(at(3)) is lacking
    assert not log.lacks(at(4))


def test_what_it_forgets_was_there() -> None:
    log = _log(max_entries=2, start=at(1))
    for number in (3, 5, 7):
        log.append(stored(event(f"e{number}"), number))
    assert log.start == at(3)
    assert not log.lacks(at(3))
    log.reset(at(9))
    assert not log.lacks(at(9))
