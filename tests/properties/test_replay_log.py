"""The replay log and `find_missed` against filtering the whole stream."""

from hypothesis import assume, given
from hypothesis import strategies as st

from recovery.commands import Command, ReadBack
from recovery.core.packets import StoredEntry
from recovery.core.replay import Replay, find_missed
from recovery.core.replay_log import ReplayLog
from recovery.driver import run
from recovery.entries import PayloadCodec
from recovery.flows.backfill import complete_log
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Entry
from tests.properties.histories import (
    ROOMS,
    SID,
    Action,
    Emit,
    events_due,
    histories,
    rooms_at,
    stream_of,
)
from tests.unit.builders import Frame, at, make_connection

CODEC = PayloadCodec()


def _log(
    stream: list[Entry], *, start: int = 0, max_entries: int = 1000, max_bytes: int = 10**6
) -> ReplayLog[Frame]:
    log: ReplayLog[Frame] = ReplayLog(at(start), max_entries=max_entries, max_bytes=max_bytes)
    for entry in stream[start:]:
        log.append(StoredEntry.read(entry))
    return log


def _replay(
    log: ReplayLog[Frame], history: list[Action], *, floor: int, applied: int, limit: int = 1000
) -> list[str] | Reason:
    """Replay for a client whose rooms are saved as they were up to `applied`."""
    connection = make_connection(sid=SID)
    for place in range(1, applied + 1):
        before, after = rooms_at(history, place), rooms_at(history, place + 1)
        for room in after - before:
            connection.membership.enter(room, at(place))
        for room in before - after:
            connection.membership.leave(room, at(place))
    found = find_missed(log, CODEC, connection, floor=at(floor), applied=at(applied), limit=limit)
    if isinstance(found, Reason):
        return found
    assert set(connection.membership.rooms()) == rooms_at(history, len(history) + 1)
    return _names(found)


def _names(replay: Replay[Frame]) -> list[str]:
    return [str(packet.broadcast(CODEC).args[0]) for packet in replay.packets]


@given(histories, st.data())
def test_a_replay_equals_filtering_the_whole_stream(history: list[Action], data: st.DataObject) -> None:
    floor = data.draw(st.integers(0, len(history)), label="floor")
    applied = data.draw(st.integers(0, len(history)), label="applied")
    assert _replay(_log(stream_of(history)), history, floor=floor, applied=applied) == events_due(
        history, floor
    )


@given(histories, st.data())
def test_it_does_so_from_a_log_that_forgets(history: list[Action], data: st.DataObject) -> None:
    log = _log(
        stream_of(history),
        max_entries=data.draw(st.integers(1, 20), label="max_entries"),
        max_bytes=data.draw(st.sampled_from([10**6, 2000, 300]), label="max_bytes"),
    )
    assert len(log) <= log.max_entries
    assert log.bytes <= log.max_bytes
    assert log.start.ms + len(log) == len(history)
    floor = data.draw(st.integers(log.start.ms, len(history)), label="floor")
    applied = data.draw(st.integers(log.start.ms, len(history)), label="applied")
    assert _replay(log, history, floor=floor, applied=applied) == events_due(history, floor)


@given(histories, st.data())
def test_the_limit_is_exact(history: list[Action], data: st.DataObject) -> None:
    due = events_due(history, 0)
    limit = data.draw(st.integers(0, len(due) + 1), label="limit")
    replay = _replay(_log(stream_of(history)), history, floor=0, applied=0, limit=limit)
    assert replay == (due if len(due) <= limit else Reason.REPLAY_TOO_LARGE)


class _Store:
    """The stream as a store has it; it may be trimmed, and grow, between two reads."""

    def __init__(self, stream: list[Entry], log: ReplayLog[Frame], data: st.DataObject) -> None:
        self.stream = stream
        self.visible = len(log) + log.start.ms
        self.trimmed = 0
        self.log = log
        self.data = data

    def perform(self, command: Command[object]) -> tuple[Entry, ...]:
        assert isinstance(command, ReadBack)
        upto = [e for e in self.stream[self.trimmed : self.visible] if e.offset <= command.upto]
        reply = tuple(reversed(upto[-command.count :]))
        if self.data.draw(st.booleans(), label="trim"):
            self.trimmed = self.data.draw(st.integers(self.trimmed, self.visible), label="trimmed up to")
        if self.data.draw(st.booleans(), label="grow") and self.visible < len(self.stream):
            self.log.append(StoredEntry.read(self.stream[self.visible]))
            self.visible += 1
        return reply


@given(histories, st.data())
def test_filling_it_up_from_a_stream_that_is_trimmed_meanwhile_never_makes_it_lie(
    history: list[Action], data: st.DataObject
) -> None:
    assume(history)
    stream = stream_of(history)
    visible = data.draw(st.integers(1, len(stream)), label="visible")
    start = data.draw(st.integers(0, visible), label="log start")
    max_entries = data.draw(st.integers(1, 30), label="max_entries")
    log = _log(stream[:visible], start=start, max_entries=max_entries)
    store = _Store(stream, log, data)
    floor = data.draw(st.integers(0, visible), label="floor")

    complete = run(complete_log(log, at(floor), count=data.draw(st.integers(1, 8))), store.perform)

    assert len(log) <= max_entries
    assert not complete or log.start <= at(floor)
    assert log.start.ms + len(log) >= store.visible - 1
    so_far = history[: store.visible]
    first = _first_place(log.start)
    assert _replay(log, so_far, floor=first, applied=first) == events_due(so_far, first)
    if complete:
        assert _replay(log, so_far, floor=floor, applied=floor) == events_due(so_far, floor)


def _first_place(start: Offset) -> int:
    """The first place after which the log is complete."""
    return start.ms if start.seq == 0 else start.ms + 1


@given(histories)
def test_an_index_holds_what_the_log_holds(history: list[Action]) -> None:
    log = _log(stream_of(history), max_entries=5)
    held = [*log.missed(make_connection().namespace, [*ROOMS, SID, "other"], log.start)]
    last = history[-5:]
    assert len(held) == sum(not (isinstance(action, Emit) and action.elsewhere) for action in last)
    log.reset(at(99))
    assert not log._index
