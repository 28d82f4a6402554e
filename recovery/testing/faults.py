"""What was done to a simulated cluster, and when: so that a refusal can be judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["FaultKind", "FaultLog"]


class FaultKind(Enum):
    """What can befall servers and store."""

    STORE = auto()
    """The store, or the way to it, was late or failed."""
    FREEZE = auto()
    """A server stood still."""
    CRASH = auto()
    """A server was killed, or started."""
    TRIM = auto()
    """Entries were trimmed before their time."""
    LOSS = auto()
    """The stream was deleted, or lost writes."""
    ROLLBACK = auto()
    """A failover: what was written within this time is gone, of sessions too."""


@dataclass(slots=True)
class _Fault:
    kind: FaultKind
    server: str | None
    begin: float
    end: float


class FaultLog:
    """Faults, by kind, server and time."""

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._jumps: list[tuple[float, float]] = []

    def note(self, kind: FaultKind, server: str | None, begin: float, end: float | None) -> None:
        """Something befell a server, or all of them (None), from one time to another (None: for ever)."""
        self._faults.append(_Fault(kind, server, begin, float("inf") if end is None else end))

    def end(self, now: float) -> None:
        """All that would last for ever ends."""
        for fault in self._faults:
            fault.end = min(fault.end, max(now, fault.begin))

    def note_jump(self, now: float, seconds: float) -> None:
        """The store's clock jumped."""
        self._jumps.append((now, seconds))

    def happened(self, kind: FaultKind, server: str | None, begin: float, end: float) -> bool:
        """Whether such a thing befell a server (None: any) within a time."""
        return any(True for _ in self._found(kind, server, begin, end))

    def longest(self, kind: FaultKind, begin: float, end: float) -> float:
        """How long the longest such fault was, anywhere, that overlaps a time."""
        return max((fault.end - fault.begin for fault in self._found(kind, None, begin, end)), default=0.0)

    def times(self, kind: FaultKind, begin: float, end: float) -> list[tuple[float, float]]:
        """From when to when such things befell anybody within a time."""
        return [(fault.begin, fault.end) for fault in self._found(kind, None, begin, end)]

    def store_time(self, begin: float, end: float) -> float:
        """How much time passed on the store's clock, at most at any moment: jumps forward included."""
        return end - begin + sum(max(0.0, jump) for when, jump in self._jumps if begin <= when <= end)

    def _found(self, kind: FaultKind, server: str | None, begin: float, end: float) -> Iterator[_Fault]:
        for fault in self._faults:
            concerned = server is None or fault.server is None or fault.server == server
            if fault.kind is kind and concerned and fault.begin <= end and fault.end >= begin:
                yield fault
