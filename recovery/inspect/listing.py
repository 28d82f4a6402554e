"""Listing: sessions by what an operator asks for, and the servers that hold them."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from recovery.errors import MalformedError
from recovery.inspect.decoding import decode_stored
from recovery.inspect.records import Owner, Session, SessionState
from recovery.inspect.sources import Source
from recovery.records import Pid, Room, ServerId
from recovery.settings import Settings

__all__ = [
    "Filter",
    "SortKey",
    "Timing",
    "find_session",
    "find_sessions",
    "first_sorted",
    "list_owners",
    "owner_of",
]

_SHOWN_OF_A_PID = 6


class SortKey(StrEnum):
    """What sessions are sorted by."""

    AGE = "age"
    """The shortest time in their state first."""
    DEADLINE = "deadline"
    """The one that expires first comes first."""
    SIZE = "size"
    """The largest first."""
    SID = "sid"
    """In the order of the alphabet."""

    def order(self, session: Session) -> tuple[int, str, str]:
        """What to compare sessions by; no two are alike."""
        numbers = {
            SortKey.AGE: -session.since_ms,
            SortKey.DEADLINE: session.deadline_ms,
            SortKey.SIZE: -(session.size or 0),
        }
        return numbers.get(self, 0), session.sid or "", session.pid


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions; a field that is None, or empty, leaves all in.

    Attributes:
        room: sessions that were in it when they were saved.
        owner: the beginning of the id of the server that holds or last held them.
        states: any of these.
        older_ms: in their state for at least so long.
        younger_ms: in their state for so long at most.
        text: in the sid or a room, or at the beginning of the holder's id; or the whole pid, or no more than
            its first 6 characters: who may not see a pid must not be able to guess it bit by bit.

    >>> Filter(namespace="/chat", states=frozenset({SessionState.AWAY})).room is None
    True
    """

    namespace: str | None = None
    room: Room | None = None
    owner: str | None = None
    states: frozenset[SessionState] = frozenset()
    older_ms: int | None = None
    younger_ms: int | None = None
    text: str | None = None

    def accepts(self, session: Session, now_ms: int) -> bool:
        """Tell whether a session is one of these."""
        age = now_ms - session.since_ms
        return (
            self.namespace in {None, session.namespace}
            and (self.owner is None or session.holder.startswith(self.owner))
            and (not self.states or session.state in self.states)
            and (self.room is None or _is_in(session, self.room))
            and (self.older_ms is None or age >= self.older_ms)
            and (self.younger_ms is None or age <= self.younger_ms)
            and (not self.text or _mentions(session, self.text))
        )


def find_sessions(
    source: Source, wanted: Filter | None = None, *, now_ms: int | None = None
) -> Iterator[Session]:
    """Sessions of a source that a filter accepts, one after the other, in no order.

    Args:
        now_ms: the moment that states and ages are of; the source's own by default.

    Example::

        for session in find_sessions(source, Filter(room="lobby")):
            print(session.sid, session.state)
    """
    now_ms = source.now_ms() if now_ms is None else now_ms
    for stored in source.sessions():
        session = decode_stored(stored, now_ms)
        if wanted is None or wanted.accepts(session, now_ms):
            yield session


def first_sorted(sessions: Iterable[Session], key: SortKey, count: int) -> list[Session]:
    """The first sessions by an order; memory for `count` of them."""
    return heapq.nsmallest(count, sessions, key=key.order)


def find_session(source: Source, name: str, *, now_ms: int | None = None) -> Session | None:
    """Find the one session with this sid, this pid, or a pid that begins so.

    Raises:
        MalformedError: several pids begin so.

    Example::

        session = find_session(source, "GXdLUB")
    """
    now_ms = source.now_ms() if now_ms is None else now_ms
    whole = source.session(Pid(name))
    if whole is not None:
        return decode_stored(whole, now_ms)
    found: list[Session] = []
    for stored in source.sessions(name):
        found.append(decode_stored(stored, now_ms))
        if len(found) > 1:
            raise MalformedError(
                f"several sessions have a pid that begins with {name[:_SHOWN_OF_A_PID]}: say more of it"
            )
    if found:
        return found[0]
    return next((each for each in find_sessions(source, now_ms=now_ms) if each.sid == name), None)


@dataclass(frozen=True, slots=True)
class Timing:
    """What the servers are set to, as far as it tells when they wrote last.

    Attributes:
        ping_interval: seconds, of the servers' Engine.IO; so is `ping_timeout`.

    >>> Timing(Settings(max_disconnection_duration=60.0)).retention_ms
    120000
    """

    settings: Settings = field(default_factory=Settings)
    ping_interval: float = 25.0
    ping_timeout: float = 20.0

    @property
    def retention_ms(self) -> int:
        """How long entries are kept."""
        return self.settings.retention_ms(self.ping_interval, self.ping_timeout)

    @property
    def session_ms(self) -> int:
        """How long the session of a connected client lives after it was written."""
        return self.settings.session_ms(self.ping_interval, self.ping_timeout)

    def written_ms(self, session: Session, now_ms: int) -> int | None:
        """When the holder of a connected client last wrote its session; None for others.

        Such a session is written at every fourth checkpoint at least, and expires by `session_ms` later.
        None, too, if that would be in the future: then these are not the servers' settings.
        """
        written = session.deadline_ms - self.session_ms
        return written if session.state is SessionState.LIVE and written <= now_ms else None


def list_owners(source: Source, timing: Timing | None = None) -> list[Owner]:
    """The servers that hold or last held sessions, by id.

    Example::

        for owner in list_owners(source):
            print(owner.server, owner.sessions, owner.heard_ms)
    """
    timing, now_ms = timing or Timing(), source.now_ms()
    counts: dict[ServerId, Counter[SessionState]] = {}
    heard: dict[ServerId, int] = {}
    for session in find_sessions(source, now_ms=now_ms):
        counts.setdefault(session.holder, Counter())[session.state] += 1
        heard[session.holder] = max(heard.get(session.holder, 0), timing.written_ms(session, now_ms) or 0)
    return [_owner(source, server, counts[server], heard[server]) for server in sorted(counts) if server]


def owner_of(source: Source, session: Session, timing: Timing, now_ms: int) -> Owner:
    """The server that holds a session, as far as this one and its emits tell of it."""
    written = timing.written_ms(session, now_ms)
    return _owner(source, session.holder, {session.state: 1}, written or 0)


def _owner(source: Source, server: ServerId, sessions: dict[SessionState, int], heard: int) -> Owner:
    heard = max(heard, source.last_batch_ms(server) or 0)
    return Owner(server, dict(sessions), heard or None)


def _mentions(session: Session, text: str) -> bool:
    folded = text.casefold()
    return (
        session.pid == text
        or (len(text) <= _SHOWN_OF_A_PID and session.pid.startswith(text))
        or session.holder.startswith(text)
        or any(folded in str(each).casefold() for each in (session.sid or "", *session.rooms))
    )


def _is_in(session: Session, room: Room) -> bool:
    return any(each == room or str(each) == room for each in session.rooms)
