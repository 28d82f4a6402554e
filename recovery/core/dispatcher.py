"""The dispatcher: takes the stream's entries one after the other, and hands packets to this server's clients.

1. There is one order, that of the stream. Packets reach clients from here only, the server's own too.
2. A packet is judged at its own offset (`recovery.core.audience`): for a live client when it is read,
   for one that was away when it is replayed, by the same rule.
3. A change of rooms by this server takes effect after everything that it has published, even if it has
   not read that yet: `edge`.
4. Nothing here waits, does I/O, or runs code of the application. What else is to be done is returned as
   effects.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

from recovery.core.audience import is_addressed
from recovery.core.connection import Connection, Phase
from recovery.core.control import (
    Acknowledgement,
    Control,
    Disconnection,
    Release,
    RoomsChange,
    ServerEvent,
    SessionAnswer,
    SessionChange,
    Takeover,
    read_control,
)
from recovery.core.effects import (
    Disconnected,
    Effect,
    Overflowed,
    RoomChanged,
    SessionReplaced,
    SessionWanted,
    TakenOver,
)
from recovery.core.meters import Meters
from recovery.core.packets import AckRequest, Broadcast, FrameCodec, Observer, StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.core.skipped import Skipped
from recovery.entries import Kind, PayloadCodec
from recovery.errors import EncodingError, MalformedError
from recovery.offsets import Offset
from recovery.records import Audience, Entry, Epoch, Namespace, Room, ServerId, Sid

__all__ = ["Dispatcher"]

F = TypeVar("F")

_EVERYONE = None
_FOR_SERVERS = frozenset({Kind.TAKEOVER, Kind.SERVER_EVENT})


class Dispatcher(Generic[F]):
    """The clients of one server, and its place in the stream.

    Attributes:
        server: this server.
        log: recent entries, complete up to `position`.
        codec: how payloads are decoded.
        epoch: identity of the stream that it reads.
        position: the last entry that was dispatched.
        published: the last entry that this server has appended.
        max_client_buffer: packets that may wait for one client, besides a replay.
        max_packet_bytes: an entry with more is left out; None for no limit.
        skips: what was left out, because it could not be read or is too large.
        meters: what this server counts.
        observer: is told what becomes of events; None for nobody.
    """

    def __init__(
        self,
        server: ServerId,
        log: ReplayLog[F],
        codec: PayloadCodec,
        frames: FrameCodec[F],
        *,
        max_client_buffer: int,
        max_packet_bytes: int | None = None,
        meters: Meters | None = None,
    ) -> None:
        self.server = server
        self.log = log
        self.codec = codec
        self.epoch = Epoch("")
        self.position = log.start
        self.published = log.start
        self.max_client_buffer = max_client_buffer
        self.max_packet_bytes = max_packet_bytes
        self.skips = Skipped()
        self.meters = Meters() if meters is None else meters
        self.observer: Observer | None = None
        self._frames = frames
        self._clients: dict[tuple[Namespace, Sid], Connection[F]] = {}
        self._members: dict[tuple[Namespace, Room | None], dict[Connection[F], None]] = {}
        self._indexed: dict[Connection[F], set[Room | None]] = {}
        self._leaving: list[tuple[Offset, int, Connection[F], Room]] = []
        self._tie = count()

    @property
    def edge(self) -> Offset:
        """The offset at which a change made now takes effect: after all that this server read or wrote."""
        return max(self.position, self.published)

    @property
    def skipped(self) -> int:
        """Number of entries that were left out."""
        return self.skips.total

    def find(self, namespace: Namespace, sid: Sid) -> Connection[F] | None:
        """The connection of a client that is held or live here, or None."""
        return self._clients.get((namespace, sid))

    def connections(self) -> Iterator[Connection[F]]:
        """All held and live connections."""
        return iter(self._clients.values())

    def addressed(self, namespace: Namespace, audience: Audience) -> list[Connection[F]]:
        """The clients here that a packet of this moment would be for."""
        return list(self._addressed(namespace, audience, _next(self.edge)))

    def add(self, connection: Connection[F]) -> None:
        """Take in a connection; entries after `position` are for it from now on."""
        self._clients[connection.namespace, connection.sid] = connection
        self._indexed[connection] = set()
        self._index(connection, _EVERYONE)
        for room in connection.membership.rooms_ever():
            self._index(connection, room)
            if not connection.membership.is_in(room):
                heappush(
                    self._leaving, (connection.membership.latest(room), next(self._tie), connection, room)
                )

    def hold(self, connection: Connection[F], packets: Sequence[StoredEntry[F]]) -> int:
        """Let a held connection have packets that it missed, before anything newer; return how many.

        One that cannot be encoded is left out, as it was for every live client.
        """
        held = 0
        for packet in packets:
            try:
                frames = packet.frames(self.codec, self._frames, with_offset=connection.with_offsets)
            except EncodingError as exc:
                self.skips.note(packet.offset, exc)
                continue
            connection.hold(frames)
            held += 1
            if self.observer is not None:
                self.observer.replayed(packet)
        return held

    def end(self, connection: Connection[F]) -> None:
        """Let a connection go: nothing more is delivered to it. Harmless if it has ended already."""
        if connection.phase is Phase.ENDED:
            return
        connection.change(Phase.ENDED)
        connection.ended_at = self.position
        del self._clients[connection.namespace, connection.sid]
        for room in self._indexed.pop(connection):
            self._unindex(connection, room)

    def enter(self, connection: Connection[F], room: Room) -> None:
        """Put a client into a room, from `edge` on."""
        connection.changes += 1
        connection.membership.enter(room, self.edge)
        self._index(connection, room)

    def leave(self, connection: Connection[F], room: Room) -> None:
        """Take a client out of a room, from `edge` on."""
        connection.changes += 1
        self._leave(connection, room, self.edge, from_stream=False)

    def deliver_local(
        self, namespace: Namespace, args: Sequence[Any], audience: Audience, ack: AckRequest | None = None
    ) -> list[Effect[F]]:
        """Send an event to clients of this server only, at once; it carries `position` as its offset.

        Returns what remains to be done, like `dispatch`.
        """
        effects: list[Effect[F]] = []
        event = Broadcast(args, audience, volatile=True, ack=ack)
        encoded: dict[bool, Sequence[F]] = {}
        for connection in self._addressed(namespace, audience, _next(self.edge)):
            numbered = connection.with_offsets
            if numbered not in encoded and ack is None:
                offset = [str(self.position)] if numbered else []
                encoded[numbered] = self._frames.event(namespace, [*args, *offset])
            if ack is not None:
                waiting = self._deliver_with_ack(connection, event)
            else:
                waiting = connection.deliver(encoded[numbered])
            if self._overflows(connection, waiting):
                effects.append(Overflowed(connection))
        return effects

    def skip_to(self, offset: Offset, epoch: Epoch) -> None:
        """Go on after an offset: what lies between was lost, or can be read back when somebody needs it."""
        self.epoch = epoch
        self.log.reset(offset)
        self.position = offset
        self._forget_left()

    def dispatch(self, entries: Sequence[Entry]) -> list[Effect[F]]:
        """Take the next entries of the stream; return what remains to be done."""
        effects: list[Effect[F]] = []
        for entry in entries:
            stored = self._store(entry)
            if stored.head is None:
                continue
            try:
                if stored.head.kind is Kind.BROADCAST:
                    effects.extend(self._broadcast(stored))
                else:
                    effects.extend(self._control(stored))
            except Exception as exc:  # noqa: BLE001 - whatever is in an entry, the reader must go on
                self.skips.note(entry.offset, exc)
        self._forget_left()
        return effects

    def _store(self, entry: Entry) -> StoredEntry[F]:
        """Note an entry in the log, with nothing in it if it cannot be read, and pass it."""
        stored: StoredEntry[F]
        try:
            stored = StoredEntry.read(entry, max_bytes=self.max_packet_bytes)
        except MalformedError as exc:
            self.skips.note(entry.offset, exc)
            stored = StoredEntry.blank(entry.offset)
        self.log.append(stored)
        self.position = entry.offset
        return stored

    def _broadcast(self, stored: StoredEntry[F]) -> Iterator[Effect[F]]:
        head = stored.head
        assert head is not None, "the caller has looked"
        if head.rooms is not None and not self._anyone_in(head.namespace, head.rooms):
            return
        event = stored.broadcast(self.codec)
        addressed = self._addressed(head.namespace, event.audience, stored.offset)
        if self.observer is not None:
            addressed = _observed(self.observer, stored, event.args[0], addressed)
        for connection in addressed:
            if event.ack is not None:
                waiting = self._deliver_with_ack(connection, event)
            else:
                frames = stored.frames(self.codec, self._frames, with_offset=connection.with_offsets)
                waiting = connection.deliver(frames)
            if self._overflows(connection, waiting):
                yield Overflowed(connection)

    def _overflows(self, connection: Connection[F], waiting: int) -> bool:
        """Whether too much waits for a client; what its replay put there does not count."""
        return waiting > self.max_client_buffer + connection.grace

    def _deliver_with_ack(self, connection: Connection[F], event: Broadcast) -> int:
        assert event.ack is not None, "the caller has looked"
        frames = self._frames.event_with_ack(connection.namespace, connection.sid, event.args, event.ack)
        if connection.connect_sent:
            return connection.send(frames)  # it has no place in the order: it need not wait for a replay
        return connection.deliver(frames)

    def _control(self, stored: StoredEntry[F]) -> Iterator[Effect[F]]:
        head = stored.head
        assert head is not None, "the caller has looked"
        if head.target is not None and head.target != self.server:
            return
        if head.rooms is not None and not self._concerns(stored):
            return
        yield from self._carry_out(read_control(stored, self.codec), stored.offset)

    def _concerns(self, stored: StoredEntry[F]) -> bool:
        head = stored.head
        assert head is not None and head.rooms is not None, "the caller has looked"
        # A takeover concerns the old holder even when its connection is gone: somebody waits for its word.
        # An event for servers needs no client.
        return head.kind in _FOR_SERVERS or self._anyone_in(head.namespace, head.rooms)

    def _carry_out(self, control: Control, offset: Offset) -> Iterator[Effect[F]]:
        if isinstance(control, Acknowledgement | SessionAnswer | Release | ServerEvent):
            yield control
            return
        if isinstance(control, Takeover):
            yield from self._take_over(control)
            return
        for connection in list(self._addressed(control.namespace, control.audience, offset)):
            if isinstance(control, RoomsChange):
                yield from self._change_rooms(connection, control, offset)
            elif isinstance(control, Disconnection):
                self.end(connection)
                yield Disconnected(connection, control.close)
            elif isinstance(control, SessionChange):
                connection.changes += 1
                connection.user_session = control.data
                yield SessionReplaced(connection)
            else:
                yield SessionWanted(connection, control.request)

    def _take_over(self, takeover: Takeover) -> Iterator[Effect[F]]:
        held = self.find(takeover.namespace, takeover.sid)
        old = held if held is not None and held.number < takeover.number else None
        if old is not None:
            self.end(old)
            self.meters.handovers += 1
        asked = takeover.holder == self.server
        if old is not None or asked:
            yield TakenOver(takeover, old, asked)

    def _change_rooms(
        self, connection: Connection[F], change: RoomsChange, offset: Offset
    ) -> Iterator[Effect[F]]:
        connection.changes += 1
        for room in change.rooms:
            if change.entered:
                connection.membership.enter(room, offset, from_stream=True)
                self._index(connection, room)
            else:
                self._leave(connection, room, offset, from_stream=True)
            yield RoomChanged(connection, room, change.entered)

    def _anyone_in(self, namespace: Namespace, rooms: Sequence[Room]) -> bool:
        members = self._members
        for room in rooms or (_EVERYONE,):  # noqa: SIM110 - asked for each entry: no generator for that
            if (namespace, room) in members:
                return True
        return False

    def _addressed(self, namespace: Namespace, audience: Audience, offset: Offset) -> Iterator[Connection[F]]:
        """Clients here that a packet at this offset is for, each once."""
        groups = [self._members.get((namespace, room)) for room in audience.rooms or (_EVERYONE,)]
        found = [group for group in groups if group]
        candidates = found[0] if len(found) == 1 else {member: None for group in found for member in group}
        for connection in list(candidates) if found else ():
            if is_addressed(audience, connection.membership, offset):
                yield connection

    def _leave(self, connection: Connection[F], room: Room, at: Offset, *, from_stream: bool) -> None:
        connection.membership.leave(room, at, from_stream=from_stream)
        heappush(self._leaving, (at, next(self._tie), connection, room))
        self._forget_left()

    def _forget_left(self) -> None:
        """Take clients out of the index of rooms that they left, once all before that is dispatched."""
        while self._leaving and self._leaving[0][0] <= self.position:
            _, _, connection, room = heappop(self._leaving)
            indexed, membership = self._indexed.get(connection, set()), connection.membership
            if room in indexed and not membership.is_in(room) and membership.latest(room) <= self.position:
                indexed.discard(room)
                self._unindex(connection, room)

    def _index(self, connection: Connection[F], room: Room | None) -> None:
        self._indexed[connection].add(room)
        self._members.setdefault((connection.namespace, room), {})[connection] = None

    def _unindex(self, connection: Connection[F], room: Room | None) -> None:
        members = self._members.get((connection.namespace, room))
        if members is not None:
            members.pop(connection, None)
            if not members:
                del self._members[connection.namespace, room]


def _next(offset: Offset) -> Offset:
    """A place just after an offset: where a packet of this moment would be judged."""
    return Offset(offset.ms, offset.seq + 1)


def _observed(
    observer: Observer, stored: StoredEntry[F], event: str, addressed: Iterator[Connection[F]]
) -> Iterator[Connection[F]]:
    """Tell an observer when the first of these clients is about to get an event, and when the last has."""
    since, recipients = observer.delivering(stored), 0
    for connection in addressed:
        recipients += 1
        yield connection
    if recipients:
        observer.delivered(stored, event, recipients, since)
