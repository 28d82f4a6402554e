"""Filling up the replay log: complete after its start at every moment, whatever is trimmed meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

from recovery.commands import Command, ReadBack
from recovery.core.replay_log import ReplayLog
from recovery.driver import run
from recovery.flows.backfill import complete_log
from recovery.records import Entry
from tests.unit.builders import NSP, Frame, at, entry, event, stored


class Stream:
    """Entries 1 to 20; before each read something may happen to it."""

    def __init__(self, happens: Callable[["Stream", int], object] = lambda stream, read: None) -> None:
        self.entries = [entry(event("e"), number) for number in range(1, 21)]
        self.reads = 0
        self.happens = happens

    def trim(self, up_to: int) -> None:
        self.entries = [each for each in self.entries if each.offset.ms > up_to]

    def perform(self, command: Command[Any]) -> tuple[Entry, ...]:
        assert isinstance(command, ReadBack)
        self.reads += 1
        self.happens(self, self.reads)
        upto = [each for each in self.entries if each.offset <= command.upto]
        return tuple(reversed(upto[-command.count :]))


def _log(*, start: int = 10, max_entries: int = 100) -> ReplayLog[Frame]:
    """A log of the entries after `start`."""
    log: ReplayLog[Frame] = ReplayLog(at(start), max_entries=max_entries, max_bytes=100_000)
    for number in range(start + 1, 21):
        log.append(stored(event("e"), number))
    return log


def _held(log: ReplayLog[Frame]) -> list[int]:
    return [each.offset.ms for each in log.missed(NSP, [], log.start)]


def _is_complete(log: ReplayLog[Frame]) -> bool:
    return _held(log) == list(range(log.start.ms + 1, 21)) or (
        log.start.seq > 0 and _held(log) == list(range(log.start.ms + 1, 21))
    )


def test_a_log_that_reaches_back_far_enough_is_left_alone() -> None:
    stream, log = Stream(), _log()
    assert run(complete_log(log, at(10), count=5), stream.perform)
    assert run(complete_log(log, at(15), count=5), stream.perform)
    assert stream.reads == 0


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 10, 11, 100])
@pytest.mark.parametrize("back_to", [1, 4, 9])
def test_what_is_missing_is_read_in_batches(count: int, back_to: int) -> None:
    stream, log = Stream(), _log()
    assert run(complete_log(log, at(back_to), count=count), stream.perform)
    assert log.start == at(back_to)
    assert _held(log) == list(range(back_to + 1, 21))
    assert stream.reads <= (10 - back_to) // count + 2


def test_a_place_between_two_entries_is_proven_by_the_one_before_it() -> None:
    stream, log = Stream(), _log()
    assert run(complete_log(log, at(4, 7), count=3), stream.perform)
    assert log.start == at(4, 7)
    assert _held(log) == list(range(5, 21))


@pytest.mark.parametrize("count", [1, 3, 5, 100])
def test_what_was_trimmed_cannot_be_proven(count: int) -> None:
    stream, log = Stream(), _log()
    stream.trim(5)
    assert not run(complete_log(log, at(5), count=count), stream.perform)
    assert _is_complete(log)


def test_an_empty_stream_proves_nothing() -> None:
    stream, log = Stream(), _log()
    stream.trim(20)
    assert not run(complete_log(log, at(5), count=3), stream.perform)
    assert log.start == at(10)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("at_read", [1, 2, 3, 4])
@pytest.mark.parametrize("up_to", [1, 3, 4, 6, 9, 10, 15, 20])
def test_trimming_at_any_moment_never_makes_the_log_lie(count: int, at_read: int, up_to: int) -> None:
    def happens(stream: Stream, read: int) -> None:
        if read == at_read:
            stream.trim(up_to)

    stream, log = Stream(happens), _log()
    complete = run(complete_log(log, at(4), count=count), stream.perform)
    assert _is_complete(log)
    assert not complete or log.start <= at(4)


def test_a_log_without_room_stays_as_it_is() -> None:
    stream, log = Stream(), _log(max_entries=12)
    assert not run(complete_log(log, at(2), count=100), stream.perform)
    assert (log.start, len(log)) == (at(10), 10)


def test_entries_forgotten_during_a_read_are_noticed() -> None:
    log = _log(max_entries=10)

    def happens(stream: Stream, read: int) -> None:
        if read == 1:
            newest = entry(event("e"), 21)
            stream.entries.append(newest)
            log.append(stored(event("e"), 21))

    assert not run(complete_log(log, at(4), count=3), Stream(happens).perform)
    assert _held(log) == list(range(12, 22))


def test_poison_takes_its_place_in_the_log() -> None:
    stream, log = Stream(), _log()
    stream.entries[6] = Entry(at(7), {b"nsp": b"\xff", b"type": b"3"})
    assert run(complete_log(log, at(5), count=100), stream.perform)
    assert (_held(log), len(log)) == ([6, *range(8, 21)], 15)
