"""What one session got, judged packet by packet, and then what it lacks."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from recovery.offsets import ORIGIN, Offset
from recovery.testing.accounts import Accounts, Connection, Packet, Session
from recovery.testing.history import Emitted, Received
from recovery.testing.membership import Truth
from recovery.testing.violations import Kind, Violation

__all__ = ["Reception"]

_TOLD = "everybody had been told of lost writes, which ends all sessions"


class Reception:
    """Walks once through what was written to a session; then knows what the session heard.

    Attributes:
        heard: the packets that it heard, in the order in which it first did.
    """

    def __init__(self, session: Session, accounts: Accounts) -> None:
        self.session = session
        self.heard: dict[str, Packet] = {}
        self._packets = accounts.packets
        self._losses = accounts.losses
        self._newest: dict[str, Packet] = {}  # of each producer: what it heard with the highest number
        self._highest: Offset | None = None
        self._begun_by = session.begun_by

    def judge(self) -> Iterator[Violation]:
        """Find what should not have been written to the session, or not then."""
        for stray in self.session.strays:
            yield self._stray(stray)
        for received, connection in self.session.receipts:
            violation = self._judge(received, connection)
            if violation is not None:
                yield violation

    def find_lost(self, packets: Sequence[Packet], *, settled: bool) -> Iterator[Violation]:
        """Find what the session lacks; call it after `judge`.

        Args:
            packets: of its namespace, recoverable and stored, in the order of the stream.
            settled: it must have everything, not only what stands before the last that it heard.
        """
        settled = settled and self.session.ended is None
        if not settled and not self.heard:
            return
        start, end = 0, len(packets)
        if self._begun_by != ORIGIN:
            start = bisect_right(packets, self._begun_by, key=_first)
        if not settled and self._highest is not None:
            end = bisect_right(packets, self._highest, key=_first)
        for packet in packets[start:end]:
            if packet.emitted.packet not in self.heard and self._is_lost(packet, settled=settled):
                yield self._violation(Kind.LOST, packet, None, self._circumstances(packet))

    def _is_lost(self, packet: Packet, *, settled: bool) -> bool:
        if not settled and not self._is_between(packet):
            return False
        ended = self.session.ended
        if ended is not None and packet.last > ended.after:
            return False
        return not self._may_lack(packet) and self.session.addressed(packet) is Truth.YES

    def _may_lack(self, packet: Packet) -> bool:
        """Tell whether the store lost a packet before the session began, or has told nobody by its end."""
        if packet.lost is None:
            return False
        told = packet.lost.event.told
        if packet.lost.index < self.session.index or told is None:
            return True
        return told != ORIGIN and not packet.lost.is_told(self._highest or ORIGIN)

    def _is_between(self, packet: Packet) -> bool:
        """Tell whether the session heard something that certainly comes later."""
        if self._highest is not None and packet.last <= self._highest:
            return True
        newest = self._newest.get(packet.emitted.producer)
        return newest is not None and packet.emitted.number < newest.emitted.number

    def _judge(self, received: Received, connection: Connection) -> Violation | None:
        packet = self._packets.get(received.packet)
        if packet is None:
            return self._unknown(received, "nobody emitted it")
        if packet.emitted.stored is False:
            return self._unknown(received, "its emit raised, and said that it was not stored")
        packet = packet.at(received.offset)
        violation = (
            self._doubled(packet, received, connection)
            or self._not_entitled(packet, received, connection)
            or self._disordered(packet, received, connection)
        )
        if violation is None and packet.offset is not None:
            self._begun_by = min(self._begun_by, packet.offset)
        self._note(packet, received, connection)
        return violation

    def _note(self, packet: Packet, received: Received, connection: Connection) -> None:
        connection.written.add(received.packet)
        offset = _offset(packet, received) or ORIGIN
        connection.highest = max(connection.highest, offset)
        if not received.heard:
            return
        self.heard.setdefault(received.packet, packet)
        if offset != ORIGIN:
            self._highest = max(self._highest or ORIGIN, offset)
        newest = self._newest.get(packet.emitted.producer, packet)
        if packet.has_place and newest.emitted.number <= packet.emitted.number:
            self._newest[packet.emitted.producer] = packet

    def _doubled(self, packet: Packet, received: Received, connection: Connection) -> Violation | None:
        if received.packet in connection.written:
            again = "was written again to" if not received.heard else "again on"
        elif received.heard and received.packet in self.heard:
            again = "again on"
        else:
            return None
        return self._violation(Kind.DOUBLED, packet, received, f"{again} {_named(connection)}")

    def _not_entitled(self, packet: Packet, received: Received, connection: Connection) -> Violation | None:
        session = self.session
        if packet.emitted.namespace != received.namespace:
            detail = f"emitted in the namespace {packet.emitted.namespace}"
            return self._violation(Kind.NOT_ADDRESSED, packet, received, detail)
        if session.addressed(packet) is Truth.NO:
            detail = f"{_purpose(packet.emitted)}, and {received.client} is not addressed there"
            return self._violation(Kind.NOT_ADDRESSED, packet, received, detail)
        return self._out_of_its_time(packet, received, connection) if packet.has_place else None

    def _out_of_its_time(
        self, packet: Packet, received: Received, connection: Connection
    ) -> Violation | None:
        """Compare the packet's place with where the session began, ended, and changed hands."""
        session, newer = self.session, self.session.newer(connection)
        ended = None if session.ended is None else session.ended.by
        forgotten = connection.number in session.forgotten and not received.heard
        if session.first.after != ORIGIN and packet.last <= session.first.after:
            kind, detail = (
                Kind.BEFORE_SESSION,
                f"the session {session.first.sid} began after {session.first.after}",
            )
        elif newer is not None and ORIGIN < newer.accepted.by < packet.first and not forgotten:
            kind = Kind.OLD_CONNECTION
            detail = f"{_named(connection)}, but {_named(newer)} owned the session by {newer.accepted.by}"
        elif ended is not None and packet.first > ended and session.is_over(packet.first, connection):
            kind, detail = Kind.AFTER_END, f"the session was ended by {ended}"
        elif self._was_told_before(packet):
            kind, detail = Kind.AFTER_END, _TOLD
        elif not packet.emitted.recoverable and packet.last <= connection.accepted.after:
            kind = Kind.REPLAYED
            detail = f"on {_named(connection)}, for which the client asked at {connection.accepted.after}"
        else:
            return None
        return self._violation(kind, packet, received, detail)

    def _was_told_before(self, packet: Packet) -> bool:
        return any(
            loss.is_told_to(self.session, packet.first) and packet.lost is not loss for loss in self._losses
        )

    def _disordered(self, packet: Packet, received: Received, connection: Connection) -> Violation | None:
        offset = _offset(packet, received)
        if packet.offset is not None and received.offset not in {None, packet.offset}:
            detail = f"it carried {received.offset}, but stands at {packet.offset}"
            return self._violation(Kind.DISAGREEMENT, packet, received, detail)
        if offset is not None:
            before = connection.highest
            if received.heard:
                before = max(before, self._highest or ORIGIN)
            # A packet beside the stream carries the position of its server, where a packet may stand.
            if offset < before or (offset == before and packet.has_place):
                detail = f"on {_named(connection)} after one at {before}"
                return self._violation(Kind.OUT_OF_ORDER, packet, received, detail)
        newest = self._newest.get(packet.emitted.producer)
        if not received.heard or not packet.has_place or newest is None:
            return None
        if packet.emitted.number >= newest.emitted.number:
            return None
        detail = f"{_origin(packet.emitted)}, after {newest.emitted.packet}, {_origin(newest.emitted)}"
        return self._violation(Kind.OUT_OF_ORDER, packet, received, detail)

    def _stray(self, connection: Connection) -> Violation:
        accepted = connection.accepted
        ended, kind = self.session.ended, Kind.AFTER_END
        if connection.number == 0:
            detail = f"{_named(connection)} got the sid {accepted.sid}, which no earlier connection had"
            kind = Kind.NO_SESSION
        elif ended is not None and self.session.is_over(accepted.after, connection):
            detail = f"{_named(connection)} was recovered at {accepted.after}, after the end by {ended.by}"
        else:
            detail = f"{_named(connection)} was recovered at {accepted.after}, when {_TOLD}"
        return Violation(kind, accepted.client, None, None, detail, accepted.namespace)

    def _circumstances(self, packet: Packet) -> str:
        """Say of a packet that is lost what came before it and after it."""
        found = [f"{_origin(packet.emitted)}, {_purpose(packet.emitted)}"]
        before: Packet | None = None
        for heard in self.heard.values():
            if _precedes(packet, heard):
                found.append(f"then came {_placed(heard)}")
                break
            before = heard
        if before is not None:
            found.insert(1, f"before came {_placed(before)}")
        return "; ".join(found)

    def _unknown(self, received: Received, detail: str) -> Violation:
        namespace = received.namespace
        return Violation(Kind.INVENTED, received.client, received.packet, received.offset, detail, namespace)

    def _violation(self, kind: Kind, packet: Packet, received: Received | None, detail: str) -> Violation:
        client = self.session.client if received is None else received.client
        offset = packet.offset if received is None else _offset(packet, received)
        return Violation(kind, client, packet.emitted.packet, offset, detail, packet.emitted.namespace)


