"""Surveys: all sessions looked through piece by piece, so that the first are shown at once.

1. A survey goes on only while somebody asks, and for a bounded time each time.
2. It keeps pids, not sessions: a list of 100 000 has some 20 MB. Who shows a page reads those sessions anew,
   so that what is shown is true now, whenever the survey was made.
3. A survey of a live source that is complete is made anew after a while, and stands until the new one is
   complete, too.
"""

import heapq
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from recovery.inspect.decoding import decode_stored
from recovery.inspect.listing import Filter, SortKey, Timing
from recovery.inspect.records import Session, SessionState, StoredSession
from recovery.inspect.sources import Source
from recovery.inspect.web.keeping import PATIENCE
from recovery.records import Pid, ServerId

__all__ = ["MOST_LISTED", "Survey", "Surveys", "Wanted"]

MOST_LISTED = 100_000
"""Sessions that a survey lists. It counts all, and where it sorts, these are the first ones."""

_MOST_KEPT = 4  # surveys; each is as large as `MOST_LISTED` pids
_MOST_OWNERS = 1000  # servers told apart; whoever writes into the store may make up as many as it likes
_A_TURN = 0.6  # seconds that one question may make a survey go on
_LEAST_AGE = 2.0  # seconds
_A_DAY_MS = 86_400_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a survey is of."""

    filter: Filter = field(default_factory=Filter)
    sort: SortKey | None = None


@dataclass(slots=True)
class Counted:
    """What a survey has counted among the sessions that its filter accepts.

    Attributes:
        found: how many.
        states: how many in each state.
        owners: how many of each holder in each state.
        heard: when a holder certainly ran last, as far as its sessions tell.
        granted: how often sessions were given back in all, as far as claims tell.
        returns: in which minute since 1970 sessions were last given back, of the last day.
    """

    found: int = 0
    states: Counter[SessionState] = field(default_factory=Counter[SessionState])
    owners: dict[ServerId, Counter[SessionState]] = field(
        default_factory=dict[ServerId, Counter[SessionState]]
    )
    heard: dict[ServerId, int] = field(default_factory=dict[ServerId, int])
    granted: int = 0
    returns: Counter[int] = field(default_factory=Counter[int])

    def add(self, session: Session, timing: Timing, now_ms: int) -> None:
        """Take another session into account."""
        self.found += 1
        self.states[session.state] += 1
        if session.claimed_ms is not None:
            self.granted += max(0, session.number - 1)
            if 0 <= now_ms - session.claimed_ms < _A_DAY_MS:
                self.returns[session.claimed_ms // _MINUTE_MS] += 1
        if session.holder and (session.holder in self.owners or len(self.owners) < _MOST_OWNERS):
            self.owners.setdefault(session.holder, Counter())[session.state] += 1
            written = timing.written_ms(session, now_ms)
            if written is not None:
                self.heard[session.holder] = max(self.heard.get(session.holder, 0), written)


class Survey:
    """One look through all sessions.

    Attributes:
        complete: whether all were looked at.
        looked_at: how many were, accepted or not.
        counted: what was found so far.
        took: seconds that it has worked so far.
    """

    def __init__(
        self, source: Source, wanted: Wanted, timing: Timing, now_ms: int, most: int = MOST_LISTED
    ) -> None:
        self.complete = False
        self.looked_at = 0
        self.counted = Counted()
        self.took = 0.0
        self._now_ms = now_ms
        self._timing = timing
        self._sort = wanted.sort
        self._most = most
        self._filter = wanted.filter
        self._stored: Iterator[StoredSession] = source.sessions()
        self._pids: list[Pid] = []
        self._ordered: list[tuple[tuple[int, str, str], Pid]] = []
        self._lock = threading.Lock()

    def go_on(self, seconds: float, *, until: int | None = None) -> None:
        """Look at others, for so long at most, or until so many are listed.

        Whoever has enough already looks on for the whole time, and so does who sorts: for the count.

        Raises:
            StoreError: the source does not answer; the survey cannot go on.
        """
        with self._lock:
            began = time.monotonic()
            in_need = until is not None and self._sort is None and len(self._pids) < until
            enough = until if in_need else None
            while not self.complete and time.monotonic() - began < seconds:
                if enough is not None and len(self._pids) >= enough:
                    break
                self._look()
            self.took += time.monotonic() - began

    def _look(self) -> None:
        stored = next(self._stored, None)
        if stored is None:
            self.complete = True
            return
        self.looked_at += 1
        session = decode_stored(stored, self._now_ms)
        if not self._filter.accepts(session, self._now_ms):
            return
        self.counted.add(session, self._timing, self._now_ms)
        if self._sort is None:
            if len(self._pids) < self._most:
                self._pids.append(session.pid)
            return
        self._ordered.append((self._sort.order(session), session.pid))
        if len(self._ordered) >= 2 * self._most:
            self._ordered = heapq.nsmallest(self._most, self._ordered)

    def page(self, number: int, size: int) -> list[Pid]:
        """The pids of a page, of those found so far; the first page is 1."""
        with self._lock:
            if self._sort is not None:
                self._ordered.sort()
                self._pids = [pid for _, pid in self._ordered[: self._most]]
                del self._ordered[self._most :]
            return self._pids[(number - 1) * size : number * size]

    @property
    def listed(self) -> int:
        """How many pages can show."""
        return min(self.counted.found, self._most)


@dataclass(slots=True)
class _Slot:
    shown: Survey
    made: float
    next: Survey | None = None


class Surveys:
    """The surveys that were asked for last.

    Args:
        now_ms: the moment that a new one is of.
    """

    def __init__(
        self,
        source: Source,
        timing: Timing,
        now_ms: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._timing = timing
        self._now_ms = now_ms
        self._clock = clock
        self._slots: OrderedDict[Wanted, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, wanted: Wanted, *, until: int | None = None, seconds: float = _A_TURN) -> Survey:
        """The survey of what is wanted, after it has gone on for a turn.

        Args:
            until: how many of the list are needed now.

        Raises:
            StoreError: the source does not answer.
        """
        slot = self._slot(wanted)
        try:
            if not slot.shown.complete:
                slot.shown.go_on(seconds, until=until)
                slot.made = self._clock()
            elif self._source.is_live:
                self._renew(wanted, slot, seconds)
        except Exception:
            with self._lock:
                self._slots.pop(wanted, None)  # its iterator has ended in the middle
            raise
        return slot.shown

    def _renew(self, wanted: Wanted, slot: _Slot, seconds: float) -> None:
        following = slot.next
        if following is None:
            if self._clock() - slot.made < max(_LEAST_AGE, PATIENCE * slot.shown.took):
                return
            following = slot.next = self._new(wanted)
        following.go_on(seconds)
        if following.complete:
            slot.shown, slot.made, slot.next = following, self._clock(), None

    def _slot(self, wanted: Wanted) -> _Slot:
        with self._lock:
            slot = self._slots.get(wanted)
            if slot is None:
                slot = self._slots[wanted] = _Slot(self._new(wanted), self._clock())
            self._slots.move_to_end(wanted)
            while len(self._slots) > _MOST_KEPT:
                self._slots.popitem(last=False)
            return slot

    def _new(self, wanted: Wanted) -> Survey:
        return Survey(self._source, wanted, self._timing, self._now_ms())
