"""What the memory store keeps for bridges that end here: how far each has carried its source over."""

from typing import Any, Protocol

from recovery.bridging import Forward, Forwarded
from recovery.offsets import Offset
from recovery.records import Epoch

__all__ = ["Bridges"]


class Stream(Protocol):
    """The stream that a bridge ends at."""

    last: Offset

    def ensure(self, candidate: Epoch, now: int) -> bool:
        """Make sure that there is an entry."""
        ...

    def extend(self, command: Forward, now: int) -> tuple[Any, bool]:
        """Append what a command brings, and trim; the second tells whether the window was cut into."""
        ...


class Bridges:
    """Positions of bridges by name. Not safe from threads."""

    def __init__(self) -> None:
        self._positions: dict[str, Offset] = {}

    def forward(self, command: Forward, stream: Stream, now: int) -> Forwarded:
        """Carry out a `Forward`."""
        position = self._positions.get(command.link)
        if position is not None and position != command.before:
            return Forwarded(done=False, position=position)
        self._positions[command.link] = command.upto
        stream.ensure(command.candidate, now)
        if not command.drafts:
            return Forwarded(done=True, position=command.upto)
        _, cut = stream.extend(command, now)
        return Forwarded(done=True, position=command.upto, last=stream.last, cut_into_window=cut)
