"""Were refusals just? A client that presented a pid and was not recovered must have been told a true reason.

What is true is known here from what was done to the cluster. Where nothing was done that could be in the way,
and the client came back within its window, it has to be recovered.
"""

from collections.abc import Iterator, Sequence

from recovery.offsets import parse_offset
from recovery.reasons import Reason
from recovery.settings import Settings
from recovery.testing.faults import FaultKind, FaultLog
from recovery.testing.recorder import Attempt

__all__ = ["find_papered_over", "find_untrue_refusals"]

_AFTERMATH = 15.0  # seconds for which a fault of the store can be felt: timeouts, retries, releases


def find_untrue_refusals(
    attempts: Sequence[Attempt], faults: FaultLog, settings: Settings, *, notice: float
) -> Iterator[str]:
    """Say of each refusal that has no true reason, what it was.

    Args:
        notice: seconds by which one end of a connection may know later than the other that it is gone.
    """
    judge = _Judge(attempts, faults, settings, min(notice, settings.max_disconnection_duration / 2))
    for attempt in attempts:
        if attempt.answered_at is None or attempt.recovered:
            continue
        if attempt.pid:
            yield from judge.refusal(attempt)


def find_papered_over(attempts: Sequence[Attempt]) -> Iterator[str]:
    """Say who was recovered by a server that knew that the store had lost writes, and had told nobody."""
    for attempt in attempts:
        if attempt.recovered and attempt.knew:
            yield (
                f"{attempt.client} was recovered at {attempt.answered_at:.3f} s by {attempt.server}, which"
                f" knew at {attempt.asked_at:.3f} s of lost writes that nobody had been told of"
            )


