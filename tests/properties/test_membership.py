"""Membership against a model that keeps all changes ever made, sorted by offset."""

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from recovery.core.membership import Membership
from recovery.offsets import ORIGIN
from recovery.records import Room, Sid
from tests.unit.builders import at

ROOMS: tuple[Room, ...] = ("a", "b")
LAST = 12

rooms = st.sampled_from(ROOMS)
places = st.integers(1, LAST)


@dataclass(frozen=True)
class Change:
    """Entered or left at an offset; of two at one offset the stream's comes first, then ours in order."""

    room: Room
    place: int
    entered: bool
    from_stream: bool = False


def _sorted(changes: list[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: (change.place, not change.from_stream))


def _is_member(changes: list[Change], room: Room, place: int) -> bool:
    before = [each for each in _sorted(changes) if each.room == room and each.place < place]
    return bool(before) and before[-1].entered


def _apply(membership: Membership, change: Change) -> None:
    act = membership.enter if change.entered else membership.leave
    act(change.room, at(change.place), from_stream=change.from_stream)


changes = st.lists(st.builds(Change, rooms, places, st.booleans()), max_size=10)
# Of one room the stream has one change at an offset: an entry enters it or leaves it.
mixed = st.lists(st.builds(Change, rooms, places, st.booleans(), st.booleans()), max_size=10).map(
    lambda found: [
        each
        for index, each in enumerate(found)
        if not each.from_stream
        or not any((o.room, o.place, o.from_stream) == (each.room, each.place, True) for o in found[:index])
    ]
)


@given(mixed)
@example([Change("a", 5, entered=False), Change("a", 5, entered=True, from_stream=True)])
def test_changes_may_arrive_in_any_order(history: list[Change]) -> None:
    membership = Membership(Sid("sid"), ORIGIN)
    for change in history:
        _apply(membership, change)
    for room in ROOMS:
        for place in range(1, LAST + 2):
            assert membership.contains(room, at(place)) == _is_member(history, room, place)
        assert membership.is_in(room) == _is_member(history, room, LAST + 1)
    assert set(membership.rooms()) == {"sid"} | {room for room in ROOMS if membership.is_in(room)}
    assert set(membership.rooms_ever()) == {"sid"} | {change.room for change in history}


@given(st.data())
def test_settling_at_any_time_changes_no_answer_that_may_still_be_asked(data: st.DataObject) -> None:
    """No change at or below `position` comes later; nothing at or below `proven` is asked any more."""
    membership, history = Membership(Sid("sid"), ORIGIN), list[Change]()
    position = proven = 0
    for _ in range(data.draw(st.integers(0, 12))):
        if data.draw(st.booleans()):
            position = data.draw(st.integers(position, LAST))
            proven = data.draw(st.integers(proven, position))
            membership.settle(at(position), at(proven))
        elif position < LAST:
            change = data.draw(st.builds(Change, rooms, st.integers(position + 1, LAST), st.booleans()))
            history.append(change)
            _apply(membership, change)
        for room in ROOMS:
            for place in range(proven + 1, LAST + 2):
                assert membership.contains(room, at(place)) == _is_member(history, room, place)
            assert membership.is_in(room) == _is_member(history, room, LAST + 1)


@given(changes, places, places)
def test_what_is_saved_and_restored_answers_the_same(history: list[Change], one: int, other: int) -> None:
    position, proven = max(one, other), min(one, other)
    membership = Membership(Sid("sid"), ORIGIN)
    for change in history:
        _apply(membership, change)
    membership.settle(at(position), at(proven))
    restored = Membership(Sid("sid"), ORIGIN, membership.changes())
    for room in ROOMS:
        for place in range(proven + 1, LAST + 2):
            assert restored.contains(room, at(place)) == _is_member(history, room, place)


@given(changes)
def test_settling_everything_leaves_one_change_for_each_room_it_is_in(history: list[Change]) -> None:
    membership = Membership(Sid("sid"), ORIGIN)
    for change in history:
        _apply(membership, change)
    membership.settle(at(LAST), at(LAST))
    kept = membership.changes()
    assert all(len(found) == 1 and found[0].entered for found in kept.values())
    assert set(kept) == {room for room in ROOMS if _is_member(history, room, LAST + 1)}


@given(changes, st.integers(0, LAST), places)
def test_the_own_room_is_entered_at_the_start_and_never_left(
    history: list[Change], start: int, place: int
) -> None:
    membership = Membership(Sid("a"), at(start))
    for change in history:
        _apply(membership, change)
    assert membership.contains("a", at(place)) == (place > start)
    assert membership.is_in("a")


@given(mixed, st.lists(st.tuples(places, places), max_size=4))
def test_what_is_settled_says_how_far_back_answers_are_right(
    history: list[Change], settlings: list[tuple[int, int]]
) -> None:
    membership, whole = Membership(Sid("sid"), ORIGIN), Membership(Sid("sid"), ORIGIN)
    for change in history:
        _apply(membership, change)
        _apply(whole, change)
    for position, proven in settlings:
        membership.settle(at(position), at(min(position, proven)))
    for room in ROOMS:
        for place in range(1, LAST + 2):
            if at(place) > membership.settled:
                assert membership.contains(room, at(place)) == whole.contains(room, at(place))
