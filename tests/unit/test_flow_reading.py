"""Reading on: what follows a position, and whether anything between is missing."""

from typing import Any

import pytest

from recovery.commands import Command, GetStream, Read, ReadBack, RenewStream
from recovery.driver import run
from recovery.flows.reading import Batch, read_on
from recovery.offsets import Offset
from recovery.records import Entry, Epoch, StreamState
from tests.unit.builders import at, entry, event

RETENTION_MS = 1000
AFTER = at(10_000)
RENEWAL = RenewStream(Epoch("epoch"), Epoch("another"), AFTER)


class Script:
    """A store with this to read, and with these ends of its stream."""

    def __init__(
        self,
        *offsets: int,
        first: int = 1,
        last: int | None = None,
        gone: bool = False,
        known: int | None = AFTER.ms,
    ) -> None:
        self.entries = tuple(entry(event("e"), offset) for offset in offsets)
        self.known: tuple[Entry, ...] = () if known is None else (entry(event("e"), known),)
        end = last if last is not None else max(offsets, default=AFTER.ms)
        self.state = None if gone else StreamState(Epoch("epoch"), at(first), at(end), now_ms=end)
        self.asked: list[Command[Any]] = []

    def perform(self, command: Command[Any]) -> Any:
        self.asked.append(command)
        match command:
            case Read():
                return self.entries[: command.count]
            case ReadBack():
                return tuple(known for known in self.known if known.offset <= command.upto)
            case RenewStream():
                return StreamState(command.candidate, at(1), at(20_000), now_ms=20_000)
            case _:
                return self.state

    def read(
        self,
        *,
        count: int = 10,
        after: Offset = AFTER,
        doubtful: bool = False,
        renewal: RenewStream = RENEWAL,
    ) -> Batch:
        flow = read_on(
            after,
            count=count,
            block_ms=500,
            retention_ms=RETENTION_MS,
            doubtful=doubtful,
            renewal=renewal,
        )
        return run(flow, self.perform)


def _offsets(entries: tuple[Entry, ...]) -> list[int]:
    return [each.offset.ms for each in entries]


def test_an_ordinary_batch_costs_one_command() -> None:
    script = Script(10_001, 10_002)
    batch = script.read()
    assert (_offsets(batch.entries), batch.gap, batch.stream) == ([10_001, 10_002], False, None)
    assert script.asked == [Read(AFTER, 10, 500)]


def test_nothing_to_read_costs_one_command() -> None:
    script = Script()
    assert script.read() == Batch(())
    assert len(script.asked) == 1


@pytest.mark.parametrize(("first", "gap"), [(9_000, False), (10_000, False), (10_001, True), (10_500, True)])
@pytest.mark.parametrize(
    ("offsets", "options"),
    [
        ([10_001, 10_002], {"count": 2}),
        ([10_001], {"doubtful": True}),
        ([], {"doubtful": True}),
        ([10_001, 11_000], {}),
    ],
    ids=["a full batch", "after an interruption", "nothing new after one", "a long span"],
)
def test_a_gap_is_looked_for_and_found(
    offsets: list[int], options: dict[str, Any], first: int, gap: bool
) -> None:
    script = Script(*offsets, first=first, last=max([10_500, *offsets]))
    batch = script.read(**options)
    assert batch.gap is gap
    assert batch.stream == script.state
    looked = [ReadBack(AFTER, 1)] if options.get("doubtful") else []
    assert script.asked[1:] == [*looked, GetStream()]
    assert _offsets(batch.entries) == offsets


def test_a_doubtful_read_does_not_wait() -> None:
    script = Script()
    script.read(doubtful=True)
    assert script.asked[0] == Read(AFTER, 10, 0)


def test_a_span_of_half_the_retention_is_not_long() -> None:
    assert Script(10_001, AFTER.ms + RETENTION_MS // 2).read().stream is None


@pytest.mark.parametrize("options", [{"count": 1}, {"doubtful": True}])
def test_a_stream_that_is_gone_is_a_gap(options: dict[str, Any]) -> None:
    script = Script(10_001, gone=True, known=None)
    batch = script.read(**options)
    assert batch.gap
    assert batch.stream is not None
    assert batch.stream.epoch == "another"
    assert script.asked[-1] == RENEWAL


def test_a_stream_that_ends_before_the_position_is_a_gap() -> None:
    assert Script(last=9_000).read(doubtful=True).gap


def test_a_stream_that_lost_the_last_known_entry_gets_a_new_epoch() -> None:
    script = Script(10_400, known=9_999)
    batch = script.read(doubtful=True)
    assert batch.gap
    assert batch.stream is not None
    assert batch.stream.epoch == "another"
    assert script.asked[1:] == [ReadBack(AFTER, 1), GetStream(), RENEWAL]


def test_what_was_read_is_looked_for_even_if_something_was_published_since() -> None:
    """The reader may have had its last answer from the old primary, the publisher from the new one."""
    script, published = Script(10_400, known=10_400), at(10_400)
    script.known = (entry(event("e"), 10_400), entry(event("e"), 9_999))

    batch = script.read(doubtful=True, renewal=RenewStream(Epoch("epoch"), Epoch("another"), published))

    assert batch.gap
    assert script.asked[1:3] == [ReadBack(AFTER, 1), ReadBack(published, 1)]
    # What was published is there, so it may be in the new epoch already, which must not be replaced again.
    assert script.asked[-1] == RenewStream(Epoch("epoch"), Epoch("another"), AFTER)


def test_a_last_known_entry_that_was_trimmed_is_no_loss() -> None:
    """Nothing older is there either: that is what trimming does."""
    batch = Script(10_400, first=10_300, known=None).read(doubtful=True)
    assert batch.gap
    assert batch.stream is not None
    assert batch.stream.epoch == "epoch"
