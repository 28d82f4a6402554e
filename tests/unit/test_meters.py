"""What a server counts, and what follows from it for its health."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Peer

from recovery.core.health import Health, Trouble, judge
from recovery.core.meters import Histogram, Meters, Progress, StreamMeters
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Epoch, Recovery, StreamState

_BOUNDS = (0.01, 0.1, 1.0)
_MINUTE = 60_000


@given(st.lists(st.one_of(st.floats(0, 2), st.sampled_from(_BOUNDS))))
def test_a_histogram_counts_as_that_of_prometheus_does(values: list[float]) -> None:
    ours, theirs = Histogram(_BOUNDS), Peer("h", "help", buckets=_BOUNDS, registry=CollectorRegistry())
    for value in values:
        ours.note(value)
        theirs.observe(value)
    [family] = theirs.collect()
    buckets = [sample.value for sample in family.samples if sample.name == "h_bucket"]
    [total] = [sample.value for sample in family.samples if sample.name == "h_sum"]
    assert [count for _, count in ours.read().buckets] == buckets
    assert ours.read().count == len(values)
    assert ours.read().total == total


def test_a_refusal_counts_by_its_reason_and_a_recovery_only_when_its_client_is_in() -> None:
    meters = Meters()
    meters.note_attempt(Recovery(recovered=False, reason=Reason.DISCONNECTED), 0.2)
    recovered = Recovery(recovered=True, replayed=3, offline_for=1.0)
    meters.note_attempt(recovered, 0.1)
    assert dict(meters.recoveries) == {"disconnected": 1}
    meters.note_return(recovered)
    assert dict(meters.recoveries) == {"disconnected": 1, "recovered": 1}
    assert (meters.replayed, meters.takeovers) == (3, 0)
    assert {name: each.read().count for name, each in meters.attempts.items()} == {
        "recovered": 1,
        "refused": 1,
    }


def test_who_was_never_away_was_taken_over() -> None:
    meters = Meters()
    meters.note_return(Recovery(recovered=True, offline_for=None))
    meters.note_return(Recovery(recovered=True, offline_for=0.0))
    assert meters.takeovers == 1


def test_another_attempt_at_the_same_batch_is_a_retry() -> None:
    meters = StreamMeters()
    for sequence in (1, 1, 1, 4, 9, 9):
        meters.note_append(sequence)
    assert meters.publish_retries == 3


def _stream(first: int, last: int, now: int) -> StreamState:
    return StreamState(Epoch("e"), Offset(first, 0), Offset(last, 0), now)


def test_a_reader_that_got_all_there_was_is_not_behind() -> None:
    progress = Progress()
    assert progress.lag(100.0, patience=1.0) is None
    progress.note(99, Offset(5 * _MINUTE, 0), None, now=100.0)
    assert progress.lag(100.9, patience=1.0) == 0
    assert progress.lag(104.0, patience=1.0) == pytest.approx(3)


def test_a_reader_is_behind_by_the_stream_that_it_has_not_read() -> None:
    progress = Progress()
    progress.note(1000, Offset(3 * _MINUTE, 0), _stream(_MINUTE, 5 * _MINUTE, 6 * _MINUTE), now=100.0)
    assert progress.lag(102.0, patience=1.0) == pytest.approx(121)
    assert progress.span == 300
    progress.note(10, Offset(5 * _MINUTE, 0), None, now=103.0)
    assert progress.lag(103.0, patience=1.0) == 0
    assert (progress.entries, progress.span) == (1010, 300)


def _reading(now: float = 100.0, *, last: int = _MINUTE) -> StreamMeters:
    meters = StreamMeters()
    meters.reader.begun = True
    meters.reader.note(1, Offset(_MINUTE, 0), _stream(0, last, last), now=now)
    return meters


def _judged(*meters: StreamMeters, **changes: Any) -> Health:
    options: dict[str, Any] = {"reads": True, "closed": False, "now": 100.0, "patience": 1.0, "max_lag": 5.0}
    return judge(meters, **{**options, **changes})


def test_a_server_that_reads_is_healthy() -> None:
    assert _judged(_reading())
    assert _judged(_reading(), now=105.9).ok
    assert _judged(_reading(last=_MINUTE + 4000)).lag == 4.0


def test_each_trouble_has_its_cause() -> None:
    failing, unanswered = _reading(), _reading()
    failing.reader.failing = True
    unanswered.unanswered = 98.0
    for meters, changes, trouble in (
        (StreamMeters(), {}, Trouble.STARTING),
        (_reading(), {"closed": True}, Trouble.CLOSED),
        (_reading(), {"now": 106.1}, Trouble.STORE_AWAY),
        (failing, {}, Trouble.STORE_AWAY),
        (unanswered, {}, Trouble.STORE_AWAY),
        (unanswered, {"reads": False}, Trouble.STORE_AWAY),
        (_reading(last=_MINUTE + 5001), {}, Trouble.READER_BEHIND),
        (_reading(last=_MINUTE + 4000), {"now": 103.0}, Trouble.READER_BEHIND),
    ):
        health = _judged(meters, **changes)
        assert health.reasons == (trouble,)
        assert not health


def test_an_emitter_has_no_reader_and_forgets_an_old_failure() -> None:
    meters = StreamMeters()
    assert _judged(meters, reads=False) == Health()
    meters.unanswered = 94.9
    assert _judged(meters, reads=False), "or a process that gets no work would never get any again"


def test_a_server_is_as_well_as_the_worst_of_its_streams() -> None:
    assert _judged(_reading(last=_MINUTE + 4000), _reading()).lag == 4.0
    assert _judged(_reading(), _reading(last=_MINUTE + 5001)).reasons == (Trouble.READER_BEHIND,)
    begun = StreamMeters()
    begun.reader.begun = True
    assert _judged(_reading(), begun).reasons == (Trouble.STARTING,)
    assert _judged(_reading(), StreamMeters()), "what was only written to is not waited for"
