"""A round trip brings what memory can take, whatever the size of entries."""

import pytest

from recovery.flows.pace import Pace
from recovery.records import Entry
from tests.unit.builders import at

_MEGABYTE = 10**6


def _entries(number: int, size: int) -> list[Entry]:
    return [Entry(at(index), {b"d": bytes(size)}) for index in range(number)]


@pytest.mark.parametrize("size", [0, 10, 1000, 10_000])
def test_small_entries_are_soon_fetched_as_many_as_may_be(size: int) -> None:
    pace = Pace(1000)
    counts = [pace.count]
    for _ in range(5):
        pace.note(_entries(pace.count, size))
        counts.append(pace.count)
    assert counts == [100, 200, 400, 800, 1000, 1000]


@pytest.mark.parametrize(("size", "fitting"), [(_MEGABYTE, 16), (5 * _MEGABYTE, 3), (20 * _MEGABYTE, 1)])
def test_large_entries_are_fetched_as_many_as_fit(size: int, fitting: int) -> None:
    pace = Pace(1000)
    pace.note(_entries(2, size))
    assert pace.count == fitting
    pace.note(_entries(fitting, size))
    assert pace.count == fitting


def test_after_large_entries_small_ones_are_many_again() -> None:
    pace = Pace(1000)
    pace.note(_entries(1, 20 * _MEGABYTE))
    pace.note(_entries(1, 10))
    assert pace.count == 100


def test_after_a_quiet_time_it_begins_with_few() -> None:
    pace = Pace(1000)
    for _ in range(5):
        pace.note(_entries(pace.count, 10))
    assert pace.count == 1000
    pace.note(_entries(3, 10))
    assert pace.count == 100
    pace.note([])
    assert pace.count == 100


def test_it_never_asks_for_more_than_it_may() -> None:
    pace = Pace(7)
    assert pace.count == 7
    pace.note(_entries(7, 1))
    assert pace.count == 7
