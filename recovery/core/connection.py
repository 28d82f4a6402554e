r"""One client in one namespace on this server, as the core sees it.

1. A connection is *held* from the moment its CONNECT arrived until the application has accepted it.
   What is addressed to it meanwhile waits, in order.
2. It is *live* from then on: what is addressed to it goes out.
3. It has *ended* when its transport closed, it was disconnected, or another server has it. Nothing
   more goes out, and nothing about it is saved.

.. code-block:: text

    HELD --accept--> LIVE --end--> ENDED
      \--refuse, or the transport dies--^
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from recovery.core.membership import Membership
from recovery.offsets import Offset
from recovery.records import Epoch, Namespace, Pid, Recovery, Sid

__all__ = ["TRANSITIONS", "Connection", "Phase"]

F = TypeVar("F")


class Phase(Enum):
    """Where a connection is between CONNECT and its end."""

    HELD = auto()
    LIVE = auto()
    ENDED = auto()


TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.HELD: frozenset({Phase.LIVE, Phase.ENDED}),
    Phase.LIVE: frozenset({Phase.ENDED}),
    Phase.ENDED: frozenset(),
}
"""What may follow what; the diagram in the documentation is drawn from it."""


class Connection(Generic[F]):
    """A client of one namespace, connected to this server.

    Attributes:
        transport: the Engine.IO session that carries it.
        pid: None if the client cannot recover; then it has no saved session.
        membership: the rooms it is and was in.
        send: queue frames on the transport, and tell how many wait there now; must not block nor call
            back.
        with_offsets: whether its packets carry their offset.
        recovery: what the application is told.
        epoch: of the stream that it reads, a connection does not outlive it.
        identity: the user that the session is bound to (setting ``identity``), "" for none.
        number: the claim number under which its session is saved.
        nonce: of that claim; "" for a session that nobody has claimed yet.
        proven: everything up to here was received by the client.
        user_session: python-socketio's dict for this client.
        foreign: an offset of an earlier session that the client may still present (`SavedSession`).
        grace: frames that its replay had, and that do not count as waiting too long.
        ended_at: the position at which it ended: its rooms are known up to there. None before that.
        changes: counts changes of rooms and user session, so that a save can tell what came after it.
        connect_sent: CONNECT is queued, so what needs no order may follow at once.
    """

    __slots__ = (
        "_noted",
        "_pending",
        "changes",
        "connect_sent",
        "ended_at",
        "epoch",
        "foreign",
        "grace",
        "identity",
        "membership",
        "namespace",
        "nonce",
        "number",
        "phase",
        "pid",
        "proven",
        "recovery",
        "send",
        "sid",
        "transport",
        "user_session",
        "with_offsets",
    )

    def __init__(
        self,
        *,
        namespace: Namespace,
        sid: Sid,
        pid: Pid | None,
        transport: str,
        membership: Membership,
        send: Callable[[Sequence[F]], int],
        with_offsets: bool,
        recovery: Recovery,
        epoch: Epoch,
        identity: str,
        number: int,
        nonce: str,
        proven: Offset,
        user_session: dict[str, Any],
        foreign: Offset | None = None,
    ) -> None:
        self.namespace = namespace
        self.sid = sid
        self.pid = pid
        self.transport = transport
        self.membership = membership
        self.send = send
        self.with_offsets = with_offsets
        self.recovery = recovery
        self.epoch = epoch
        self.identity = identity
        self.number = number
        self.nonce = nonce
        self.proven = proven
        self.user_session = user_session
        self.foreign = foreign
        self.phase = Phase.HELD
        self.connect_sent = False
        self.changes = 0
        self.grace = 0
        self.ended_at: Offset | None = None
        self._pending: list[F] = []
        self._noted: Offset | None = None

    def hold(self, frames: Sequence[F]) -> None:
        """Keep missed frames until the connection goes live."""
        self._pending.extend(frames)
        self.grace += len(frames)

    def deliver(self, frames: Sequence[F]) -> int:
        """Send frames, or hold them; return how many wait for the client now."""
        if self.phase is Phase.LIVE:
            return self.send(frames)
        if self.phase is Phase.HELD:
            self._pending.extend(frames)
        return len(self._pending)

    def go_live(self) -> None:
        """Let go what waited, and deliver directly from now on."""
        self.change(Phase.LIVE)
        pending, self._pending = self._pending, []
        self.send(pending)

    def change(self, phase: Phase) -> None:
        """Enter a phase.

        Raises:
            RuntimeError: the rules above do not allow it; this is a defect of the caller.
        """
        if phase not in TRANSITIONS[self.phase]:
            raise RuntimeError(f"a connection that is {self.phase.name} cannot become {phase.name}")
        self.phase = phase
        if phase is Phase.ENDED:
            self._pending.clear()

    def note(self, position: Offset) -> None:
        """A PING was queued: its PONG will prove this position (the transport is first in, first out)."""
        if self.phase is Phase.LIVE:
            self._noted = position

    def prove(self) -> bool:
        """The PONG came; tell whether the proven position moved."""
        if self._noted is None or self._noted <= self.proven:
            return False
        self.proven = self._noted
        return True
