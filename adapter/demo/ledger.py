"""Who was sent what, who received what on which connection, and who is missing what right now.

The ledger is told everything as it happens, with its time, and decides nothing: `adapter.demo.checker`
and `adapter.demo.result` judge it at the end, and the screen reads it while it runs.

Rules:

1. A packet was *missed* by a client if it was emitted before CONNECT was accepted on the connection on
   which the client *got it back* (or if the client never got it, and it is lost).
2. *Recovery time* runs from the moment a client starts to reconnect (before the TCP connection) until
   CONNECT is accepted and the last missed packet of that connection has arrived, whichever is later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from adapter.demo.breaks import BreakKind
from adapter.demo.records import Packet, PacketId, Receipt

__all__ = ["ClientRecord", "ClientState", "Ledger", "Visit"]


class ClientState(StrEnum):
    """What a client is doing."""

    WAITING = "waiting"
    ONLINE = "online"
    AWAY = "away"
    RETURNING = "returning"


@dataclass(slots=True)
class Visit:
    """One connection of a client, from the moment it starts to connect.

    Attributes:
        server: name of the server.
        began: when the client started to connect.
        accepted: when CONNECT came back.
        sid: given by the server.
        recovered: the session of the connection before it went on.
        lost: how it ended, in words; None while it is open.
        ended: when it ended; None while it is open.
        receipts: what arrived on it, in order.
        got_back: packets among these that had been missed, repetitions not counted.
        last_got_back: when the last of them arrived; None if there was none.
    """

    server: str
    began: float
    accepted: float
    sid: str
    recovered: bool
    lost: str | None = None
    ended: float | None = None
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    got_back: int = 0
    last_got_back: float | None = None

    @property
    def recovery_time(self) -> float:
        """Seconds from the start of the reconnection until everything missed had arrived."""
        return max(self.accepted, self.last_got_back or 0.0) - self.began


@dataclass(slots=True)
class ClientRecord:
    """What the ledger knows of one client.

    Attributes:
        since: when `state` began.
        began: when the reconnection that is under way began.
        missing: packets emitted for the client that it has not received yet.
    """

    name: str
    rooms: frozenset[str]
    state: ClientState = ClientState.WAITING
    since: float = 0.0
    began: float = 0.0
    visits: list[Visit] = field(default_factory=list[Visit])
    missing: dict[PacketId, Packet] = field(default_factory=dict[PacketId, Packet])
    received: set[PacketId] = field(default_factory=set[PacketId])

    @property
    def visit(self) -> Visit | None:
        """The current connection, or the last one."""
        return self.visits[-1] if self.visits else None

    @property
    def returns(self) -> list[Visit]:
        """All connections but the first."""
        return self.visits[1:]

    @property
    def receipts(self) -> Iterable[Receipt]:
        """Everything received, in order."""
        return (receipt for visit in self.visits for receipt in visit.receipts)

    def still_missed(self) -> int:
        """Count what is missing of the time before the current connection was accepted."""
        visit = self.visit
        if visit is None or self.state is not ClientState.ONLINE:
            return len(self.missing)
        return sum(packet.at <= visit.accepted for packet in self.missing.values())

    def missing_on_return(self, number: int) -> int:
        """Count what was missed before the connection of this index, and never came.

        A recovered connection that broke again leaves that to the next one, and counts 0.
        """
        before, visit = self.visits[number - 1 : number + 1]
        if visit.recovered:
            return self.still_missed() if visit is self.visit and visit.ended is None else 0
        ended = before.ended or visit.began
        return sum(ended <= packet.at <= visit.accepted for packet in self.missing.values())


@dataclass(slots=True)
class Ledger:
    """The whole account. Times are seconds since 1970 and must not go backwards.

    Attributes:
        clients: by name.
        sent: every packet that a server reported as emitted.
    """

    clients: dict[str, ClientRecord]
    sent: dict[PacketId, Packet] = field(default_factory=dict[PacketId, Packet])

    @classmethod
    def for_clients(cls, rooms: Mapping[str, frozenset[str]]) -> "Ledger":
        """Open an empty account for clients, given by name with their rooms."""
        return cls({name: ClientRecord(name, joined) for name, joined in rooms.items()})

    def note_sent(self, packet: Packet) -> None:
        """A server emitted a packet; may be told after a client received it."""
        self.sent[packet.id] = packet
        for client in self.clients.values():
            if packet.addresses(client.name, client.rooms) and packet.id not in client.received:
                client.missing[packet.id] = packet

    def note_received(self, name: str, receipt: Receipt) -> None:
        """A packet reached a client's handler."""
        client = self.clients[name]
        visit = client.visits[-1]
        visit.receipts.append(receipt)
        if receipt.packet.id in client.received:
            return
        client.received.add(receipt.packet.id)
        client.missing.pop(receipt.packet.id, None)
        if len(client.visits) > 1 and receipt.packet.at <= visit.accepted:
            visit.got_back += 1
            visit.last_got_back = receipt.at

    def note_lost(self, name: str, how: str | BreakKind, at: float) -> None:
        """A client has no connection any more."""
        client = self.clients[name]
        client.state, client.since = ClientState.AWAY, at
        client.visits[-1].lost, client.visits[-1].ended = str(how), at

    def note_returning(self, name: str, at: float) -> None:
        """A client starts to connect."""
        client = self.clients[name]
        client.state, client.since, client.began = ClientState.RETURNING, at, at

    def note_accepted(self, name: str, server: str, sid: str, at: float, *, recovered: bool) -> None:
        """A server accepted a client's CONNECT."""
        client = self.clients[name]
        client.state, client.since = ClientState.ONLINE, at
        client.visits.append(Visit(server, client.began, at, sid, recovered))

    @property
    def missing(self) -> int:
        """Count packets, once for each client that has yet to receive them."""
        return sum(len(client.missing) for client in self.clients.values())

    @property
    def complete(self) -> bool:
        """True if every client is online and has everything that is known to be emitted for it."""
        online = all(client.state is ClientState.ONLINE for client in self.clients.values())
        return online and not self.missing

    @property
    def receipts(self) -> int:
        """Count what reached handlers."""
        return sum(len(visit.receipts) for client in self.clients.values() for visit in client.visits)

    @property
    def returns(self) -> list[Visit]:
        """All reconnections of all clients."""
        return [visit for client in self.clients.values() for visit in client.returns]
