"""What was emitted and what each client's handler saw, held against the promise.

A test with real processes knows clients by name, and packets by who emitted them and a number. For
`recovery.testing.checker` each client is one session that began before everything and has time to receive
everything: these tests demand that nothing at all is lost, whatever a server says of its recoveries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recovery.offsets import parse_offset
from recovery.testing import checker
from recovery.testing.checker import Kind, Violation, explain
from recovery.testing.history import Accepted, Emitted, History, Received

__all__ = ["Kind", "Label", "Seen", "Sent", "Violation", "check", "explain"]


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """Names one packet: who emitted it, and its number there."""

    producer: str
    number: int

    def __str__(self) -> str:
        return f"{self.producer}:{self.number}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet that was emitted, and the names of the clients that it was for."""

    label: Label
    audience: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet that a client's handler saw; `offset` is None where the packet carried none."""

    label: Label
    offset: str | None = None


def check(sent: Sequence[Sent], seen: Mapping[str, Sequence[Seen]]) -> list[Violation]:
    """Return everything that is wrong; an empty list is a clean run.

    Args:
        sent: all packets, in any order.
        seen: for each client what its handler saw, in the order in which it saw it.
    """
    history = History(settled=set(seen))
    for each in sent:
        label = each.label
        history.add(Emitted(str(label), label.producer, label.number, clients=each.audience))
    for connection, (client, packets) in enumerate(seen.items()):
        history.add(Accepted(client, connection, sid=client, recovered=False))
        for packet in packets:
            offset = None if packet.offset is None else parse_offset(packet.offset)
            history.add(Received(client, connection, str(packet.label), offset))
    return checker.check(history)
