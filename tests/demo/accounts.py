"""Accounts of small runs, written down by hand: what was sent, and what clients received."""

from dataclasses import dataclass, field

from adapter.demo.ledger import Ledger
from adapter.demo.records import EVERYONE, Packet, Receipt
from recovery.offsets import Offset

__all__ = ["Account", "packet"]


def packet(
    number: int, *to: str, server: str = "A", but: str | None = None, at: float | None = None
) -> Packet:
    """Packet `number` of a server, to everyone unless told, emitted at the second of its number."""
    return Packet(server, number, to or (EVERYONE,), but, float(number) if at is None else at)


@dataclass(slots=True)
class Account:
    """A ledger of clients c1 (rooms red, blue) and c2 (room blue), online on server A since second 0."""

    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger.for_clients({"c1": frozenset({"red", "blue"}), "c2": frozenset({"blue"})})
        for name in self.ledger.clients:
            self.ledger.note_returning(name, 0.0)
            self.ledger.note_accepted(name, "A", f"sid-{name}", 0.0, recovered=False)

    def send(self, *packets: Packet) -> None:
        for sent in packets:
            self.ledger.note_sent(sent)

    def receive(self, client: str, *packets: Packet, at: float | None = None) -> None:
        """Receive packets under the offsets of their numbers."""
        for received in packets:
            offset = Offset(received.number, 0)
            self.receive_as(client, received, offset, at=at)

    def receive_as(
        self, client: str, received: Packet, offset: Offset | None, *, at: float | None = None
    ) -> None:
        moment = received.at if at is None else at
        self.ledger.note_received(client, Receipt(received, offset, moment))

    def break_connection(self, client: str, at: float) -> None:
        self.ledger.note_lost(client, "was cut off", at)

    def come_back(
        self, client: str, began: float, accepted: float, *, server: str = "A", recovered: bool = True
    ) -> None:
        self.ledger.note_returning(client, began)
        sid = f"sid-{client}" if recovered else f"sid-{client}-{accepted}"
        self.ledger.note_accepted(client, server, sid, accepted, recovered=recovered)
