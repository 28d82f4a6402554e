"""What a history can show to be broken: the promise, what was seen instead, and both in words."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recovery.offsets import Offset
from recovery.records import Namespace

__all__ = ["Kind", "Promise", "Violation", "explain"]

_SHOWN = 10  # violations of one kind in a message; the rest are counted


class Promise(StrEnum):
    """The promises that a history can break."""

    P1 = "P1 exactly once"
    P2 = "P2 in order"
    P3 = "P3 never partial"
    P4 = "P4 addressed only"
    P5 = "P5 one owner"


class Kind(StrEnum):
    """What was seen instead of what is promised.

    >>> Kind.LOST.promise
    <Promise.P1: 'P1 exactly once'>
    """

    LOST = "lost"
    DOUBLED = "doubled"
    REPLAYED = "replayed, though not recoverable"
    OUT_OF_ORDER = "out of order"
    DISAGREEMENT = "disagreement between clients"
    BEFORE_SESSION = "before its session began"
    NOT_ADDRESSED = "not addressed"
    INVENTED = "invented"
    AFTER_END = "after its end"
    OLD_CONNECTION = "written to an old connection after it changed hands"
    NO_SESSION = "recovered without a session"

    @property
    def promise(self) -> Promise:
        """The promise that is broken."""
        return _PROMISES[self]


_PROMISES = {
    Kind.LOST: Promise.P1,
    Kind.DOUBLED: Promise.P1,
    Kind.REPLAYED: Promise.P1,
    Kind.OUT_OF_ORDER: Promise.P2,
    Kind.DISAGREEMENT: Promise.P2,
    Kind.BEFORE_SESSION: Promise.P3,
    Kind.NO_SESSION: Promise.P3,
    Kind.NOT_ADDRESSED: Promise.P4,
    Kind.INVENTED: Promise.P4,
    Kind.AFTER_END: Promise.P4,
    Kind.OLD_CONNECTION: Promise.P5,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One packet that one client did not get as promised.

    >>> print(Violation(Kind.DOUBLED, "ann", "one", Offset(1, 0), "again on connection 2", Namespace("/")))
    ann: packet one at 1-0 doubled: again on connection 2

    Attributes:
        client: its name; empty if no single client is concerned.
        packet: its name; None if no packet is concerned.
        offset: where the packet stands, or what it carried; None if neither is known.
        detail: what was seen instead, in words.
    """

    kind: Kind
    client: str
    packet: str | None
    offset: Offset | None
    detail: str
    namespace: Namespace

    @property
    def promise(self) -> Promise:
        """The promise that is broken."""
        return self.kind.promise

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at {self.offset}"
        what = "" if self.packet is None else f"packet {self.packet}{where} "
        who = f"{self.client}: " if self.client else ""
        return f"{who}{what}{self.kind}: {self.detail}"


def explain(violations: Sequence[Violation]) -> str:
    """Return violations as text: how many of each kind, and the first of them.

    >>> print(explain([Violation(Kind.LOST, "ann", "one", None, "number 1 of server", Namespace("/"))]))
    1 x lost (P1 exactly once)
      ann: packet one lost: number 1 of server
    """
    if not violations:
        return "nothing lost, doubled, out of order or strange"
    by_kind: defaultdict[Kind, list[Violation]] = defaultdict(list)
    for violation in violations:
        by_kind[violation.kind].append(violation)
    lines: list[str] = []
    for kind, found in by_kind.items():
        lines.append(f"{len(found)} x {kind} ({kind.promise})")
        lines += [f"  {violation}" for violation in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"  ... and {len(found) - _SHOWN} more")
    return "\n".join(lines)
