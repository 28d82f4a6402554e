"""Writes down the history of a simulated cluster: what the checker needs, and nothing that it may not trust.

Where a packet stands in the stream is known from the store. When a change of rooms took effect is known only
to lie between two offsets: after all that the server had read or seen confirmed when it was called, and
before the end of the stream when it returned.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from adapter.frames import codec_of
from recovery.commands import Append, Appended
from recovery.core.packets import StoredEntry
from recovery.entries import Kind
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.reasons import Reason
from recovery.records import Audience, Entry, Recovery, Room, Sid
from recovery.testing.clients import SimulatedClient
from recovery.testing.endings import EndEntries
from recovery.testing.history import (
    Accepted,
    Dropped,
    Emitted,
    Ended,
    History,
    MembershipChanged,
    Received,
    WritesLost,
)
from recovery.testing.replicas import Undone, changes_in_doubt

__all__ = ["Attempt", "Recorder", "Where"]

_NAME = re.compile(rb'"(packet-[0-9]+)"')


class Where(Protocol):
    """A server, as far as it is of interest here."""

    name: str

    @property
    def position(self) -> Offset:
        """All up to here was read by it, or confirmed to it."""
        ...

    @property
    def has_read(self) -> Offset:
        """All up to here was read by it."""
        ...

    @property
    def knows_of_a_loss(self) -> bool:
        """It knows of lost writes that nobody was told of."""
        ...

    def outcome_of(self, sid: str) -> Recovery | None:
        """What it said of a connection to its application."""
        ...


@dataclass(slots=True)
class Attempt:
    """One CONNECT, and what came of it.

    Attributes:
        pid: what was presented; "" for nothing.
        offset: as `pid`.
        after: the server had read up to here.
        asked_at: time of the CONNECT.
        answered_at: time of its acceptance; None if it was not.
        left_at: when the client left the connection that it had before; None if it had none.
        reason: why it was not recovered.
        ended_at: when somebody had last tried to end the session; None if nobody had.
        knew: the server knew of lost writes that nobody had been told of.
    """

    client: str
    server: str
    pid: str
    offset: str
    after: Offset
    asked_at: float
    answered_at: float | None = None
    left_at: float | None = None
    recovered: bool = False
    reason: Reason | None = None
    ended_at: float | None = None
    knew: bool = False


@dataclass(slots=True)
class _Session:
    """What a client has from a connect that was not recovered on."""

    client: str
    heard: Offset = ORIGIN
    ended_at: float | None = None


class _Closing:
    """A room is being closed: whoever enters meanwhile may be taken out as well."""

    def __init__(self, recorder: "Recorder", room: Room, after: Offset) -> None:
        self._recorder = recorder
        self._room = room
        self._after = after
        self._places: list[int] = []
        self.by: Offset | None = None

    def concern(self, sid: str) -> None:
        history = self._recorder.history
        self._places.append(len(history.events))
        name = self._recorder.name_of(sid)
        history.add(
            MembershipChanged(name, self._room, entered=False, after=self._after, by=self.by, sid=sid)
        )

    def end(self) -> None:
        events, self.by = self._recorder.history.events, self._recorder.end
        for place in self._places:
            change = events[place]
            assert isinstance(change, MembershipChanged), "nothing is removed from a history"
            events[place] = replace(change, by=self.by)


class Recorder:
    """Writes a `History`, and notes what is to be judged besides.

    Attributes:
        history: what happened.
        attempts: every CONNECT.
        wrong: what cannot be right, in words.
    """

    def __init__(self, clock: Callable[[], float], end: Callable[[], Offset]) -> None:
        self.history = History()
        self.attempts: list[Attempt] = []
        self.wrong: list[str] = []
        self._end = end
        self._latest = ORIGIN
        self._clock = clock
        self._codec = codec_of(None, json)
        self._packets: dict[str, int] = {}
        self._numbers: defaultdict[str, int] = defaultdict(int)
        self._sessions: dict[str, _Session] = {}  # by client
        self._by_sid: dict[str, _Session] = {}
        self._entered: defaultdict[Room, dict[str, None]] = defaultdict(dict)
        self._closings: defaultdict[Room, list[_Closing]] = defaultdict(list)
        self._places: dict[int, Where] = {}
        self._open: dict[int, Attempt] = {}
        self._accepted: set[int] = set()
        self._left_at: dict[str, float] = {}
        self._ends = EndEntries()
        self._untold: list[int] = []  # places of losses

    @property
    def end(self) -> Offset:
        """The last offset that the stream ever had."""
        self._latest = max(self._latest, self._end())
        return self._latest

    # Packets -------------------------------------------------------------------------------------------

    def emit_begins(self, producer: str, audience: Audience, *, volatile: bool) -> str:
        """A packet is being emitted; returns its name."""
        name = f"packet-{len(self._packets) + 1}"
        self._numbers[producer] += 1
        self._packets[name] = len(self.history.events)
        self.history.add(
            Emitted(
                name,
                producer,
                self._numbers[producer],
                audience=audience,
                stored=None,
                recoverable=not volatile,
            )
        )
        return name

    def emit_ends(self, name: str, *, stored: bool | None) -> None:
        """The emit returned, or raised."""
        self._amend(name, stored=stored)

    def offset_of(self, name: str) -> Offset:
        """Where a packet stands in the stream; `ORIGIN` if it is not there."""
        emitted = self.history.events[self._packets[name]]
        assert isinstance(emitted, Emitted), "nothing is removed from a history"
        return emitted.offset or ORIGIN

    def appended(self, server: Where, command: Append, reply: Appended) -> None:
        """The store has appended entries."""
        for draft, offset in zip(command.drafts, reply.offsets, strict=True):
            fields = dict(draft.fields)
            match = _NAME.search(fields.get(b"data", b""))
            name = match[1].decode() if match else ""
            if name in self._packets:
                self._amend(name, offset=offset, earlier=self._earlier(name))
            else:
                self._note_entry(server, Entry(offset, fields))

    def _earlier(self, name: str) -> frozenset[Offset]:
        """Places of a packet that the store lost, before it is appended once more."""
        emitted = self.history.events[self._packets[name]]
        assert isinstance(emitted, Emitted), "nothing is removed from a history"
        losses = [event for event in self.history.events if isinstance(event, WritesLost)]
        place = emitted.offset
        if place is None or not any(loss.after < place <= (loss.upto or place) for loss in losses):
            return emitted.earlier
        return emitted.earlier | {place}

    def _note_entry(self, server: Where, entry: Entry) -> None:
        """An entry that `emit_begins` knows nothing of: an application's own packet, or no packet."""
        stored: StoredEntry[Any] = StoredEntry.read(entry)
        if stored.head is not None and stored.head.kind is Kind.DISCONNECT:
            self._ends.note(entry.offset, stored.head.rooms or ())
        if stored.head is None or stored.head.kind is not Kind.BROADCAST:
            return
        event = stored.broadcast(self._codec)
        self._numbers[server.name] += 1
        self.history.add(
            Emitted(
                f"{event.args[0]}@{entry.offset}",
                f"{server.name}'s application",
                self._numbers[server.name],
                audience=event.audience,
                offset=entry.offset,
                recoverable=event.recoverable,
            )
        )

    def _amend(self, name: str, **changes: Any) -> None:
        index = self._packets[name]
        emitted = self.history.events[index]
        assert isinstance(emitted, Emitted), "nothing is removed from a history"
        self.history.events[index] = replace(emitted, **changes)

    # Clients (`recovery.testing.clients.Observer`) -----------------------------------------------------

    def dials(self, connection: int, server: Where) -> None:
        """A client is about to connect to a server."""
        self._places[connection] = server

    def asks(self, client: SimulatedClient, connection: int) -> None:
        """A client sent CONNECT."""
        server = self._places[connection]
        attempt = Attempt(client.name, server.name, client.pid, client.offset, server.position, self._clock())
        attempt.left_at = self._left_at.get(client.name)
        attempt.knew = server.knows_of_a_loss
        self._open[connection] = attempt
        self.attempts.append(attempt)

    def accepted(self, client: SimulatedClient, connection: int, *, recovered: bool) -> None:
        """A client got CONNECT."""
        attempt, server = self._open[connection], self._places[connection]
        outcome = server.outcome_of(client.sid)
        attempt.answered_at, attempt.recovered = self._clock(), recovered
        attempt.reason = None if outcome is None else outcome.reason
        session = self._sessions.get(client.name)
        self._accepted.add(connection)
        attempt.ended_at = None if session is None else session.ended_at
        if not recovered:
            session = self._sessions[client.name] = self._by_sid[client.sid] = _Session(client.name)
        self._ends.accepted(client.sid, client.pid, server)
        ended_at = attempt.ended_at  # or the end came while this CONNECT was being answered
        came_before_the_end = recovered and ended_at is not None and attempt.asked_at <= ended_at
        self.history.add(
            Accepted(
                client.name,
                connection,
                client.sid,
                recovered=recovered,
                reason=attempt.reason,
                after=ORIGIN if came_before_the_end else attempt.after,
                by=self.end,
            )
        )

    def received(
        self, client: SimulatedClient, connection: int, args: list[Any], offset: str | None, *, heard: bool
    ) -> None:
        """An event was written to a client; a connection of which it never got CONNECT counts for nothing."""
        if not heard and connection not in self._accepted:
            return
        place = _offset_or_none(offset)
        name = args[1] if len(args) > 1 and str(args[1]) in self._packets else f"{args[0]}@{place}"
        if place is None and offset is not None:
            self.wrong.append(f"{client.name} got {args} with {offset!r} in place of an offset")
        if heard and place is not None:
            self._sessions[client.name].heard = place
        self.history.add(Received(client.name, connection, name, place, heard=heard))

    def left(self, client: SimulatedClient, connection: int) -> None:
        """A client has no connection any more."""
        self._open.pop(connection, None)
        if client.connected:
            self._left_at[client.name] = self._clock()
        self.history.add(Dropped(client.name, connection))

    # Rooms and endings ---------------------------------------------------------------------------------

    @contextmanager
    def room_change(self, server: Where, sid: str, room: Room, *, entered: bool) -> Generator[None]:
        """A client is put into a room, or taken out, while the block runs."""
        change = MembershipChanged(self.name_of(sid), room, entered, after=server.position, by=None, sid=sid)
        index = len(self.history.events)
        self.history.add(change)
        self._entered[room][sid] = None
        for closing in self._closings[room]:
            if closing.by is None or closing.by > change.after:  # this server may not have read it yet
                closing.concern(sid)
        yield  # an exception leaves it uncertain
        self.history.events[index] = replace(change, by=self.end)

    @contextmanager
    def room_closing(self, room: Room) -> Generator[None]:
        """Everybody is taken out of a room while the block runs: by an entry of the stream."""
        closing = _Closing(self, room, self.end)
        for sid in self._entered[room]:
            closing.concern(sid)
        self._closings[room].append(closing)
        yield
        closing.end()

    @contextmanager
    def ending(self, sid: str, *, certain: bool) -> Generator[None]:
        """A session is ended while the block runs, at the latest if that is `certain`."""
        session = self._by_sid.get(sid)
        if session is None:
            yield
            return
        session.ended_at = self._clock()
        ended = Ended(session.client, session.heard, sid=Sid(sid))
        index = len(self.history.events)
        self.history.add(ended)
        yield
        session.ended_at = self._clock()
        self.history.events[index] = replace(ended, by=self.end if certain else None)

    def leaves_for_good(self, client: SimulatedClient) -> None:
        """A client sends DISCONNECT, which may be lost."""
        session = self._sessions[client.name]
        session.ended_at = self._clock()
        self.history.add(Ended(client.name, session.heard, sid=Sid(client.sid)))

    def store_lost(self, after: Offset, upto: Offset, undone: Undone | None = None) -> None:
        """The store lost what stood between two offsets, and perhaps more of the sessions."""
        self._latest = max(self._latest, upto)
        undone = undone or Undone()
        self._lose_words(after, upto)
        self._untold.append(len(self.history.events))
        ends, unheard = self._ends.lose(after, undone)
        lost = WritesLost(after, upto, told=None, ends=ends, unheard=unheard, moves=undone.moves)
        self.history.add(lost)
        self.history.events += changes_in_doubt(self.history.events, after, undone.ends)
        for change in undone.changes:
            name = self.name_of(change.sid)
            self.history.add(
                MembershipChanged(name, change.room, change.entered, after=after, by=None, sid=change.sid)
            )

    def _lose_words(self, after: Offset, upto: Offset) -> None:
        """Whoever was told of an earlier loss by an entry after an offset has been, and nobody will be."""
        for index, event in enumerate(self.history.events):
            if isinstance(event, WritesLost) and event.until is None and event.told and event.told > after:
                self.history.events[index] = replace(event, until=upto)

    def loss_told(self, place: Offset) -> None:
        """The stream has a new epoch, by which everybody is told what was lost."""
        for index in self._untold:
            loss = self.history.events[index]
            assert isinstance(loss, WritesLost), "nothing is removed from a history"
            self.history.events[index] = replace(loss, told=place)
        self._untold.clear()

    def name_of(self, sid: str) -> str:
        """The client that has a session, or had it; "" if it has not been accepted yet."""
        session = self._by_sid.get(sid)
        return session.client if session is not None else ""

    def finish(self, settled: Iterable[str]) -> None:
        """Nothing more happens: to these clients nothing may be missing."""
        self.history.settled = set(settled)


def _offset_or_none(text: str | None) -> Offset | None:
    try:
        return None if text is None else parse_offset(text)
    except ValueError:
        return None
