"""The verdict on each client: the account as a history, held against the promise.

Pure: the account goes in, violations come out. It trusts only the servers' list of what they emitted, never
what they say of recoveries: for `recovery.testing.checker` each client has one session from the start of the
demo to its end, however often it came back, and whether it was recovered or not. So a refusal that costs a
packet counts as a loss.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapter.demo.ledger import ClientRecord, Ledger
from adapter.demo.records import Packet
from recovery.testing.checker import Kind, Violation, check
from recovery.testing.history import Accepted, Emitted, History, Received

__all__ = ["Counts", "count_kinds", "find_violations"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many packets there are of each fault that a person is shown.

    Attributes:
        lost: emitted for a client, never received.
        doubled: received again; once for each repetition.
        disordered: received after a later one, or in another order than at another client.
        strangers: received, though emitted for others, or by nobody.
    """

    lost: int
    doubled: int
    disordered: int
    strangers: int


def find_violations(ledger: Ledger) -> list[Violation]:
    """Judge every client; an empty list is the promise kept."""
    sent = {str(packet.id): packet for packet in ledger.sent.values()}
    found: list[Violation] = []
    for violation in check(_history(ledger)):
        if violation.kind is Kind.LOST:
            client, packet = ledger.clients[violation.client], sent[violation.packet or ""]
            detail = f"to {', '.join(packet.to)}, emitted {_moment(client, packet)}"
            found.append(replace(violation, detail=detail))
        else:
            found.append(violation)
    return found


def count_kinds(violations: Sequence[Violation]) -> Counts:
    """Count violations by what a person is shown."""
    kinds = Counter(violation.kind for violation in violations)
    lost, doubled = kinds.pop(Kind.LOST, 0), kinds.pop(Kind.DOUBLED, 0)
    disordered = kinds.pop(Kind.OUT_OF_ORDER, 0) + kinds.pop(Kind.DISAGREEMENT, 0)
    return Counts(lost, doubled, disordered, strangers=kinds.total())


def _history(ledger: Ledger) -> History:
    history = History(settled=set(ledger.clients))
    for packet in ledger.sent.values():
        addressed = (client.name for client in ledger.clients.values() if _is_for(client, packet))
        history.add(Emitted(str(packet.id), packet.server, packet.number, clients=frozenset(addressed)))
    for connection, client in enumerate(ledger.clients.values()):
        history.add(Accepted(client.name, connection, sid=client.name, recovered=False))
        for receipt in client.receipts:
            history.add(Received(client.name, connection, str(receipt.packet.id), receipt.offset))
    return history


def _is_for(client: ClientRecord, packet: Packet) -> bool:
    return packet.addresses(client.name, client.rooms)


def _moment(client: ClientRecord, packet: Packet) -> str:
    """Say what the client was doing when the packet was emitted."""
    if not client.visits or packet.at < client.visits[0].accepted:
        return "before it first connected"
    visit = [visit for visit in client.visits if visit.accepted <= packet.at][-1]
    if visit.ended is None or packet.at < visit.ended:
        return f"while it was on server {visit.server}"
    return f"{packet.at - visit.ended:.3f} s after it {visit.lost}"
