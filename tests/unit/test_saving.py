"""What is written of a session, and how long it is to live: `recovery.core.saving`."""

import pytest

from recovery.commands import SaveSession
from recovery.core.saving import deadline_note, save_command
from recovery.deadlines import NoteDeadline
from recovery.records import HolderState
from tests.unit.builders import HERE, PID, at, make_connection

_WINDOW, _LINGER, _RETENTION, _KEPT = 10_000, 20_000, 60_000, 500_000


def _save(state: HolderState, *, whole: bool = True, keep_ms: int = _KEPT) -> SaveSession:
    return save_command(
        make_connection(),
        state,
        server=HERE,
        position=at(1),
        window_ms=_WINDOW,
        linger_ms=_LINGER,
        live_ms=_RETENTION,
        whole=whole,
        keep_ms=keep_ms,
    )


@pytest.mark.parametrize(
    ("state", "ttl_ms"),
    [(HolderState.LIVE, _RETENTION), (HolderState.CLOSING, _WINDOW), (HolderState.AWAY, _WINDOW)],
)
def test_the_value_and_the_claim_outlive_a_session_whose_end_is_to_be_told(
    state: HolderState, ttl_ms: int
) -> None:
    command = _save(state)
    assert (command.ttl_ms, command.keep_ms, command.linger_ms) == (ttl_ms, _KEPT, _LINGER + _KEPT)


def test_nothing_is_kept_of_a_session_that_ended_on_purpose() -> None:
    command = _save(HolderState.ENDED)
    assert (command.keep_ms, command.linger_ms) == (0, _LINGER)
    assert deadline_note(command) is None


def test_whoever_writes_the_value_notes_when_to_look() -> None:
    assert deadline_note(_save(HolderState.LIVE)) == NoteDeadline(PID, _RETENTION, _KEPT)
    assert deadline_note(_save(HolderState.CLOSING)) == NoteDeadline(PID, _WINDOW, _KEPT)
    assert deadline_note(_save(HolderState.LIVE, whole=False)) is None, "a checkpoint"
    assert deadline_note(_save(HolderState.LIVE, keep_ms=0)) is None, "nobody is to be told"
