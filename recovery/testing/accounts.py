"""A history put in order for the checker: packets with their places, sessions with what reached them.

1. A packet whose offset is not in the history stands where a client received it. Where nobody did, it stands
   somewhere between its neighbours of the same producer.
2. A packet that is not recoverable and has no offset (an `ignore_queue` one, or one with a callback) has no
   place: it carries the position of whoever sent it.
3. A session is found by its sid, so that one which another client recovers stays one session.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Namespace, Room
from recovery.testing.history import (
    Accepted,
    Dropped,
    Emitted,
    Ended,
    Event,
    History,
    MembershipChanged,
    Received,
    WritesLost,
)
from recovery.testing.membership import LATEST, RoomTimeline, Truth

__all__ = ["Accounts", "Connection", "Packet", "Session", "read_accounts"]

_Client: TypeAlias = tuple[Namespace, str]


@dataclass(slots=True)
class Packet:
    """A packet that was emitted.

    Attributes:
        index: of its record in the history.
        offset: its place, where that is known exactly.
        first, last: it stands somewhere between, both included; one offset if that is known.
        stored: it is in the stream: its emit returned, or somebody received it.
        lost: how the store lost it; None if it kept it.
    """

    emitted: Emitted
    index: int
    offset: Offset | None
    first: Offset = ORIGIN
    last: Offset = LATEST
    stored: bool = True
    lost: "Loss | None" = None

    @property
    def has_place(self) -> bool:
        """False for packets beside the stream."""
        return self.emitted.recoverable or self.emitted.offset is not None

    def at(self, offset: Offset | None) -> "Packet":
        """Return the packet as who received it there knew it: at an earlier place, if it had one there."""
        if offset is None or offset not in self.emitted.earlier:
            return self
        return replace(self, offset=offset, first=offset, last=offset)


@dataclass(frozen=True, slots=True)
class Loss:
    """Writes that the store lost.

    Attributes:
        index: of its record in the history.
    """

    event: WritesLost
    index: int

    def concerns(self, packet: Packet) -> bool:
        """Tell whether a packet was among them."""
        upto = LATEST if self.event.upto is None else self.event.upto
        return packet.index < self.index and self.event.after < packet.first <= upto

    def is_told_to(self, session: "Session", place: Offset) -> bool:
        """Tell whether a session is over at a place, because it began in an epoch that was over by then."""
        told = self.event.told
        return told is not None and ORIGIN < session.first.by < told and self.is_told(place)

    def is_told(self, place: Offset) -> bool:
        """Tell whether everybody has been told of it, at a place, and the store has kept the word."""
        told, until = self.event.told, self.event.until
        return told is not None and told < place and (until is None or place <= until)


@dataclass(slots=True)
class Connection:
    """One connection of a session.

    Attributes:
        number: its place among the connections of the session, from 0.
        written: names of the packets that were written to it.
        highest: the highest offset that was written to it.
    """

    accepted: Accepted
    number: int
    written: set[str] = field(default_factory=set[str])
    highest: Offset = ORIGIN


@dataclass(slots=True)
class Session:
    """One session.

    Attributes:
        index: of the event with which it began.
        receipts: what was written to it, in order, with the connection.
        changes: of its rooms, in order.
        begun_by: it began here at the latest.
        ended: how it was ended on purpose, if it was.
        undone: how the store lost that, if it did.
        undone_from: number of the first connection that may be later than that.
        forgotten: numbers of the connections of which the store forgot that they had the session.
        strays: connections that were recovered although it had ended, or under a sid that nobody had.
    """

    index: int
    connections: list[Connection]
    receipts: list[tuple[Received, Connection]] = field(default_factory=list[tuple[Received, Connection]])
    changes: list[MembershipChanged] = field(default_factory=list[MembershipChanged])
    begun_by: Offset = ORIGIN
    ended: Ended | None = None
    undone: Loss | None = None
    undone_from: int = 0
    forgotten: set[int] = field(default_factory=set[int])
    strays: list[Connection] = field(default_factory=list[Connection])
    _rooms: dict[Room, RoomTimeline] | None = None

    @property
    def first(self) -> Accepted:
        """The connection with which it began."""
        return self.connections[0].accepted

    @property
    def client(self) -> str:
        """Who has it, or had it last."""
        return self.connections[-1].accepted.client

    def is_over(self, place: Offset, connection: Connection) -> bool:
        """Tell whether it had been ended on purpose, for certain, when a connection of it was at a place."""
        if self.ended is None or self.ended.by is None or place < self.ended.by:
            return False
        if self.undone is None or connection.number < self.undone_from:
            return True
        return self.undone.is_told(place)

    def newer(self, connection: Connection) -> Connection | None:
        """The connection to which the session went from this one."""
        following = connection.number + 1
        return self.connections[following] if following < len(self.connections) else None

    def addressed(self, packet: Packet) -> Truth:
        """Tell whether a packet is for this session, which may not have begun or may be over there."""
        emitted = packet.emitted
        if emitted.clients is not None:
            return Truth.YES if self.first.client in emitted.clients else Truth.NO
        audience: Audience = emitted.audience
        inside = Truth.YES if not audience.rooms else self._in_any(audience.rooms, packet)
        return min(inside, self._in_any(audience.excluded, packet).opposite)

    def _in_any(self, rooms: Iterable[Room], packet: Packet) -> Truth:
        return max((self._in(room, packet) for room in rooms), default=Truth.NO)

    def _in(self, room: Room, packet: Packet) -> Truth:
        if room == self.first.sid:
            return Truth.YES
        if self._rooms is None:
            changes: defaultdict[Room, list[MembershipChanged]] = defaultdict(list)
            for change in self.changes:
                changes[change.room].append(change)
            self._rooms = {changed: RoomTimeline(found) for changed, found in changes.items()}
        timeline = self._rooms.get(room)
        return Truth.NO if timeline is None else timeline.contains(packet.first, packet.last)


@dataclass(slots=True)
class Accounts:
    """A history in order.

    Attributes:
        packets: by name.
        sessions: in the order in which they began.
        last: the latest session of each client in each namespace.
        homeless: what was written to connections that were never accepted.
        losses: of the store, in order.
    """

    packets: dict[str, Packet] = field(default_factory=dict[str, Packet])
    sessions: list[Session] = field(default_factory=list[Session])
    last: dict[_Client, Session] = field(default_factory=dict[_Client, Session])
    homeless: list[Received] = field(default_factory=list[Received])
    losses: list[Loss] = field(default_factory=list[Loss])

    def in_namespaces(self) -> Iterator[tuple[Namespace, list[Packet]]]:
        """The recoverable packets that are in the stream, in the order of the stream, by namespace."""
        found: defaultdict[Namespace, list[Packet]] = defaultdict(list)
        for packet in self.packets.values():
            if packet.stored and packet.emitted.recoverable:
                found[packet.emitted.namespace].append(packet)
        for namespace, packets in found.items():
            packets.sort(key=lambda packet: packet.first)
            yield namespace, packets


def read_accounts(history: History) -> Accounts:
    """Put a history in order.

    Raises:
        ValueError: two packets, or two connections of a namespace, have one name.
    """
    reader = _Reader()
    for index, event in enumerate(history.events):
        reader.read(index, event)
    _place(reader.accounts.packets.values())
    _note_losses(reader.accounts)
    return reader.accounts


class _Reader:
    """Takes one event after the other; what a session needs may come before the session."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self._offsets: dict[str, Offset] = {}
        self._received: set[str] = set()
        self._connections: dict[tuple[Namespace, int], tuple[Session, Connection]] = {}
        self._by_sid: dict[tuple[Namespace, str], Session] = {}
        self._early: defaultdict[tuple[Namespace, str], list[MembershipChanged]] = defaultdict(list)
        self._unclaimed: defaultdict[_Client, list[MembershipChanged]] = defaultdict(list)

    def read(self, index: int, event: Event) -> None:
        match event:
            case Received():
                self._receive(event)
            case Emitted():
                self._emit(index, event)
            case Accepted():
                self._accept(index, event)
            case MembershipChanged():
                self._change(event)
            case Ended():
                self._end(event)
            case WritesLost():
                self._lose(Loss(event, index))
            case Dropped():
                pass  # what a client missed is judged by what it has, not by when it was away

    def _emit(self, index: int, event: Emitted) -> None:
        packets = self.accounts.packets
        if event.packet in packets:
            raise ValueError(f"packet {event.packet!r} was emitted twice; each needs a name of its own")
        stored = event.stored is True or (event.stored is None and event.packet in self._received)
        packet = packets[event.packet] = Packet(event, index, event.offset, stored=stored)
        if packet.offset is None and packet.has_place:
            packet.offset = self._offsets.get(event.packet)

    def _receive(self, event: Received) -> None:
        self._received.add(event.packet)
        packet = self.accounts.packets.get(event.packet)
        if packet is not None and packet.emitted.stored is None:
            packet.stored = True
        if event.offset is not None:
            self._offsets.setdefault(event.packet, event.offset)
            if packet is not None and packet.offset is None and packet.has_place:
                packet.offset = event.offset
        where = self._connections.get((event.namespace, event.connection))
        if where is None:
            self.accounts.homeless.append(event)
        else:
            where[0].receipts.append((event, where[1]))

    def _accept(self, index: int, event: Accepted) -> None:
        key = event.namespace, event.connection
        if key in self._connections:
            raise ValueError(f"connection {event.connection} in {event.namespace} was accepted twice")
        session = self._by_sid.get((event.namespace, event.sid)) if event.recovered else None
        if session is None:
            session = self._begin(index, event)
        else:
            session.connections.append(Connection(event, len(session.connections)))
            newest = session.connections[-1]
            told = any(loss.is_told_to(session, event.after) for loss in self._losses_in_force())
            if told or session.is_over(event.after, newest):
                session.strays.append(newest)
        self._connections[key] = session, session.connections[-1]
        self.accounts.last[event.namespace, event.client] = session

    def _begin(self, index: int, event: Accepted) -> Session:
        session = Session(index, [Connection(event, 0)], begun_by=event.by)
        if event.recovered:
            session.strays.append(session.connections[0])
        session.changes += self._early.pop((event.namespace, event.sid), [])
        session.changes += self._unclaimed.pop((event.namespace, event.client), [])
        self._by_sid[event.namespace, event.sid] = session
        self.accounts.sessions.append(session)
        return session

    def _change(self, event: MembershipChanged) -> None:
        session = self._session_of(event)
        if session is not None:
            session.changes.append(event)
        elif event.sid is not None:
            self._early[event.namespace, event.sid].append(event)
        else:
            self._unclaimed[event.namespace, event.client].append(event)

    def _end(self, event: Ended) -> None:
        session = self._session_of(event)
        if session is not None and (session.ended is None or session.undone is not None):
            session.ended, session.undone = event, None

    def _lose(self, loss: Loss) -> None:
        self.accounts.losses.append(loss)
        for (_, sid), session in self._by_sid.items():
            if session.undone is not None and session.undone.event.until == loss.event.upto:
                # The store has lost that everybody was told: whoever comes from now on may have it again.
                session.undone = replace(session.undone, event=replace(session.undone.event, told=None))
            if sid in loss.event.ends:
                newest = len(session.connections) - 1
                session.undone = loss
                session.undone_from = newest if sid in loss.event.unheard else newest + 1
            if sid in loss.event.moves:
                session.forgotten.add(len(session.connections) - 1)

    def _losses_in_force(self) -> Iterator[Loss]:
        """Those of which the store has not lost by now that everybody was told."""
        losses = self.accounts.losses
        for number, loss in enumerate(losses):
            until = loss.event.until
            if until is None or all(later.event.upto != until for later in losses[number + 1 :]):
                yield loss

    def _session_of(self, event: MembershipChanged | Ended) -> Session | None:
        if event.sid is not None:
            return self._by_sid.get((event.namespace, event.sid))
        return self.accounts.last.get((event.namespace, event.client))


def _place(packets: Iterable[Packet]) -> None:
    """Say where each packet stands, by its own offset or by its producer's packets beside it."""
    producers: defaultdict[str, list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.has_place:
            producers[packet.emitted.producer].append(packet)
    for emitted in producers.values():
        emitted.sort(key=lambda packet: packet.emitted.number)
        before, behind = ORIGIN, LATEST
        for packet in emitted:
            packet.first = before = before if packet.offset is None else packet.offset
        for packet in reversed(emitted):
            packet.last = behind = behind if packet.offset is None else packet.offset


def _note_losses(accounts: Accounts) -> None:
    for packet in accounts.packets.values() if accounts.losses else ():
        packet.lost = next((loss for loss in accounts.losses if loss.concerns(packet)), None)
