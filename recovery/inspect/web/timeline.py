"""A session's time: its connections, gaps, rooms and packets, as far as the store knows them.

The store keeps what a recovery needs, not a history. So:

1. Of connections, the last one is known: when it opened (live) or closed, and when a client was last given
   the session. Whatever was before that is `SpanKind.UNCERTAIN`: connections, with gaps between them.
2. A packet is told by the rule of live delivery, with the rooms as they are kept. Up to the proven position
   the client has received it; after that it was sent to an open connection, or missed.
3. The stream is read backwards for a bounded number of entries. `Timeline.looked_back_to` says how far.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from recovery.core.audience import is_addressed
from recovery.core.control import Disconnection, Release, Takeover, read_control
from recovery.core.membership import Membership
from recovery.core.packets import Broadcast, StoredEntry
from recovery.entries import Kind, PayloadCodec
from recovery.errors import MalformedError
from recovery.inspect.records import Session, SessionState
from recovery.inspect.sources import Source
from recovery.inspect.traffic import newest_entries
from recovery.inspect.words import shown, shown_room
from recovery.offsets import Offset
from recovery.records import Entry

__all__ = ["Fate", "Mark", "Span", "SpanKind", "Timeline", "TimelinePacket", "timeline_of"]

_MOST_ENTRIES = 5000
_MOST_BYTES = 16 * 2**20
_MOST_MARKS = 500
_LAST_SEQ = 2**64 - 1


class SpanKind(StrEnum):
    """What a client was for a time."""

    CONNECTED = "connected"
    UNCERTAIN = "uncertain"
    """It had connections, and gaps between them that the store does not keep."""
    AWAY = "away"


class Fate(StrEnum):
    """What became of a packet that is addressed to a client."""

    RECEIVED = "received"
    """The client has proven that it has it."""
    SENT = "sent"
    """It went to an open connection; whether it arrived is not proven yet."""
    MISSED = "missed"
    """The client was away. It is sent when the session is recovered."""
    LOST = "lost"
    """The client was away, and never gets it: volatile, asking for an acknowledgement, or too late."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time that a client was connected or away."""

    kind: SpanKind
    begin_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment; stored text in `said` is safe to show."""

    at_ms: int
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class TimelinePacket:
    """A packet that is addressed to the client."""

    offset: Offset
    event: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is known of a session's time.

    Attributes:
        begin_ms: of what is told; `end_ms` is now, or when the session was over.
        marks: in order of time.
        packets: in order of the stream.
        looked_back_to: packets before this moment were not looked for; None if all were.
        note: what is not known, "" if nothing is missing.
    """

    begin_ms: int
    end_ms: int
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]
    packets: tuple[TimelinePacket, ...]
    looked_back_to: int | None
    note: str


def timeline_of(
    source: Source, session: Session, now_ms: int, *, membership: Membership | None = None
) -> Timeline:
    """Tell a session's time; reads the stream for what the session may have got of it.

    Args:
        membership: its rooms, with what changed while it was away (a rehearsal knows that); by default as
            they were saved.
    """
    if session.state is SessionState.UNREADABLE:
        return Timeline(now_ms, now_ms, (), (), (), None, "Nothing of it can be read.")
    spans = tuple(each for each in _spans(session, now_ms) if each.end_ms >= each.begin_ms)
    over = {SessionState.ENDED: session.since_ms, SessionState.EXPIRED: session.deadline_ms}
    end_ms = min(now_ms, over.get(session.state, now_ms))
    begin_ms = min([span.begin_ms for span in spans], default=end_ms)
    if membership is None and session.saved is not None:
        saved = session.saved
        membership = Membership(saved.sid, saved.start, saved.history, saved.settled)
    marks, note = list(_own_marks(session)), ""
    if membership is None:
        note = "Its rooms are not kept any more, so its packets cannot be told."
        found = _Found([], [], None)
    else:
        marks += _room_marks(membership)
        found = _search(source, session, membership, end_ms)
    marks = sorted([*marks, *found.marks], key=lambda mark: mark.at_ms)
    return Timeline(
        begin_ms, max(end_ms, begin_ms), spans, tuple(marks), tuple(found.packets), found.back_to, note
    )


def _spans(session: Session, now_ms: int) -> Iterator[Span]:
    start, since, granted = session.start.ms, session.since_ms, session.claimed_ms
    if session.state is SessionState.LIVE:
        if granted is not None:
            yield Span(SpanKind.UNCERTAIN, min(start or since, since), since)
        yield Span(SpanKind.CONNECTED, since, now_ms)
        return
    if granted is None and start:
        yield Span(SpanKind.CONNECTED, min(start, since), since)
    elif granted is not None and granted <= since:
        yield Span(SpanKind.UNCERTAIN, min(start or granted, granted), granted)
        yield Span(SpanKind.CONNECTED, granted, since)
    elif start:  # it is being given back right now
        yield Span(SpanKind.UNCERTAIN, min(start, since), since)
    if session.state is not SessionState.ENDED:
        yield Span(SpanKind.AWAY, since, max(since, min(now_ms, session.deadline_ms)))


