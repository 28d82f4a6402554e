"""How clients lose their connections, for how long, and where they come back.

Drawn from a random generator that is passed in, so that a seed repeats it.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

__all__ = ["Break", "BreakKind", "Breaks"]


class BreakKind(StrEnum):
    """A way to lose a connection; the value completes "client c07 ..."."""

    CUT = "was cut off"
    """The TCP connection is reset."""

    HANG_UP = "hung up"
    """The transport is closed in good order, without a goodbye of Socket.IO."""

    SILENT = "fell silent"
    """The client stops reading; to the server the connection looks alive, even after the return."""


@dataclass(frozen=True, slots=True)
class Break:
    """One loss of a connection, and the return.

    Attributes:
        online: seconds of connection before it.
        away: seconds until the client starts to reconnect; 0 is at once.
        moves: comes back to the other server.
    """

    online: float
    kind: BreakKind
    away: float
    moves: bool


@dataclass(frozen=True, slots=True)
class Breaks:
    """An endless, random sequence of breaks for one client.

    Attributes:
        typical: seconds that a client usually stays online, and the longest time away.
    """

    random: Random
    typical: float = 2.5

    def next_break(self) -> Break:
        """Draw the next break; one in ten follows its connection at once."""
        return Break(
            online=0.0 if self.random.random() < 0.1 else self.random.expovariate(1 / self.typical),
            kind=self.random.choices(list(BreakKind), weights=(5, 2, 3))[0],
            away=self._away(),
            moves=self.random.random() < 0.5,
        )

    def _away(self) -> float:
        draw = self.random.random()
        if draw < 0.4:
            return 0.0
        if draw < 0.75:
            return self.random.uniform(0.02, 0.2) * self.typical
        return self.random.uniform(0.2, 1.0) * self.typical
