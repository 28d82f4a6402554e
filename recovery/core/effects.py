"""What follows from a dispatched entry besides packets: for the front end to carry out, in its own tasks.

The dispatcher must neither wait nor run code of the application, so it only says what is to be done.
Answers to this server's own questions (`Release`, `SessionAnswer`, `Acknowledgement`) and events for servers
(`ServerEvent`) are passed on as they were read.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from recovery.core.connection import Connection
from recovery.core.control import Acknowledgement, Release, ServerEvent, SessionAnswer, Takeover
from recovery.core.packets import AckRequest
from recovery.records import Room

__all__ = [
    "Disconnected",
    "Effect",
    "Overflowed",
    "RoomChanged",
    "SessionReplaced",
    "SessionWanted",
    "TakenOver",
]

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class RoomChanged(Generic[F]):
    """A client was put into a room, or out of it, by an entry."""

    connection: Connection[F]
    room: Room
    entered: bool


@dataclass(frozen=True, slots=True)
class Disconnected(Generic[F]):
    """A client was disconnected by an entry; it gets nothing after it. With `close` its transport goes."""

    connection: Connection[F]
    close: bool = False


@dataclass(frozen=True, slots=True)
class TakenOver(Generic[F]):
    """A takeover concerns this server.

    Attributes:
        connection: the connection that it ended here, if there was one.
        asked: the claimer waits for this server to say that its disconnect handler has finished.
    """

    takeover: Takeover
    connection: Connection[F] | None
    asked: bool


@dataclass(frozen=True, slots=True)
class SessionReplaced(Generic[F]):
    """A client's user session was replaced by an entry; the connection has it already."""

    connection: Connection[F]


@dataclass(frozen=True, slots=True)
class SessionWanted(Generic[F]):
    """Another server asks for the user session of a client that is connected here."""

    connection: Connection[F]
    request: AckRequest


@dataclass(frozen=True, slots=True)
class Overflowed(Generic[F]):
    """More waits for a client than ``max_client_buffer`` allows."""

    connection: Connection[F]


Effect = (
    RoomChanged[F]
    | Disconnected[F]
    | TakenOver[F]
    | SessionReplaced[F]
    | SessionWanted[F]
    | Overflowed[F]
    | Release
    | SessionAnswer
    | Acknowledgement
    | ServerEvent
)
