"""The desk: what all views of the page have in common, and what each of them asks for."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from recovery.aio.roll_call import Roll
from recovery.flows.pace import Pace
from recovery.inspect.decoding import decode_stored
from recovery.inspect.explanation import Explanation, explain
from recovery.inspect.listing import Filter, Timing
from recovery.inspect.records import Owner, Session, SessionState
from recovery.inspect.rehearsal import Rehearsal, rehearse
from recovery.inspect.sources import Source
from recovery.inspect.traffic import DecodedEntry, Traffic, decode_entry, measure_traffic
from recovery.inspect.web.asking import Question
from recovery.inspect.web.handles import Handles
from recovery.inspect.web.keeping import Kept
from recovery.inspect.web.reported import Reported, reported_by
from recovery.inspect.web.surveys import Survey, Surveys, Wanted
from recovery.inspect.web.watching import Watch
from recovery.offsets import Offset
from recovery.records import Entry, Pid

__all__ = ["Desk", "Presented", "Trial"]

_MOST_READ_BYTES = 4 * 2**20  # of entries for one answer
_READ_AT_ONCE = 10  # entries of which nothing is known yet
_TRIAL_SECONDS = 0.5
_MOST_TRIED = 25
_MOST_OWNERS = 100


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client is taken to present besides its pid."""

    offset: str | None = None
    namespace: str | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What clients would get that are away, if they came back now.

    Attributes:
        outcomes: how often each outcome would come.
        tried: how many clients.
    """

    outcomes: Counter[str]
    tried: int


class Desk:
    """Asks one source, for all who look. May be used by several threads.

    Args:
        at_ms: the moment that all answers are of; None for the source's own.
        reveal: show pids whole.
        stream_name: for people.
        roll: asks the servers; None where there are none to be asked.
    """

    def __init__(
        self,
        source: Source,
        timing: Timing,
        *,
        reveal: bool = False,
        at_ms: int | None = None,
        stream_name: str = "",
        roll: Callable[[], Roll] | None = None,
    ) -> None:
        self.source = source
        self.timing = timing
        self.reveal = reveal
        self.stream_name = stream_name or timing.settings.stream_name
        self.surveys = Surveys(source, timing, self.now_ms)
        self.watch = Watch(source)
        self._handles = Handles(source)
        self._at_ms = at_ms
        self._traffic: Kept[list[Traffic]] = Kept(1, stands_still=self.stands_still)
        self._trials: Kept[Trial] = Kept(1, stands_still=self.stands_still)
        self._roll = roll
        self._reported: Kept[Reported] = Kept(1, stands_still=roll is None)

    @property
    def stands_still(self) -> bool:
        """Whether all answers stay as they are."""
        return not self.source.is_live

    def now_ms(self) -> int:
        """The moment that is asked about."""
        return self.source.now_ms() if self._at_ms is None else self._at_ms

    def survey(self, wanted: Wanted | None = None, *, until: int | None = None) -> Survey:
        """Look through sessions, for a turn; see `Surveys.get`."""
        return self.surveys.get(wanted or Wanted(), until=until)

    def page(self, question: Question, now_ms: int) -> tuple[Survey, list[Session]]:
        """The sessions of a page, as they are now; those that are gone are left out."""
        survey = self.survey(question.wanted, until=question.until)
        found = (self.source.session(pid) for pid in survey.page(question.page, question.size))
        sessions = [decode_stored(each, now_ms) for each in found if each is not None]
        self._handles.remember(sessions)
        return survey, sessions

    def find(self, name: str, now_ms: int) -> Session | None:
        """The session that an address or a person names; see `find_named`."""
        return self._handles.find(name, now_ms=now_ms)

    def rehearse(self, pid: str, presented: Presented, now_ms: int) -> Rehearsal:
        """What a client would get that came back now."""
        return rehearse(
            self.source,
            pid,
            presented.offset,
            namespace=presented.namespace,
            identity=presented.identity,
            settings=self.timing.settings,
            now_ms=now_ms,
        )

    def explain(self, rehearsal: Rehearsal, now_ms: int) -> Explanation:
        """The same in words."""
        return explain(rehearsal, now_ms)

    def traffic(self) -> Traffic | None:
        """The stream's measures; None without a stream."""
        found = self._traffic.get("traffic", self._measured)
        return found[0] if found else None

    def _measured(self) -> list[Traffic]:
        traffic = measure_traffic(self.source, self.timing, now_ms=self._at_ms)
        return [] if traffic is None else [traffic]

    def entries_after(self, after: Offset, count: int) -> list[DecodedEntry]:
        """Entries after an offset, ascending: so many at most, and fewer if they are large."""
        pace, found, size = Pace(_READ_AT_ONCE), list[Entry](), 0
        while len(found) < count and size < _MOST_READ_BYTES:
            batch = self.source.read(
                found[-1].offset if found else after, min(pace.count, count - len(found))
            )
            if not batch:
                break
            found += batch
            size += sum(entry.size() for entry in batch)
        return [decode_entry(entry) for entry in found]

    def newest_entries(self, before: Offset | None, count: int) -> list[DecodedEntry]:
        """Entries before an offset, or before the end, descending; bounded as `entries_after`."""
        state = self.source.stream()
        if state is None:
            return []
        upto, found, size = before or state.last, list[Entry](), 0
        while len(found) < count and size < _MOST_READ_BYTES:
            asked = min(_READ_AT_ONCE, count - len(found) + 1)
            batch = self.source.read_back(upto, asked)
            new = [entry for entry in batch if entry.offset != before and entry not in found[-1:]]
            found += new[: count - len(found)]
            size += sum(entry.size() for entry in new)
            if len(batch) < asked or not new:
                break
            upto = batch[-1].offset
        return [decode_entry(entry) for entry in found]

    def owners(self) -> tuple[Survey, list[Owner]]:
        """The servers that hold or last held sessions, or say that they run; those with the most first."""
        survey = self.survey()
        counted = survey.counted
        others = {server: Counter[SessionState]() for server in self.reported().servers}
        held = sorted((others | counted.owners).items(), key=lambda item: -item[1].total())
        return survey, [
            Owner(
                server,
                dict(states),
                max(counted.heard.get(server, 0), self.source.last_batch_ms(server) or 0) or None,
            )
            for server, states in held[:_MOST_OWNERS]
        ]

    def reported(self) -> Reported:
        """What the servers say of themselves."""
        return self._reported.get("reported", lambda: reported_by(self._roll))

    def trial(self) -> Trial:
        """Rehearse the return of some who are away."""
        return self._trials.get("trial", self._try)

    def _try(self) -> Trial:
        wanted = Wanted(Filter(states=frozenset({SessionState.AWAY})))
        pids: list[Pid] = self.survey(wanted, until=_MOST_TRIED).page(1, _MOST_TRIED)
        outcomes, began, now_ms = Counter[str](), time.monotonic(), self.now_ms()
        for pid in pids:
            outcomes[self.rehearse(pid, Presented(), now_ms).outcome] += 1
            if time.monotonic() - began > _TRIAL_SECONDS:
                break
        return Trial(outcomes, outcomes.total())
