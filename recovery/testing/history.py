"""A history: what happened to a cluster and its clients, as the checker reads it.

It is written down by whoever watched: the simulated cluster, or a test with real servers and clients. A
history is a sequence of the records below, in the order in which they happened.

1. What cannot be known exactly is an interval of the stream, never a guess: a client entered a room *after*
   one offset, and *by* another. A packet between the two may reach the client, and need not.
2. A *session* is what a client has from a connect that was not recovered on: later connects that were
   recovered belong to it. Packets are owed to a session, not to a connection.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Audience, Namespace, Room

__all__ = [
    "Accepted",
    "Dropped",
    "Emitted",
    "Ended",
    "Event",
    "History",
    "MembershipChanged",
    "Received",
    "WritesLost",
]

_ROOT = Namespace("/")


@dataclass(frozen=True, slots=True)
class Emitted:
    """A packet was emitted.

    Attributes:
        packet: its name, unlike any other in the history.
        producer: who emitted it.
        number: ascending among the packets of one producer whose order is promised.
        offset: its place in the stream; None if it is not there, or if whoever watched does not know.
        stored: True if the emit returned, False if it raised and said "certainly not stored", None if it
            raised and said "may have been".
        recoverable: False for volatile packets, local ones, and those with a callback.
        earlier: places that it had before; the store lost them, and the emit was repeated.
        clients: names of the clients addressed, where that is known by name and not by rooms; else None.
    """

    packet: str
    producer: str
    number: int
    namespace: Namespace = _ROOT
    audience: Audience = field(default_factory=Audience)
    offset: Offset | None = None
    stored: bool | None = True
    recoverable: bool = True
    clients: frozenset[str] | None = None
    earlier: frozenset[Offset] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client got CONNECT.

    Attributes:
        client: its name.
        connection: number of this connection, unlike any other in the history.
        sid: what it was given.
        after: the end of the stream when it sent CONNECT.
        by: the end of the stream when it was accepted. A fresh session begins between the two; a recovered
            connection owns its session from somewhere between the two on.
    """

    client: str
    connection: int
    sid: str
    recovered: bool
    reason: Reason | None = None
    after: Offset = ORIGIN
    by: Offset = ORIGIN
    namespace: Namespace = _ROOT


@dataclass(frozen=True, slots=True)
class Received:
    """A packet was written to a connection.

    Attributes:
        offset: as the packet carried it; None if it carried none.
        heard: False if the client did not get it: it had left this connection, or the network lost it.
    """

    client: str
    connection: int
    packet: str
    offset: Offset | None = None
    heard: bool = True
    namespace: Namespace = _ROOT


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """A client entered a room, or left it.

    Attributes:
        after: packets up to here see it as it was.
        by: packets after here see it as it is; None if that was never certain (the call raised).
        sid: of the session that it happened to, which may not be accepted yet (a connect handler enters
            rooms); None for the one that the client has at this moment.
    """

    client: str
    room: Room
    entered: bool
    after: Offset
    by: Offset | None
    namespace: Namespace = _ROOT
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A client lost its connection, or left it for another."""

    client: str
    connection: int
    namespace: Namespace = _ROOT


@dataclass(frozen=True, slots=True)
class Ended:
    """A session was ended on purpose: by the client's DISCONNECT, or by the server.

    Attributes:
        after: nothing later than here is owed to it.
        by: nothing later than here may reach it, and nobody who comes later may recover it; None if that
            is not known.
        sid: of the session; None for the one that the client has at this moment.
    """

    client: str
    after: Offset
    by: Offset | None = None
    namespace: Namespace = _ROOT
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class WritesLost:
    """The store lost writes that it had confirmed.

    Sessions that begin later are owed none of them. One that was owed some, and lacks them, must end when the
    loss is told to everybody.

    Attributes:
        after: everything that was emitted before this event and stood after here is gone.
        upto: but for what stands after here; None if nothing does.
        told: where the stream's new epoch begins, by which everybody is told; no session of before goes
            beyond it. `ORIGIN` if that is not known: then it has to be at once. None if nobody was told,
            because no server that knew what was lost lived long enough.
        until: the word holds up to here, because the store lost it, too, later on; None if it did not.
        ends: sids of the sessions whose end was lost, too, so that it is undone until it is told.
        unheard: sids of those among them whose connection was not told, because its server had not read the
            entry that ended it: it goes on, too.
        moves: sids of the sessions of which it was lost that they had changed hands: whoever has one then is
            not asked to let go of it.
    """

    after: Offset
    upto: Offset | None = None
    told: Offset | None = ORIGIN
    until: Offset | None = None
    ends: frozenset[str] = frozenset()
    unheard: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()


Event: TypeAlias = Emitted | Accepted | Received | MembershipChanged | Dropped | Ended | WritesLost


@dataclass(slots=True)
class History:
    """What happened, in order.

    >>> history = History(settled={"ann"})
    >>> history.add(Accepted("ann", connection=1, sid="a", recovered=False))
    >>> history.add(Emitted("one", "server", 1, clients=frozenset({"ann"})))
    >>> history.add(Received("ann", connection=1, packet="one"))
    >>> len(history.events)
    3

    Attributes:
        events: the records.
        settled: clients that were connected at the end, and had time to receive everything: to them nothing
            may be missing. The others may lack what comes last, but nothing in between.
    """

    events: list[Event] = field(default_factory=list["Event"])
    settled: set[str] = field(default_factory=set[str])

    def add(self, event: Event) -> None:
        """Write down what happened next."""
        self.events.append(event)