class _Judge:
    def __init__(
        self, attempts: Sequence[Attempt], faults: FaultLog, settings: Settings, notice: float
    ) -> None:
        self._notice = notice
        self._attempts = attempts
        self._faults = faults
        self._settings = settings

    def refusal(self, attempt: Attempt) -> Iterator[str]:
        assert attempt.answered_at is not None, "the caller has looked"
        if not self._is_true(attempt, attempt.answered_at):
            away = attempt.asked_at - (attempt.left_at or 0.0)
            yield (
                f"{attempt.client} was told {attempt.reason or 'no reason'} by {attempt.server} at"
                f" {attempt.answered_at:.3f} s, {away:.3f} s after it had lost its connection;"
                " nothing had happened that makes this true"
            )

    def _is_true(self, attempt: Attempt, answered: float) -> bool:
        match attempt.reason:
            case Reason.SESSION_EXPIRED:
                return (
                    self._window_passed(attempt, answered)
                    or self._was_set_back(attempt, answered)
                    or self._was_closed_for_a_loss(attempt, answered)
                )
            case Reason.SESSION_UNKNOWN:
                return (
                    self._window_passed(attempt, answered, times=2 if attempt.ended_at is None else 1)
                    or self._is_forgotten(attempt, answered)
                    or self._lost_writes(answered)
                    or self._has_rival(attempt, answered)
                )
            case Reason.STORE_UNAVAILABLE:
                begin = attempt.asked_at - _AFTERMATH
                return self._faults.happened(
                    FaultKind.STORE, attempt.server, begin, answered
                ) or self._faults.happened(FaultKind.FREEZE, attempt.server, begin, answered)
            case Reason.OFFSET_TRIMMED:
                return (
                    self._faults.happened(FaultKind.TRIM, None, 0.0, answered)
                    or self._lost_writes(answered)
                    or self._settings.max_len is not None
                    or self._window_passed(attempt, answered)
                )
            case Reason.EPOCH_CHANGED:
                return self._lost_writes(answered)
            case Reason.OFFSET_UNKNOWN:
                return self._lost_writes(answered) or self._is_of_an_earlier_session(attempt)
            case Reason.REPLAY_TOO_LARGE:
                return min(self._settings.max_replay, self._settings.log_max_entries) < 1000
            case Reason.DISCONNECTED:
                return attempt.ended_at is not None
            case _:
                return False

    def _window_passed(self, attempt: Attempt, answered: float, *, times: int = 1) -> bool:
        """Whether so many windows have passed on the store's clock, or it could not be written so long."""
        left = attempt.asked_at if attempt.left_at is None else attempt.left_at
        window = self._settings.max_disconnection_duration * times
        if self._faults.store_time(left, answered) >= window - self._notice:
            return True
        return self._faults.longest(FaultKind.STORE, left - window, answered) >= window - self._notice

    def _is_forgotten(self, attempt: Attempt, answered: float) -> bool:
        """Whether the end of the session is a window ago: it is known to have ended for no longer."""
        window = self._settings.max_disconnection_duration
        ended_at = attempt.ended_at
        return ended_at is not None and self._faults.store_time(ended_at, answered) >= window - self._notice

    def _was_set_back(self, attempt: Attempt, answered: float) -> bool:
        """Whether a window has passed since the last write that a failover left.

        Whoever is still connected some time after that has been saved again. Where it left a session whose
        client was away, that is since the client had gone.
        """
        left = attempt.asked_at if attempt.left_at is None else attempt.left_at
        window = self._settings.max_disconnection_duration
        return any(
            left <= end + _AFTERMATH
            and self._faults.store_time(self._away_since(attempt, begin), answered) >= window - self._notice
            for begin, end in self._faults.times(FaultKind.ROLLBACK, 0.0, answered)
            if end <= answered
        )

    def _away_since(self, attempt: Attempt, moment: float) -> float:
        """When a client had gone whose return after a moment was undone; the moment itself without one."""
        undone = [
            other.left_at
            for other in self._attempts
            if other.client == attempt.client
            and other.left_at is not None
            and other.answered_at is not None
            and moment <= other.answered_at < attempt.asked_at
        ]
        return min([moment, *undone])

    def _was_closed_for_a_loss(self, attempt: Attempt, answered: float) -> bool:
        """Whether servers closed the connection that came before, for what the stream lacked, a window ago.

        A client whose network is dead learns of that only when it misses a PING.
        """
        window = self._settings.max_disconnection_duration
        before = [other.answered_at for other in self._attempts if other.client == attempt.client]
        since = max(
            (then for then in before if then is not None and then < attempt.asked_at), default=answered
        )
        return any(
            since <= begin and self._faults.store_time(begin, answered) >= window - self._notice
            for kind in (FaultKind.LOSS, FaultKind.TRIM)
            for begin, _ in self._faults.times(kind, since, attempt.left_at or answered)
        )

    def _lost_writes(self, answered: float) -> bool:
        return self._faults.happened(FaultKind.LOSS, None, 0.0, answered)

    def _is_of_an_earlier_session(self, attempt: Attempt) -> bool:
        """Whether the client presents what it had before this session, let in by a server that lagged."""
        before = [
            other
            for other in self._attempts
            if other.client == attempt.client
            and other.answered_at is not None
            and other.answered_at <= attempt.asked_at
            and not other.recovered
        ]
        if not before or not attempt.offset:
            return False
        first = max(before, key=lambda other: other.answered_at or 0.0)
        return first.offset == attempt.offset and parse_offset(attempt.offset) > first.after

    def _has_rival(self, attempt: Attempt, answered: float) -> bool:
        """Whether an earlier attempt with the same pid may have been served at the same moment, or later."""
        for other in self._attempts:
            same = other is not attempt and other.pid == attempt.pid and other.client == attempt.client
            if not same or other.asked_at > answered:
                continue
            if other.answered_at is not None and other.answered_at < attempt.asked_at:
                continue
            if other.asked_at > attempt.asked_at - _AFTERMATH:
                return True
            if self._faults.happened(FaultKind.FREEZE, other.server, other.asked_at, answered):
                return True
        return False