def _first(packet: Packet) -> Offset:
    return packet.first


def _offset(packet: Packet, received: Received) -> Offset | None:
    return packet.offset if received.offset is None else received.offset


def _precedes(packet: Packet, other: Packet) -> bool:
    if packet.emitted.producer == other.emitted.producer:
        return packet.emitted.number < other.emitted.number
    return packet.last < other.first


def _named(connection: Connection) -> str:
    accepted = connection.accepted
    how = "recovered" if accepted.recovered else f"fresh: {accepted.reason}" if accepted.reason else "fresh"
    return f"connection {accepted.connection} ({how})"


def _placed(packet: Packet) -> str:
    return (
        f"{packet.emitted.packet}" if packet.offset is None else f"{packet.emitted.packet} at {packet.offset}"
    )


def _origin(emitted: Emitted) -> str:
    return f"number {emitted.number} of {emitted.producer}"


def _purpose(emitted: Emitted) -> str:
    if emitted.clients is not None:
        return f"for {', '.join(sorted(emitted.clients)) or 'nobody'}"
    rooms = ", ".join(map(str, emitted.audience.rooms))
    excluded = ", ".join(map(str, emitted.audience.excluded))
    whom = f"for rooms {rooms}" if rooms else "for everyone"
    return f"{whom} but {excluded}" if excluded else whom
