"""Filling up a full replay log never came to an end while traffic flowed.

Each entry that arrived during a read moved the log's start forward, and the flow read again from there, for
as long as one entry came per round trip; everybody else who needed the log waited behind it.
"""

from recovery.core.replay_log import ReplayLog
from recovery.flows.backfill import complete_log
from recovery.offsets import ORIGIN
from tests.unit.builders import Frame, at, entry, event, stored


def test_a_log_that_keeps_forgetting_cannot_be_completed_and_says_so() -> None:
    log: ReplayLog[Frame] = ReplayLog(ORIGIN, max_entries=5, max_bytes=10_000)
    stream = [event(f"e{number}") for number in range(1, 200)]
    for number in range(1, 21):
        log.append(stored(stream[number], number))

    outcomes: list[bool] = []
    flow = complete_log(log, at(10), count=100)
    next(flow)
    for number in range(21, 121):
        upto = log.start.ms
        log.append(stored(stream[number], number))  # one entry arrives during the round trip
        try:
            flow.send(tuple(entry(stream[older], older) for older in range(upto, 0, -1)))
        except StopIteration as stop:
            outcomes.append(stop.value)
            break
    assert outcomes == [False]
