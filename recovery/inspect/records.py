"""What the inspector finds: sessions, their owners and the stream, as values.

Moments are absolute, in milliseconds of the store's clock, so that the same data gives the same values
whenever and from wherever it is read. What is relative ("away for 3 s") is made of them and the source's
``now_ms``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recovery.offsets import ORIGIN, Offset
from recovery.records import Epoch, Namespace, Pid, Room, RoomChange, SavedSession, ServerId, Sid

__all__ = ["CLAIM_FIELDS", "Owner", "Session", "SessionState", "StoredSession"]

CLAIM_FIELDS = (
    "n",
    "owner",
    "nonce",
    "holder",
    "state",
    "since",
    "deadline",
    "proven",
    "nsp",
    "identity",
    "epoch",
    "claimed",
    "leased",
    "attempts",
)
"""The fields of a claim key (``docs/reference/redis-keys.md``). No others are read: there may be millions."""


class SessionState(StrEnum):
    """What a session is to an operator: the holder's word, and what the deadline says of it.

    >>> SessionState("away") is SessionState.AWAY
    True
    """

    LIVE = "live"
    """Its client was connected when last heard of."""
    CLOSING = "closing"
    """Its transport closed, and its disconnect handler may still be running."""
    AWAY = "away"
    """Its client is gone, and may come back."""
    EXPIRED = "expired"
    """Its client did not come back in time, or the store dropped the session."""
    ENDED = "ended"
    """Client or server disconnected."""
    UNREADABLE = "unreadable"
    """What is stored is not a session of ours; `Session.problem` says why."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as a store has it: nothing in it was decoded or trusted.

    Attributes:
        claim: the fields of its claim key, those of `CLAIM_FIELDS` that it has; empty if there is none.
        value: the saved session; None if there is none, or it was too large to be read.
        size: bytes of the value, read or not; None if there is none.
        claim_until_ms: when the store forgets the claim; None if never, or unknown.
        value_until_ms: the same of the value.
        problem: why something could not be read, "" if all could.
    """

    pid: Pid = field(repr=False)
    claim: Mapping[str, bytes] = field(repr=False)
    value: bytes | None = field(repr=False)
    size: int | None
    claim_until_ms: int | None = field(default=None, compare=False)
    value_until_ms: int | None = field(default=None, compare=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session, decoded as far as that is possible.

    Example::

        session = find_session(source, "GXdLUB")
        print(session.state, session.rooms, session.data)

    Attributes:
        state: at the moment that the source was asked for.
        identity: SHA-256 of the user that it is bound to, "" for none.
        number: the claim number in force.
        owner: server that holds the claim.
        holder: server that last held the client's connection.
        since_ms: when the connection opened (live), closed (closing, away) or ended.
        deadline_ms: when the session expires, or has.
        claimed_ms: when a client was last granted it; None before the first time.
        proven: the client has received everything up to here.
        size: bytes of the saved value; None if there is none.
        saved: the saved value; None if there is none, or it cannot be read.
        problem: what is wrong with it, "" if nothing is.
    """

    pid: Pid = field(repr=False)
    state: SessionState
    namespace: Namespace
    identity: str
    epoch: Epoch
    number: int
    owner: ServerId
    holder: ServerId
    since_ms: int
    deadline_ms: int
    claimed_ms: int | None
    proven: Offset
    size: int | None
    saved: SavedSession | None
    problem: str = ""

    @property
    def sid(self) -> Sid | None:
        """Its socket id, None if that is not known any more."""
        return None if self.saved is None else self.saved.sid

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The rooms that it was last saved with, its sid among them."""
        return () if self.saved is None else self.saved.rooms

    @property
    def data(self) -> Mapping[str, Any]:  # the application's own, as in `SavedSession`
        """The user session that it was last saved with."""
        return {} if self.saved is None else self.saved.data

    @property
    def start(self) -> Offset:
        """It sees what comes after this offset."""
        return ORIGIN if self.saved is None else self.saved.start

    @property
    def position(self) -> Offset:
        """Its rooms were right up to here when they were saved."""
        return ORIGIN if self.saved is None else self.saved.position

    def joined(self, room: Room) -> Offset | None:
        """When it last entered a room, None if that is not known (any more): then before `proven`."""
        history: tuple[RoomChange, ...] = () if self.saved is None else self.saved.history.get(room, ())
        return history[-1].offset if history and history[-1].entered else None


@dataclass(frozen=True, slots=True)
class Owner:
    """A server, as far as sessions tell of it; see `list_owners`.

    Example::

        Owner(ServerId("a2a67744d7734eb0"), {SessionState.LIVE: 3}, heard_ms=1700000000000)

    Attributes:
        sessions: how many it holds or last held, by state.
        heard_ms: when it last certainly ran; None if nothing tells.
    """

    server: ServerId
    sessions: Mapping[SessionState, int]
    heard_ms: int | None
