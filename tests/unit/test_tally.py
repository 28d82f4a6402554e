"""Tally: everything is counted, and the log is told once in a while."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recovery.core.tally import Tally


@given(st.lists(st.floats(0, 1e6), max_size=50).map(sorted))
def test_what_goes_on_is_said_at_first_and_at_most_once_a_minute(times: list[float]) -> None:
    tally = Tally()
    said = [now for now in times if tally.note("stream.cut", now)]
    assert tally.counts["stream.cut"] == len(times)
    assert said[:1] == times[:1]
    assert all(later - earlier >= 60 for earlier, later in pairwise(said))


def test_events_are_told_apart() -> None:
    tally = Tally()
    assert tally.note("stream.cut", 0)
    assert tally.note("reader.failed", 1)
    assert not tally.note("stream.cut", 2)


def test_what_stopped_is_said_again_when_it_comes_back() -> None:
    tally = Tally()
    assert not tally.over("reader.failed")
    tally.note("reader.failed", 0)
    assert tally.over("reader.failed")
    assert not tally.over("reader.failed")
    assert tally.note("reader.failed", 1)
    assert tally.counts["reader.failed"] == 2
