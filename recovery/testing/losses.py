"""What the store of a simulated cluster lost, which servers knew of it, and whether they said so.

1. A server *knows* of a loss if it had read or published an entry that is gone. Until the loss is told, by a
   new epoch of the stream, such a server may recover nobody.
2. A server that knows, and can reach the store for some time, must tell.
3. A loss that nobody knows of is told to nobody: the promise ends there, and only there.

A server that finds all up to what it knew trimmed cannot tell any more what else was lost: that is a gap. One
whose stream was deleted may recover clients until it finds out: what they missed is in its own log, and no
session was lost with the stream.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from recovery.offsets import ORIGIN, Offset
from recovery.testing.faults import FaultKind, FaultLog

__all__ = ["Losses", "Witness"]

_TELLS_WITHIN = 15.0  # seconds: it doubts every 10 s, waits 2 s for entries, and has to be answered


@dataclass(frozen=True, slots=True)
class Witness:
    """One server process.

    Attributes:
        name: of the server.
        number: unlike any other process.
        edge: the last offset that it had read or published.
    """

    name: str
    number: int
    edge: Offset


@dataclass(slots=True)
class _Loss:
    """Writes that were lost, and who knew of them."""

    at: float
    after: Offset
    witnesses: list[Witness]


@dataclass(slots=True)
class Losses:
    """Losses that have not been told.

    Attributes:
        faults: what was done to the cluster besides.
        unsaid: what servers should have told and did not, in words.
    """

    faults: FaultLog
    unsaid: list[str] = field(default_factory=list[str])
    _untold: list[_Loss] = field(default_factory=list[_Loss])

    @property
    def pending(self) -> bool:
        """Whether there is anything to be told."""
        return bool(self._untold)

    def lose(self, now: float, after: Offset, servers: list[Witness]) -> None:
        """What stood after an offset is gone; these are the servers that are there."""
        witnesses = [server for server in servers if server.edge > after]
        self._untold.append(_Loss(now, after, witnesses))

    def told(self) -> None:
        """The stream has a new epoch."""
        self._untold.clear()

    def trimmed(self, first: Offset) -> None:
        """Nothing is left before an offset."""
        for loss in self._untold:
            loss.witnesses = [witness for witness in loss.witnesses if witness.edge >= first]

    def known_to(self, number: int) -> bool:
        """Whether a server knows of entries that are missing in the stream, and has not told."""
        short = [loss for loss in self._untold if loss.after > ORIGIN]
        return any(witness.number == number for loss in short for witness in loss.witnesses)

    def died(self, number: int, now: float) -> None:
        """A server is gone: what it knew, and had no time to tell, it never will."""
        for loss in self._untold:
            gone = [witness for witness in loss.witnesses if witness.number == number]
            loss.witnesses = [witness for witness in loss.witnesses if witness.number != number]
            self.unsaid += self._judge(loss, gone, now)

    def end(self, now: float) -> Iterator[str]:
        """Say what should have been told by now."""
        yield from self.unsaid
        for loss in self._untold:
            yield from self._judge(loss, loss.witnesses, now)

    def _judge(self, loss: _Loss, witnesses: list[Witness], now: float) -> Iterator[str]:
        since = now - _TELLS_WITHIN
        for witness in witnesses:
            hindered = any(
                self.faults.happened(kind, witness.name, since, now)
                for kind in (FaultKind.STORE, FaultKind.FREEZE)
            )
            if loss.at < since and not hindered:
                yield (
                    f"{witness.name} knew at {loss.at:.3f} s that entries after {loss.after} were lost, and"
                    f" had told nobody by {now:.3f} s"
                )
