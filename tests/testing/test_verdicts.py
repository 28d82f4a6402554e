"""Refusals are judged: a failover that set a session back makes "session-expired" true."""

from recovery.offsets import ORIGIN
from recovery.reasons import Reason
from recovery.settings import Settings
from recovery.testing.faults import FaultKind, FaultLog
from recovery.testing.recorder import Attempt
from recovery.testing.verdicts import find_untrue_refusals

_WINDOW = 30.0


def _is_true(*, left: float, asked: float, since: float, failover: float, jump: float = 0.0) -> bool:
    """Whether "session-expired" is, after a failover to a replica that got no more writes for a while."""
    faults = FaultLog()
    faults.note(FaultKind.ROLLBACK, None, since, failover)
    faults.note_jump(failover, jump)
    attempt = Attempt("ann", "s1", "a pid", "", ORIGIN, asked, answered_at=asked, left_at=left)
    attempt.reason = Reason.SESSION_EXPIRED
    settings = Settings(max_disconnection_duration=_WINDOW)
    return not list(find_untrue_refusals([attempt], faults, settings, notice=0.0))


def test_a_session_whose_last_writes_were_lost_expires_earlier() -> None:
    assert _is_true(left=25, asked=36, since=6, failover=24)


def test_not_before_its_window_has_passed_since_the_writes_that_are_left() -> None:
    assert not _is_true(left=25, asked=35, since=6, failover=24)
    assert _is_true(left=25, asked=35, since=6, failover=24, jump=2.0), "on the store's clock"


def test_not_if_its_server_has_written_it_again() -> None:
    assert not _is_true(left=40, asked=50, since=6, failover=24)


def test_not_before_the_failover() -> None:
    assert not _is_true(left=25, asked=36.5, since=6, failover=37)


def _is_true_after_a_loss(loss: float, *, connected: float = 1.0, asked: float) -> bool:
    """Whether "session-expired" is, where the client left just before it came back."""
    faults = FaultLog()
    faults.note(FaultKind.LOSS, None, loss, None)
    before = Attempt("ann", "s1", "", "", ORIGIN, connected, answered_at=connected)
    attempt = Attempt("ann", "s1", "a pid", "", ORIGIN, asked, answered_at=asked, left_at=asked)
    attempt.reason = Reason.SESSION_EXPIRED
    settings = Settings(max_disconnection_duration=_WINDOW)
    return not list(find_untrue_refusals([before, attempt], faults, settings, notice=0.0))


def test_a_connection_that_servers_closed_for_a_loss_is_away_from_then_on() -> None:
    assert _is_true_after_a_loss(5, asked=36)
    assert not _is_true_after_a_loss(5, asked=34), "its window has not passed"
    assert not _is_true_after_a_loss(0.5, asked=36), "the connection was made after that"
