"""Seeing off one session, step by step: `recovery.flows.expiring`, with replies that are lost."""

from collections.abc import Sequence
from typing import Any

import pytest

from recovery.commands import Command
from recovery.deadlines import BurySession, Expired, ExpireSession, Gone, NoteDeadline, NotYet
from recovery.errors import StoreError, StoreUnavailableError
from recovery.flows.expiring import MOST_ATTEMPTS, Terms, see_off
from recovery.flows.steps import Pause, RunHandler
from recovery.offsets import ORIGIN
from recovery.records import Epoch, HolderState, Pid, SavedSession, Sid
from recovery.sessions import encode_session
from tests.unit.builders import HERE, NSP, PID

_TERMS = Terms(interval=1.0, settle=1.0, grace_ms=1, linger_ms=7, max_bytes=10_000)
_LOST = StoreUnavailableError("the reply is lost", maybe_applied=True)
_VALUE = encode_session(SavedSession(Sid("s"), PID, NSP, ("s",), {}, Epoch("e"), ORIGIN, ORIGIN, {}))


def _granted(attempt: int = 1) -> Expired:
    return Expired(5, _VALUE, HolderState.AWAY, 1500, attempt)


def _commands(*replies: Any) -> list[Command[Any]]:
    """Run the flow against replies (an exception is raised); what it asked for, but for pauses."""
    flow = see_off(PID, server=HERE, nonce="n", terms=_TERMS)
    asked: list[Command[Any]] = []
    left = list(replies)
    try:
        command = next(flow)
        while True:
            if isinstance(command, Pause):
                command = flow.send(None)
                continue
            asked.append(command)
            reply = left.pop(0) if left else None
            command = flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply)
    except StopIteration:
        assert not left, f"nobody asked for {left}"
        return asked


def _kinds(commands: Sequence[Command[Any]]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_a_session_is_granted_told_and_buried() -> None:
    asked = _commands(_granted(), True, True)
    assert _kinds(asked) == ["ExpireSession", "RunHandler", "BurySession", "NoteDeadline"]
    assert asked[2:] == [BurySession(PID, 5, 7), NoteDeadline(PID, None, 86_400_000)]
    assert isinstance(asked[1], RunHandler)
    assert asked[1].session.offline_for == 1.5


def test_a_grant_whose_reply_was_lost_is_asked_for_again_with_the_same_nonce() -> None:
    asked = _commands(_LOST, _LOST, _granted(), True, True)
    assert asked[0] == asked[1] == asked[2]
    assert _kinds(asked)[3:] == ["RunHandler", "BurySession", "NoteDeadline"]


def test_a_store_that_stays_away_is_left_alone() -> None:
    """The session is due again when the lease of the list is over; meanwhile its owner may come back."""
    assert _kinds(_commands(_LOST, _LOST, _LOST)) == ["ExpireSession"] * 3


def test_a_burial_is_repeated_until_there_is_an_answer() -> None:
    asked = _commands(_granted(), True, *[_LOST] * 50, True)
    assert _kinds(asked).count("BurySession") == 51
    assert _kinds(asked)[-1] == "NoteDeadline"


def test_the_lease_is_renewed_while_the_handler_runs_whatever_the_store_says() -> None:
    asked = _commands(_granted(), None, _granted(), None, _LOST, None, NotYet(5), True, False)
    assert _kinds(asked) == [
        *["ExpireSession", "RunHandler"] * 3,
        *["ExpireSession", "RunHandler", "BurySession"],
    ]
    assert len({command for command in asked if isinstance(command, ExpireSession)}) == 1


def test_what_is_not_due_is_noted_anew_and_what_is_gone_is_taken_off_the_list() -> None:
    assert _commands(NotYet(1234))[1:] == [NoteDeadline(PID, 1234, 86_400_000)]
    assert _commands(Gone())[1:] == [NoteDeadline(PID, None, 86_400_000)]


def test_a_handler_that_raised_leaves_the_session_as_it_is() -> None:
    assert _kinds(_commands(_granted(MOST_ATTEMPTS), False)) == ["ExpireSession", "RunHandler"]


def test_after_the_last_attempt_it_is_buried_unheard() -> None:
    asked = _commands(_granted(MOST_ATTEMPTS + 1), True)
    assert _kinds(asked) == ["ExpireSession", "BurySession", "NoteDeadline"]


@pytest.mark.parametrize("failing", [0, 2, 3])
def test_an_error_of_the_store_ends_it_without_a_trace(failing: int) -> None:
    replies: list[Any] = [_granted(), True, True, None]
    asked = _commands(*replies[:failing], StoreError("WRONGTYPE"))
    assert len(asked) == failing + 1


def test_no_pid_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    _commands(_granted(), True, True)
    _commands(_granted(MOST_ATTEMPTS + 1), True)
    _commands(StoreError("no"))
    _commands(Expired(5, b"poison", HolderState.AWAY, 1, 1), True)
    assert len(caplog.records) == 4
    assert Pid(PID) not in caplog.text
