"""What flows need besides the store: time, and this server's own reader, publisher and connections.

They are commands like those of `recovery.commands`, so that a flow reads from top to bottom, without a
colour; the runtime performs them.
"""

from dataclasses import dataclass

from recovery.commands import Command
from recovery.offsets import Offset
from recovery.records import Draft, Namespace, Sid

__all__ = ["AwaitPosition", "AwaitRelease", "Clock", "CompleteLog", "Pause", "Publish", "Vacate"]


@dataclass(frozen=True, slots=True)
class Clock(Command[float]):
    """Seconds on a clock that only goes forward."""


@dataclass(frozen=True, slots=True)
class Pause(Command[None]):
    """Let `seconds` pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Publish(Command[Offset]):
    """Append an entry after all that this server published before; raises `PublishError`."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class AwaitPosition(Command[bool]):
    """Wait until the reader has dispatched everything up to `offset`; False after `timeout` seconds."""

    offset: Offset
    timeout: float


@dataclass(frozen=True, slots=True)
class Vacate(Command[bool]):
    """End this server's connections of a client, if there are any, before claim `number` takes its sid.

    Returns when their connect and disconnect handlers have finished, however long that takes: python-socketio
    keeps its tables by sid, so two connections of one sid cannot overlap. False if a newer claim has the sid.
    """

    namespace: Namespace
    sid: Sid
    number: int


@dataclass(frozen=True, slots=True)
class AwaitRelease(Command[bool]):
    """Wait until another server says that it has let go of a client; False after `timeout` seconds.

    The word may come before it is waited for.
    """

    namespace: Namespace
    sid: Sid
    number: int
    timeout: float


@dataclass(frozen=True, slots=True)
class CompleteLog(Command[bool]):
    """Make the replay log complete after `back_to`, reading older entries once for everybody.

    Returns False if the stream no longer holds them all, or the log cannot.
    """

    back_to: Offset
