"""The verdict on each client: what it should have got, against what it got.

Pure: the account goes in, faults come out. The checker trusts only the servers' list of what they
emitted, never what they say of recoveries.

1. *Lost*: emitted for the client, never received.
2. *Doubled*: received again; counted once for each repetition.
3. *Out of order*: received for the first time after a later packet of the same server, or with an offset
   not above the one before, or under another offset than at another client (not all see one order then).
4. *Stranger*: received, though it was emitted for others, or by nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapter.demo.ledger import ClientRecord, Ledger
from adapter.demo.records import Packet, PacketId, Receipt
from recovery.offsets import ORIGIN, Offset

__all__ = ["Fault", "FaultKind", "find_faults"]


class FaultKind(StrEnum):
    """A way to break the promise."""

    LOST = "lost"
    DOUBLED = "doubled"
    DISORDERED = "out of order"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Fault:
    """One packet that one client did not get as promised."""

    kind: FaultKind
    client: str
    packet: PacketId
    detail: str

    def __str__(self) -> str:
        return f"{self.client}: packet {self.packet} {self.kind}: {self.detail}"


def find_faults(ledger: Ledger) -> list[Fault]:
    """Judge every client; an empty list is the promise kept."""
    faults: list[Fault] = []
    offsets: dict[PacketId, Offset] = {}
    for client in ledger.clients.values():
        received = list(client.receipts)
        first = _first_receipts(received)
        faults += _lost(client, ledger.sent, first)
        faults += _doubled(client, received)
        faults += _disordered(client, first, offsets)
        faults += _strangers(client, ledger.sent, first)
    return faults


def _first_receipts(received: list[Receipt]) -> dict[PacketId, Receipt]:
    first: dict[PacketId, Receipt] = {}
    for receipt in received:
        first.setdefault(receipt.packet.id, receipt)
    return first


def _lost(
    client: ClientRecord, sent: Mapping[PacketId, Packet], first: Mapping[PacketId, Receipt]
) -> list[Fault]:
    return [
        Fault(
            FaultKind.LOST,
            client.name,
            packet.id,
            f"to {', '.join(packet.to)}, emitted {_moment(client, packet)}",
        )
        for packet in sent.values()
        if packet.id not in first and packet.addresses(client.name, client.rooms)
    ]


def _doubled(client: ClientRecord, received: list[Receipt]) -> list[Fault]:
    seen: set[PacketId] = set()
    faults: list[Fault] = []
    for receipt in received:
        if receipt.packet.id in seen:
            faults.append(
                Fault(
                    FaultKind.DOUBLED, client.name, receipt.packet.id, f"again under offset {receipt.offset}"
                )
            )
        seen.add(receipt.packet.id)
    return faults


def _disordered(
    client: ClientRecord, first: Mapping[PacketId, Receipt], offsets: dict[PacketId, Offset]
) -> list[Fault]:
    """Compare with this client's own past, and with the offsets that earlier clients saw."""
    faults: list[Fault] = []
    newest: dict[str, int] = {}
    highest = ORIGIN
    for packet, receipt in first.items():
        offset = receipt.offset or highest
        agreed = offsets.setdefault(packet, offset) if receipt.offset else offset
        if packet.number < newest.get(packet.server, 0):
            detail = f"after {packet.server}{newest[packet.server]}"
        elif receipt.offset is not None and offset <= highest:
            detail = f"offset {offset} after {highest}"
        elif agreed != offset:
            detail = f"offset {offset}, at another client {agreed}"
        else:
            detail = None
        if detail is not None:
            faults.append(Fault(FaultKind.DISORDERED, client.name, packet, detail))
        newest[packet.server] = max(packet.number, newest.get(packet.server, 0))
        highest = max(offset, highest)
    return faults


def _strangers(
    client: ClientRecord, sent: Mapping[PacketId, Packet], first: Mapping[PacketId, Receipt]
) -> list[Fault]:
    faults: list[Fault] = []
    for name, receipt in first.items():
        packet = sent.get(name)
        if packet is None:
            detail = "no server reported it"
        elif not packet.addresses(client.name, client.rooms):
            detail = f"to {', '.join(packet.to)}"
        else:
            continue
        faults.append(Fault(FaultKind.STRANGER, client.name, receipt.packet.id, detail))
    return faults


def _moment(client: ClientRecord, packet: Packet) -> str:
    """Say what the client was doing when the packet was emitted."""
    if not client.visits or packet.at < client.visits[0].accepted:
        return "before it first connected"
    visit = [visit for visit in client.visits if visit.accepted <= packet.at][-1]
    if visit.ended is None or packet.at < visit.ended:
        return f"while it was on server {visit.server}"
    return f"{packet.at - visit.ended:.3f} s after it {visit.lost}"
