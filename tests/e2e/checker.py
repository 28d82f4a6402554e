"""Compares what was emitted with what each client's handler saw, and says in words what is wrong.

1. Every packet has a label of its own and an audience: the clients it was addressed to, for as long as they
   were addressed. Whoever emits gives its packets ascending numbers.
2. A client must see each of its packets once (else *lost*, *doubled*), no packet that was not for it
   (*stranger*) or that nobody emitted (*invented*).
3. A client must see one producer's packets in the order of their numbers, and all packets in the order of
   their offsets (else *disorder*).
4. Two clients must see the packets that both saw in the same order (else *disagreement*).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from recovery.offsets import parse_offset

__all__ = ["Finding", "Kind", "Label", "Seen", "Sent", "check", "explain"]

_SHOWN = 10  # findings of one kind in a message; the rest are counted


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


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    DOUBLED = "doubled"
    STRANGER = "stranger"
    INVENTED = "invented"
    DISORDER = "disorder"
    DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, for one client."""

    kind: Kind
    client: str
    text: str


def check(sent: Sequence[Sent], seen: Mapping[str, Sequence[Seen]]) -> list[Finding]:
    """Return everything that is wrong; an empty list is a clean run.

    Args:
        sent: all packets, in any order.
        seen: for each client what its handler saw, in the order in which it saw it.
    """
    findings: list[Finding] = []
    audiences = {packet.label: packet.audience for packet in sent}
    for client, packets in seen.items():
        findings += _compare_counts(client, audiences, packets)
        findings += _compare_order(client, packets)
    return [*findings, *_compare_clients(seen)]


def explain(findings: Sequence[Finding]) -> str:
    """Return the findings as text: how many of each kind, and the first of them."""
    if not findings:
        return "nothing lost, doubled, strange or out of order"
    by_kind: defaultdict[Kind, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    lines: list[str] = []
    for kind, found in by_kind.items():
        lines.append(f"{len(found)} x {kind}")
        lines += [f"  {finding.client}: {finding.text}" for finding in found[:_SHOWN]]
    return "\n".join(lines)


def _compare_counts(
    client: str, audiences: Mapping[Label, frozenset[str]], packets: Sequence[Seen]
) -> Iterator[Finding]:
    counts = Counter(packet.label for packet in packets)
    for label, audience in audiences.items():
        if client in audience and counts[label] == 0:
            yield Finding(Kind.LOST, client, f"never saw {label}")
    for label, count in counts.items():
        if count > 1:
            yield Finding(Kind.DOUBLED, client, f"saw {label} {count} times")
        if label not in audiences:
            yield Finding(Kind.INVENTED, client, f"saw {label}, which nobody emitted")
        elif client not in audiences[label]:
            yield Finding(Kind.STRANGER, client, f"saw {label}, which was not for it")


def _compare_order(client: str, packets: Sequence[Seen]) -> Iterator[Finding]:
    newest: dict[str, Label] = {}
    last: Seen | None = None
    for packet in packets:
        before = newest.get(packet.label.producer)
        if before is not None and packet.label < before:
            yield Finding(Kind.DISORDER, client, f"saw {packet.label} after {before}")
        newest[packet.label.producer] = max(packet.label, before or packet.label)
        if packet.offset is None:
            continue
        if last is not None and parse_offset(packet.offset) <= parse_offset(last.offset or ""):
            text = f"saw {packet.label} at {packet.offset} after {last.label} at {last.offset}"
            yield Finding(Kind.DISORDER, client, text)
        last = packet


def _compare_clients(seen: Mapping[str, Sequence[Seen]]) -> Iterator[Finding]:
    """Each pair once; the first inversion of a pair is enough."""
    places = {client: _first_places(packets) for client, packets in seen.items()}
    names = sorted(seen)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            inversion = _first_inversion(places[one], places[other])
            if inversion is not None:
                earlier, later = inversion
                text = f"saw {earlier} before {later}, {other} the other way round"
                yield Finding(Kind.DISAGREEMENT, one, text)


def _first_places(packets: Sequence[Seen]) -> dict[Label, int]:
    places: dict[Label, int] = {}
    for place, packet in enumerate(packets):
        places.setdefault(packet.label, place)
    return places


def _first_inversion(one: Mapping[Label, int], other: Mapping[Label, int]) -> tuple[Label, Label] | None:
    """Labels come out of a dict in the order of `one`; a place of `other` that goes back is an inversion."""
    before: Label | None = None
    for label in one:
        if label not in other:
            continue
        if before is not None and other[label] < other[before]:
            return before, label
        before = label
    return None
