"""Regions in memory with bridges between them: steps that a test chooses, and faults in the middle of one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations
from typing import Any

from recovery.bridging import VIA, Forward
from recovery.commands import Append, Command, OpenStream, Read
from recovery.driver import run
from recovery.entries import PayloadCodec
from recovery.errors import StoreUnavailableError
from recovery.flows.bridging import AtTarget, Bearings, Carried, Terms, begin, carry
from recovery.flows.steps import Clock, Pause
from recovery.offsets import ORIGIN
from recovery.records import Draft, Entry, Epoch, ServerId
from recovery.stores.memory_state import MemoryState, Snapshot

__all__ = ["Bridging", "Fault", "KilledError", "Region", "Regions", "labels_of"]

RETENTION_MS = 10**9
CODEC = PayloadCodec()


class Fault(StrEnum):
    """What happens to a bridge while it has the target store something."""

    NONE = "none"
    REPLY_LOST = "reply lost"
    """It was stored, and the bridge does not hear so."""
    REQUEST_LOST = "request lost"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    """It was stored, and the bridge ends before it knows."""


class KilledError(Exception):
    """The process of a bridge is gone."""


class Region:
    """A region: a store, and a server that emits."""

    def __init__(self, name: str, now: list[int]) -> None:
        self.name = name
        self.state = MemoryState(clock=lambda: now[0] / 1000)
        self.emitted: list[str] = []
        self._sequence = 0
        self.state.execute(OpenStream(Epoch(f"epoch of {name}")))

    def emit(self, label: str, **fields: bytes) -> None:
        """Append an entry that says its label."""
        self._sequence += 1
        packet: dict[str, Any] = {"packet": {"type": 2, "data": [label]}, "opts": {"rooms": [], "except": []}}
        entry = {
            b"uid": f"server of {self.name}".encode(),
            b"nsp": b"/",
            b"type": b"3",
            b"data": json.dumps(packet, separators=(",", ":")).encode(),
            **{name.encode(): value for name, value in fields.items()},
        }
        self.state.execute(
            Append(
                producer=ServerId(self.name),
                sequence=self._sequence,
                drafts=(Draft(tuple(entry.items())),),
                candidate=Epoch(f"another of {self.name}, {self._sequence}"),
                retention_ms=RETENTION_MS,
                max_len=None,
            )
        )
        self.emitted.append(label)

    def entries(self) -> tuple[Entry, ...]:
        """All that is in the stream."""
        return self.state.execute(Read(ORIGIN, 10**6, 0))

    def fail_over(self, snapshot: Snapshot) -> set[str]:
        """Go back to what a replica had; returns what it had not of what this region had emitted."""
        before = set(labels_of(self.entries()))
        self.state.restore(snapshot, above=self.state.last)
        return before - set(labels_of(self.entries()))


def labels_of(entries: Sequence[Entry]) -> list[str]:
    """The labels of entries, but those that begin a stream."""
    return [
        CODEC.decode(entry.fields[b"data"])["packet"]["data"][0]
        for entry in entries
        if b"data" in entry.fields
    ]


@dataclass(slots=True)
class Bridging:
    """One process that carries from one region to another."""

    source: Region
    target: Region
    bearings: Bearings | None = None
    gaps: int = 0
    _begun: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    @property
    def terms(self) -> Terms:
        """As all processes of this link have them."""
        return Terms(f"from {self.source.name}", RETENTION_MS)

    def step(self, fault: Fault = Fault.NONE, *, count: int = 1000) -> Carried | None:
        """Carry over once, through a fault; None if the process was killed, which loses its bearings."""
        pending = [fault]
        try:
            if self.bearings is None:
                self.bearings = run(
                    begin(self.terms, self._candidates()), lambda each: self._perform(each, [])
                )
            step = carry(
                self.terms,
                self.bearings,
                codec=CODEC,
                candidates=self._candidates(),
                count=count,
                block_ms=0,
                doubtful=True,
            )
            carried = run(step, lambda each: self._perform(each, pending))
        except KilledError:
            self.bearings = None
            return None
        self.bearings = carried.bearings
        self.gaps += carried.gap
        return carried

    def _candidates(self) -> tuple[Epoch, Epoch]:
        number = next(self._begun)
        name = f"{self.source.name} to {self.target.name}, {number}, {id(self)}"
        return Epoch(f"source of {name}"), Epoch(f"target of {name}")

    def _perform(self, command: Command[Any], pending: list[Fault]) -> Any:
        match command:
            case AtTarget():
                return self._at_target(command.command, pending)
            case Clock():
                return 0.0
            case Pause():
                return None
            case _:
                return self.source.state.execute(command)

    def _at_target(self, command: Command[Any], pending: list[Fault]) -> Any:
        fault = pending.pop() if pending and isinstance(command, Forward) else Fault.NONE
        if fault is Fault.KILLED_BEFORE:
            raise KilledError
        if fault is Fault.REQUEST_LOST:
            raise StoreUnavailableError("lost", maybe_applied=False)
        reply = self.target.state.execute(command)
        if fault is Fault.KILLED_AFTER:
            raise KilledError
        if fault is Fault.REPLY_LOST:
            raise StoreUnavailableError("lost", maybe_applied=True)
        return reply


class Regions:
    """Regions, and one process or several for each ordered pair of them."""

    def __init__(self, names: Sequence[str], *, processes: int) -> None:
        self.now = [1_000_000]
        self.regions = [Region(name, self.now) for name in names]
        self.bridges = [Bridging(*pair) for pair in permutations(self.regions, 2) for _ in range(processes)]
        for bridge in self.bridges:
            bridge.step()  # what was emitted before the first one began does not cross

    def drain(self) -> None:
        """Carry over until there is nothing left to carry."""
        for _ in range(20):
            before = [len(region.entries()) for region in self.regions]
            for bridge in self.bridges:
                self.now[0] += 11_000  # so that positions are kept
                bridge.step()
                bridge.step()
            if before == [len(region.entries()) for region in self.regions]:
                return
        raise AssertionError("entries go round and round")

    def carried(self, region: Region) -> list[str]:
        """Labels of the entries that came to a region over a bridge."""
        return labels_of([entry for entry in region.entries() if VIA in entry.fields])