def _own_marks(session: Session) -> Iterator[Mark]:
    if session.start.ms:
        yield Mark(session.start.ms, "began", f"The session sees what comes after {session.start}.")
    if session.proven > session.start:
        yield Mark(session.proven.ms, "proven", f"It has proven to have everything up to {session.proven}.")
    if session.claimed_ms is not None:
        yield Mark(
            session.claimed_ms, "granted", f"A client was given the session, by claim {session.number}."
        )
    words = {
        SessionState.LIVE: ("opened", "Its connection opened"),
        SessionState.CLOSING: ("closed", "Its connection closed; its disconnect handler may be running"),
        SessionState.AWAY: ("closed", "Its connection closed"),
        SessionState.EXPIRED: ("closed", "Its connection was last heard of"),
        SessionState.ENDED: ("ended", "Client or server disconnected"),
    }
    kind, said = words[session.state]
    yield Mark(session.since_ms, kind, f"{said}, says server {shown(session.holder)}.")
    if session.state is SessionState.EXPIRED:
        yield Mark(session.deadline_ms, "expired", "Its time was over.")


def _room_marks(membership: Membership) -> Iterator[Mark]:
    for room, changes in list(membership.changes().items())[:_MOST_MARKS]:
        for change in changes[-_MOST_MARKS:]:
            word = "entered" if change.entered else "left"
            yield Mark(change.offset.ms, word, f"It {word} the room {shown_room(room)} at {change.offset}.")


@dataclass(slots=True)
class _Found:
    packets: list[TimelinePacket]
    marks: list[Mark]
    back_to: int | None


def _search(source: Source, session: Session, membership: Membership, end_ms: int) -> _Found:
    """Look through the stream from the end backwards."""
    codec, found = PayloadCodec(), _Found([], [], None)
    count, size = 0, 0
    for entry in newest_entries(source, session.start, Offset(end_ms, _LAST_SEQ), _MOST_ENTRIES):
        count, size = count + 1, size + entry.size()
        told = _told(entry, session, membership, codec)
        if isinstance(told, TimelinePacket):
            found.packets.append(told)
        elif told is not None:
            found.marks.append(told)
        if size > _MOST_BYTES or count == _MOST_ENTRIES:
            found.back_to = entry.offset.ms
            break
    found.packets.reverse()
    return found


def _told(
    entry: Entry, session: Session, membership: Membership, codec: PayloadCodec
) -> TimelinePacket | Mark | None:
    """What an entry is to the client; None if it is nothing to it."""
    try:
        stored: StoredEntry[object] = StoredEntry.read(entry)
        head = stored.head
        if head is None or head.namespace != session.namespace:
            return None
        if head.kind is not Kind.BROADCAST:
            return _told_by_control(stored, membership, codec)
        if head.rooms and not any(membership.contains(room, entry.offset) for room in head.rooms):
            return None
        event = stored.broadcast(codec)
    except MalformedError:
        return None
    if not is_addressed(event.audience, membership, entry.offset):
        return None
    return TimelinePacket(entry.offset, shown(str(event.args[0]), 60), _fate(entry.offset, event, session))


def _told_by_control(stored: StoredEntry[object], membership: Membership, codec: PayloadCodec) -> Mark | None:
    assert stored.head is not None, "the caller has looked"
    if stored.head.kind not in {Kind.TAKEOVER, Kind.RELEASED, Kind.DISCONNECT}:
        return None
    control, at = read_control(stored, codec), stored.offset
    if isinstance(control, Takeover) and control.sid == membership.sid:
        return Mark(
            at.ms,
            "taken over",
            f"Server {shown(control.claimer)} took it over from {shown(control.holder)} at {at},"
            f" by claim {control.number}.",
        )
    if isinstance(control, Release) and control.sid == membership.sid:
        return Mark(at.ms, "released", f"The old connection's disconnect handler had finished by {at}.")
    if isinstance(control, Disconnection) and is_addressed(control.audience, membership, at):
        return Mark(at.ms, "disconnected", f"A server disconnected it at {at}.")
    return None


def _fate(offset: Offset, event: Broadcast, session: Session) -> Fate:
    if offset <= session.proven:
        return Fate.RECEIVED
    if session.state is SessionState.LIVE or offset.ms <= session.since_ms:
        return Fate.SENT
    in_time = session.state is not SessionState.EXPIRED
    return Fate.MISSED if in_time and event.recoverable else Fate.LOST
