"""The values that pass between the parts: small, immutable, without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason

__all__ = [
    "Audience",
    "Draft",
    "Entry",
    "Epoch",
    "ExpiredSession",
    "HolderState",
    "Namespace",
    "Pid",
    "Recovery",
    "Room",
    "RoomChange",
    "SavedSession",
    "ServerId",
    "Sid",
    "StreamState",
]

Namespace = NewType("Namespace", str)
Sid = NewType("Sid", str)
"""Socket id of a client in one namespace; public, other clients may know it."""
Pid = NewType("Pid", str)
"""Private id of a session: whoever presents it may recover the session. No log, error or repr shows it."""
Epoch = NewType("Epoch", str)
"""Random identity of a stream; changes when the stream was deleted or lost writes."""
ServerId = NewType("ServerId", str)
"""Random identity of one manager in one process (``uid`` in Node's entries)."""
Room = str | int
"""A room's name. python-socketio allows any hashable; only these two survive JSON and MessagePack."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom an entry addresses: members of any of `rooms`, who are in none of `excluded`.

    Attributes:
        rooms: no rooms means everyone in the namespace. A sid is a room with one member.
        excluded: rooms (usually sids) whose members are left out.
    """

    rooms: tuple[Room, ...] = ()
    excluded: tuple[Room, ...] = ()


@dataclass(frozen=True, slots=True)
class RoomChange:
    """A client entered a room, or left it, in force for packets after `offset`."""

    offset: Offset
    entered: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that is not in the stream yet: the fields as they will be stored."""

    fields: tuple[tuple[bytes, bytes], ...]

    def size(self) -> int:
        """Bytes of field names and values, as of `Entry`."""
        return sum(len(name) + len(value) for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream, raw: nothing in it was decoded or trusted."""

    offset: Offset
    fields: Mapping[bytes, bytes]

    def size(self) -> int:
        """Bytes of field names and values."""
        return sum(map(len, self.fields)) + sum(map(len, self.fields.values()))


@dataclass(frozen=True, slots=True)
class StreamState:
    """Both ends of the stream at one moment.

    Attributes:
        epoch: identity of the stream.
        first: offset of the oldest entry that is still there; nothing after it was trimmed.
        last: offset of the newest entry.
        now_ms: the store's clock, milliseconds since 1970.
    """

    epoch: Epoch
    first: Offset
    last: Offset
    now_ms: int


class HolderState(StrEnum):
    """What the server that last held a session's connection said of it."""

    LIVE = "live"
    """Its transport was open when last heard of."""
    CLOSING = "closing"
    """Its transport closed; the application's disconnect handler may still be running."""
    AWAY = "away"
    """Its transport closed, and its disconnect handler has finished."""
    ENDED = "ended"
    """The client or the server disconnected; the session cannot be recovered."""


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What the store keeps of a client, enough to restore it on any server.

    Attributes:
        rooms: rooms the client is in, its own sid among them, as Node saves them.
        data: python-socketio's user session.
        epoch: of the stream when the session was saved.
        start: the session sees only entries after this offset.
        position: the saving server had applied every entry up to here to the rooms.
        history: for each room its changes in stream order, as far back as the proven position.
        foreign: an offset above the start that the client had before it got this session; None for none.
        settled: the history is complete after it.
    """

    sid: Sid
    pid: Pid = field(repr=False)
    namespace: Namespace
    rooms: tuple[Room, ...]
    data: Mapping[str, Any] = field(
        repr=False
    )  # the application's own; only its encodability is ours to know
    epoch: Epoch
    start: Offset
    position: Offset
    history: Mapping[Room, tuple[RoomChange, ...]]
    foreign: Offset | None = None
    settled: Offset = ORIGIN


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an application learns about a connection: was it recovered, and if not, why not.

    Attributes:
        recovered: True if sid, rooms, session data and all missed packets were given back.
        reason: why it was not; None if it was, or if the client did not ask for it.
        replayed: number of missed packets found when the client came back; 0 if not recovered.
        offline_for: seconds on the store's clock since its last connection closed; None if that is
            unknown (not recovered, or the old connection was still open).

    >>> Recovery(recovered=False, reason=Reason.SESSION_EXPIRED).reason
    <Reason.SESSION_EXPIRED: 'session-expired'>
    """

    recovered: bool
    reason: Reason | None = None
    replayed: int = 0
    offline_for: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ExpiredSession:
    """What the handler ``session_expired`` gets: a client that did not return in time, as it was last saved.

    Attributes:
        sid: it has no connection any more, and never will have one again.
        rooms: rooms that the client was in, its own sid among them.
        data: python-socketio's user session.
        offline_for: seconds on the store's clock since its connection closed; None if no server saw it close.

    >>> ExpiredSession(Sid("1SYf"), Namespace("/"), ("1SYf", "lobby"), {"user": "ann"}, 120.4).data["user"]
    'ann'
    """

    sid: Sid
    namespace: Namespace
    rooms: tuple[Room, ...]
    data: Mapping[str, Any]  # the application's own dict, as in `SavedSession`
    offline_for: float | None
