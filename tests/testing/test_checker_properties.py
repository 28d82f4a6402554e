"""What keeps the promise has no violation, and each way to break it has one of its kind."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recovery.records import Audience
from recovery.testing.checker import Kind, check, explain
from recovery.testing.history import Accepted, Emitted, Event, History, Received
from recovery.testing.strategies import histories

PRECISE = histories(vague=False, min_steps=25, max_steps=40)


@given(histories(max_steps=60))
def test_a_promise_that_is_kept_has_no_violation(history: History) -> None:
    violations = check(history)
    assert not violations, explain(violations)


@given(histories(max_steps=60))
def test_without_offsets_either(history: History) -> None:
    """As a real client's history has them: the emitter is not told, and some clients get none."""
    found = [_without_offset(event) for event in history.events]
    violations = check(History(found, history.settled))
    assert not violations, explain(violations)


@given(PRECISE, st.data())
def test_a_packet_left_out_is_lost(history: History, data: st.DataObject) -> None:
    index = data.draw(_one_of(history, lambda index: _must_have(history, index)))
    left_out = history.events[index]
    assert isinstance(left_out, Received)
    del history.events[index]
    assert (Kind.LOST, left_out.client, left_out.packet) in kinds(history)


@given(PRECISE, st.data())
def test_a_packet_written_again_is_doubled(history: History, data: st.DataObject) -> None:
    index = data.draw(_one_of(history))
    again = history.events[index]
    assert isinstance(again, Received)
    place = data.draw(st.integers(index + 1, len(history.events)))
    history.events.insert(place, again)
    assert (Kind.DOUBLED, again.client, again.packet) in kinds(history)


@given(PRECISE, st.data())
def test_two_packets_that_change_places_are_out_of_order(history: History, data: st.DataObject) -> None:
    places: dict[tuple[str, int], list[int]] = {}
    for index, event in enumerate(history.events):
        if isinstance(event, Received):
            places.setdefault((event.client, event.connection), []).append(index)
    several = [found for found in places.values() if len(found) > 1]
    assume(several)
    one, other = data.draw(st.sampled_from(several).flatmap(_two_of))
    events = history.events
    events[one], events[other] = events[other], events[one]
    later = events[other]
    assert isinstance(later, Received)
    assert (Kind.OUT_OF_ORDER, later.client, later.packet) in kinds(history)


@pytest.mark.parametrize("heard", [True, False])
@given(PRECISE, st.data())
def test_a_packet_for_others_is_not_addressed(heard: bool, history: History, data: st.DataObject) -> None:
    index = data.draw(_one_of(history))
    beside = history.events[index]
    assert isinstance(beside, Received)
    nobodys = Emitted("x", "other", 1, audience=Audience(("nobody's",)), offset=beside.offset)
    stranger = replace(beside, packet="x", heard=heard)
    history.events[index:index] = [nobodys, stranger]
    assert (Kind.NOT_ADDRESSED, beside.client, "x") in kinds(history)
    history.events.remove(nobodys)
    assert (Kind.INVENTED, beside.client, "x") in kinds(history)


@given(PRECISE, st.data())
def test_a_later_packet_on_the_old_connection_is_found(history: History, data: st.DataObject) -> None:
    """The old server goes on writing to it, as if it still owned the session."""
    returns = [e for e in history.events if isinstance(e, Accepted) and e.recovered and e.by > (0, 0)]
    assume(returns)
    back = data.draw(st.sampled_from(returns))
    earlier = [e for e in history.events if isinstance(e, Accepted) and e.sid == back.sid]
    old = earlier[earlier.index(back) - 1]
    late = Emitted("x", "other", 1, offset=back.by._replace(seq=1), recoverable=False)
    history.events.append(late)
    history.add(Received(old.client, old.connection, "x", late.offset, heard=False))
    assert (Kind.OLD_CONNECTION, old.client, "x") in kinds(history)


def kinds(history: History) -> set[tuple[Kind, str, str | None]]:
    return {(each.kind, each.client, each.packet) for each in check(history)}


def _without_offset(event: Event) -> Event:
    if isinstance(event, Emitted) or (isinstance(event, Received) and event.client != "ann"):
        return replace(event, offset=None)
    return event


def _must_have(history: History, index: int) -> bool:
    """Tell whether it would be missed: by a settled client, or as something came later in its session."""
    received = history.events[index]
    assert isinstance(received, Received)
    packet = next(e for e in history.events if isinstance(e, Emitted) and e.packet == received.packet)
    if not (received.heard and packet.recoverable and packet.stored):
        return False
    for event in history.events[index + 1 :]:
        if isinstance(event, Accepted | Received) and event.client == received.client:
            if isinstance(event, Received) and event.heard:
                return True
            if isinstance(event, Accepted) and not event.recovered:
                return False
    return received.client in history.settled


def _anything(_index: int) -> bool:
    return True


def _one_of(history: History, suits: Callable[[int], bool] = _anything) -> st.SearchStrategy[int]:
    found = [index for index, event in enumerate(history.events) if isinstance(event, Received)]
    found = [index for index in found if suits(index)]
    assume(found)
    return st.sampled_from(found)


def _two_of(places: list[int]) -> st.SearchStrategy[tuple[int, int]]:
    return st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True).map(
        lambda found: (min(found), max(found))
    )
