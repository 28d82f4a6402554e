"""The servers of a cluster, and what they answer: values for applications and for the inspector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recovery.errors import MalformedError
from recovery.offsets import Offset, parse_offset
from recovery.packing import is_list, is_map
from recovery.records import Namespace, Room, ServerId, Sid
from recovery.rooms import is_room

__all__ = ["BroadcastAnswers", "PeerKind", "RemoteSocket", "Report", "ServerRecord"]


class PeerKind(StrEnum):
    """What a server runs."""

    PYTHON = "python"
    """This library; it sends reports."""
    NODE = "node"
    """Anything that answers without a report: Node's adapter does."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a server of ours says of itself, in heartbeats and answers.

    Attributes:
        name: host and process id, for people.
        position: the last entry of the stream that it has read.
        clients: how many are connected to it, in all namespaces.
        namespaces: those that it listens to.
        outcomes: how often it has recovered clients that asked, and refused them by reason, since it began.
    """

    name: str
    position: Offset
    clients: int
    namespaces: tuple[Namespace, ...]
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])

    def fields(self) -> dict[str, Any]:
        """The report as it travels."""
        return {
            "name": self.name,
            "position": str(self.position),
            "clients": self.clients,
            "namespaces": list(self.namespaces),
            "outcomes": dict(self.outcomes),
        }

    @classmethod
    def read(cls, fields: object) -> "Report | None":
        """What `fields` wrote, or None if it is no such thing.

        >>> Report.read({"name": "web-1:17", "position": "5-0", "clients": 2, "namespaces": ["/"]}).clients
        2
        """
        if not is_map(fields):
            return None
        name, clients = fields.get("name"), fields.get("clients")
        namespaces, position = fields.get("namespaces"), fields.get("position")
        if not isinstance(name, str) or not isinstance(clients, int) or not is_list(namespaces):
            return None
        if not isinstance(position, str) or not all(isinstance(each, str) for each in namespaces):
            return None
        try:
            place = parse_offset(position)
        except ValueError:
            return None
        joined = tuple(map(Namespace, namespaces))
        return cls(name, place, clients, joined, _counts(fields.get("outcomes")))


def _counts(fields: object) -> dict[str, int]:
    if not is_map(fields):
        return {}
    return {
        outcome: times
        for outcome, times in fields.items()
        if isinstance(times, int) and isinstance(outcome, str)
    }


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server of the cluster.

    Attributes:
        server: its id; the servers of Node's have one for each namespace.
        answered: False if it did not answer this time; then all else is what it said last.
        silent_for: seconds since its last word.
        name: host and process id; "" for one of Node's, as all that follows is unknown then.
        clients: how many are connected to it, None if unknown.
        lag: seconds of the stream by which it is behind the server that has read most, None if unknown.
        outcomes: how often it has recovered clients, and refused them by reason; None if unknown.

    >>> ServerRecord(ServerId("c2f0"), PeerKind.NODE, True, 0.0).lag is None
    True
    """

    server: ServerId
    kind: PeerKind
    answered: bool
    silent_for: float
    name: str = ""
    clients: int | None = None
    lag: float | None = None
    outcomes: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RemoteSocket:
    """A connected client, on whatever server it is.

    Attributes:
        id: its sid.
        handshake: as Node has it: ``headers``, ``address``, ``url``, ``query``, ``secure``, ``time``, ...
        rooms: that it is in, its own sid among them.
        data: its user session, or Node's ``socket.data``.
        server: where it is.

    >>> RemoteSocket(Sid("1SYf"), {}, ("1SYf", "news"), {"user": "ann"}, ServerId("c2f0")).data["user"]
    'ann'
    """

    id: Sid
    handshake: Mapping[str, Any] = field(repr=False)  # of any JSON
    rooms: tuple[Room, ...]
    data: Mapping[str, Any] = field(repr=False)  # the application's own
    server: ServerId

    @classmethod
    def read(cls, fields: object, server: ServerId) -> "RemoteSocket":
        """One of the ``sockets`` of an answer; raises `MalformedError`."""
        if not is_map(fields) or not isinstance(fields.get("id"), str):
            raise MalformedError("a socket has no 'id'")
        rooms, handshake, data = (fields.get(name) for name in ("rooms", "handshake", "data"))
        if not is_list(rooms) or not all(map(is_room, rooms)):
            raise MalformedError("the 'rooms' of a socket are no list of rooms")
        return cls(
            Sid(fields["id"]),
            handshake if is_map(handshake) else {},
            tuple(rooms),
            data if is_map(data) else {},
            server,
        )


@dataclass(frozen=True, slots=True)
class BroadcastAnswers:
    """What the clients said that got an event.

    Attributes:
        responses: the answers in the order in which they came.
        by_client: those of clients on servers of ours, by sid; Node's servers do not tell whose an answer is.
        silent: clients that got it and did not answer in time, as far as they are known by sid.
        unknown: how many more clients there are that did not answer, on Node's servers.
        servers: ids of servers that did not say in time how many clients they have.
        unknown_servers: how many more of these there are.

    >>> BroadcastAnswers(["yes"], {"1SYf": "yes"}, ("2TZg",), 0, (), 0).complete
    False
    """

    responses: list[Any]
    by_client: Mapping[Sid, Any]
    silent: tuple[Sid, ...]
    unknown: int
    servers: tuple[ServerId, ...]
    unknown_servers: int

    @property
    def complete(self) -> bool:
        """Whether every client of every server has answered."""
        return not (self.silent or self.unknown or self.servers or self.unknown_servers)
