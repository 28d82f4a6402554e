"""What the servers and the clients of the demo report, and the lines in which servers say it.

A server process and the demo talk in lines of JSON over the process's standard input and output. Each
line is one record, ``{"record": <class>, ...fields}``.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from recovery.offsets import Offset

__all__ = [
    "EVERYONE",
    "Emit",
    "Failed",
    "Finished",
    "Line",
    "Listening",
    "Packet",
    "PacketId",
    "Receipt",
    "Sent",
    "Start",
    "Stop",
    "Welcomed",
    "read_line",
    "read_packet",
    "write_line",
]

EVERYONE = "everyone"
"""Address of a broadcast; the other addresses are rooms and names of clients."""


class PacketId(NamedTuple):
    """Name of a packet: the server that emitted it, and its number there, counted from 1."""

    server: str
    number: int

    def __str__(self) -> str:
        return f"{self.server}{self.number}"


@dataclass(frozen=True, slots=True)
class Packet:
    """One numbered packet, as emitted; its fields are also its payload.

    Attributes:
        to: addresses; who has any of them gets the packet, once.
        but: name of the one client that is left out, or None.
        at: seconds since 1970 just before the emit, on the clock of this machine.
    """

    server: str
    number: int
    to: tuple[str, ...]
    but: str | None
    at: float

    @property
    def id(self) -> PacketId:
        """The packet's name."""
        return PacketId(self.server, self.number)

    def addresses(self, client: str, rooms: frozenset[str]) -> bool:
        """Tell whether a client in these rooms should get the packet.

        >>> Packet("A", 1, ("red", "c07"), None, 0.0).addresses("c07", frozenset({"blue"}))
        True
        """
        return client != self.but and any(to in {EVERYONE, client} or to in rooms for to in self.to)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A packet reached a client's handler.

    Attributes:
        offset: the event's last argument; None if there was none.
        at: seconds since 1970.
    """

    packet: Packet
    offset: Offset | None
    at: float


@dataclass(frozen=True, slots=True)
class Emit:
    """What to emit next.

    Attributes:
        to, but: as in `Packet`.
    """

    to: tuple[str, ...]
    but: str | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """A server is ready; the first line that it writes."""

    port: int


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A server's connect handler ran.

    Attributes:
        reason: why a client that asked for its session did not get it (a word of
            `recovery.reasons.Reason`); None if it did, or did not ask.
        problem: what the handler found wrong with a session that was recovered, or None.
    """

    client: str
    sid: str
    recovered: bool
    reason: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A server's emit returned, so the packet is in the stream."""

    packet: Packet


@dataclass(frozen=True, slots=True)
class Failed:
    """A server's emit raised; the server emits nothing more."""

    error: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A server emits nothing more, and has reported everything that it emitted."""


@dataclass(frozen=True, slots=True)
class Start:
    """Tell a server to emit.

    Attributes:
        sids: of all clients, by name.
        rooms: all rooms.
    """

    sids: dict[str, str] = field(default_factory=dict[str, str])
    rooms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a server to emit nothing more and to answer `Finished`."""


Line = Listening | Welcomed | Sent | Failed | Finished | Start | Stop
_CLASSES: dict[str, type[Line]] = {
    line.__name__: line for line in (Listening, Welcomed, Sent, Failed, Finished, Start, Stop)
}


def write_line(line: Line) -> str:
    r"""Encode a record as one line, with its end.

    >>> write_line(Listening(port=4242))
    '{"record":"Listening","port":4242}\n'
    """
    return json.dumps({"record": type(line).__name__, **asdict(line)}, separators=(",", ":")) + "\n"


def read_line(text: str) -> Line:
    """Decode what `write_line` made.

    Raises:
        ValueError: it is nothing that `write_line` makes.
    """
    try:
        values = json.loads(text)
        kind = _CLASSES[values.pop("record")]
        if kind is Sent:
            return Sent(read_packet(values["packet"]))
        if "rooms" in values:
            values["rooms"] = tuple(values["rooms"])
        return kind(**values)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"cannot read the line {text[:80]!r}") from exc


def read_packet(payload: dict[str, Any]) -> Packet:
    """Make a packet out of its fields as JSON has them.

    Raises:
        KeyError, TypeError: these are not the fields of a packet.
    """
    return Packet(payload["server"], payload["number"], tuple(payload["to"]), payload["but"], payload["at"])
