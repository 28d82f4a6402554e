"""What flows need besides the store: time, and this server's own reader, publisher and connections.

They are commands like those of `recovery.commands`, so that a flow reads from top to bottom, without a
colour; the runtime performs them.
"""

from dataclasses import dataclass

from recovery.commands import Claimed, ClaimRefused, ClaimSession, Command
from recovery.offsets import Offset
from recovery.records import Draft, ExpiredSession, Namespace, Pid, Sid

__all__ = [
    "AwaitPosition",
    "AwaitRelease",
    "Claim",
    "Clock",
    "CompleteLog",
    "FreeHands",
    "Pause",
    "Publish",
    "RunHandler",
    "SeeOff",
    "Vacate",
]


@dataclass(frozen=True, slots=True)
class Clock(Command[float]):
    """Seconds on a clock that only goes forward."""


@dataclass(frozen=True, slots=True)
class Pause(Command[None]):
    """Let `seconds` pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Claim(Command[Claimed | ClaimRefused]):
    """Claim a session, and see in the same round trip that the stream has the last entry known here.

    If it has lost that, the claim is refused with `Reason.EPOCH_CHANGED`: what else was lost with it (that
    the session was ended, say) nobody can tell, and the reader may not have noticed yet.
    """

    command: ClaimSession


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


@dataclass(frozen=True, slots=True)
class FreeHands(Command[int]):
    """Tell how many more sessions this server may see off; if none, wait `timeout` seconds at most."""

    timeout: float


@dataclass(frozen=True, slots=True)
class SeeOff(Command[None]):
    """Begin to see a session off (`recovery.flows.expiring.see_off`), beside the others; do not wait."""

    pid: Pid


@dataclass(frozen=True, slots=True)
class RunHandler(Command[bool | None]):
    """Run the application's handler ``session_expired``; given the same `pid` again, go on waiting for it.

    True when it has returned, False when it raised, None after `timeout` seconds.
    """

    pid: Pid
    session: ExpiredSession
    timeout: float
