"""What can happen in a simulated cluster, one step each: said in words, and done.

Steps name servers and clients, and wait for nothing but `Wait`: what they begin goes on while later steps
happen. A step that makes no sense when its turn comes (its server was killed, its client has never been
connected) does nothing, so that any step can be left out of a story.
"""

from dataclasses import dataclass
from typing import Protocol

from recovery.records import Room
from recovery.testing.cluster import Drop, SimulatedCluster, Target
from recovery.testing.network import Pace

__all__ = [
    "Come",
    "Disconnect",
    "Emit",
    "Enter",
    "Exit",
    "Leave",
    "Lose",
    "SaveSession",
    "Shut",
    "Step",
    "StopReading",
    "Wait",
    "is_up",
]


class Step(Protocol):
    """One thing that happens."""

    def do(self, cluster: SimulatedCluster) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:g} s pass"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.advance(self.seconds)


# Clients -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Come:
    """A client connects, or comes back; a connection that it still has is left without a word.

    Attributes:
        delay: seconds that the connect handler takes.
        slowest: seconds that a frame travels at most.
    """

    client: str
    server: str
    delay: float = 0.0
    refuse: bool = False
    slowest: float = 0.005

    def __str__(self) -> str:
        handler = "refuses" if self.refuse else "lets it in"
        after = f" after {self.delay:g} s" if self.delay else ""
        slow = f", over a network that takes up to {self.slowest:g} s" if self.slowest > 0.01 else ""
        return f"{self.client} connects to {self.server}, whose connect handler {handler}{after}{slow}"

    def do(self, cluster: SimulatedCluster) -> None:
        client = cluster.clients[self.client]
        client.auth = {**client.auth, "delay": self.delay, "refuse": self.refuse}
        cluster.dial(client, self.server, pace=Pace(self.slowest / 10, self.slowest))


@dataclass(frozen=True, slots=True)
class Lose:
    """A client loses its connection."""

    client: str
    how: Drop

    def __str__(self) -> str:
        return f"{self.client} loses its connection: {self.how}"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.drop(cluster.clients[self.client], self.how)


@dataclass(frozen=True, slots=True)
class StopReading:
    """A client leaves in its buffers what comes, for a while."""

    client: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.client} reads nothing for {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.stop_reading(cluster.clients[self.client], self.seconds)


@dataclass(frozen=True, slots=True)
class Leave:
    """A client sends DISCONNECT."""

    client: str

    def __str__(self) -> str:
        return f"{self.client} disconnects for good"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.leave(cluster.clients[self.client])


# What the application does -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Emit:
    """A server emits packets, all at once.

    Attributes:
        to: rooms, or clients by name; nobody means everybody.
        skip: clients by name, or rooms.
    """

    server: str
    to: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    volatile: bool = False
    count: int = 1

    def __str__(self) -> str:
        what = "volatile packet" if self.volatile else "packet"
        number = f"a {what}" if self.count == 1 else f"{self.count} {what}s"
        skip = f", but not to {' and '.join(self.skip)}" if self.skip else ""
        return f"{self.server} emits {number} to {' and '.join(self.to) or 'everybody'}{skip}"

    def do(self, cluster: SimulatedCluster) -> None:
        if not is_up(cluster, self.server):
            return
        to, skip = _targets(cluster, self.to), _targets(cluster, self.skip)
        if to is None or skip is None:
            return
        for _ in range(self.count):
            cluster.emit(self.server, to or None, skip=skip or None, volatile=self.volatile, wait=False)


@dataclass(frozen=True, slots=True)
class Enter:
    """A server puts a client into a room."""

    server: str
    client: str
    room: Room

    def __str__(self) -> str:
        return f"{self.server} puts {self.client} into room {self.room}"

    def do(self, cluster: SimulatedCluster) -> None:
        client = cluster.clients[self.client]
        if client.sid and is_up(cluster, self.server):
            cluster.enter_room(self.server, client, self.room, wait=False)


@dataclass(frozen=True, slots=True)
class Exit:
    """A server takes a client out of a room."""

    server: str
    client: str
    room: Room

    def __str__(self) -> str:
        return f"{self.server} takes {self.client} out of room {self.room}"

    def do(self, cluster: SimulatedCluster) -> None:
        client = cluster.clients[self.client]
        if client.sid and is_up(cluster, self.server):
            cluster.leave_room(self.server, client, self.room, wait=False)


@dataclass(frozen=True, slots=True)
class Shut:
    """A server closes a room."""

    server: str
    room: Room

    def __str__(self) -> str:
        return f"{self.server} closes room {self.room}"

    def do(self, cluster: SimulatedCluster) -> None:
        if is_up(cluster, self.server):
            cluster.close_room(self.server, self.room, wait=False)


@dataclass(frozen=True, slots=True)
class SaveSession:
    """A server saves a client's user session."""

    server: str
    client: str
    value: int

    def __str__(self) -> str:
        return f"{self.server} saves {self.value} in the session of {self.client}"

    def do(self, cluster: SimulatedCluster) -> None:
        client = cluster.clients[self.client]
        if client.sid and is_up(cluster, self.server):
            cluster.save_session(self.server, client, {"value": self.value}, wait=False)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A server disconnects a client, wherever it is."""

    server: str
    client: str

    def __str__(self) -> str:
        return f"{self.server} disconnects {self.client}"

    def do(self, cluster: SimulatedCluster) -> None:
        client = cluster.clients[self.client]
        if client.sid and is_up(cluster, self.server):
            cluster.disconnect(self.server, client, wait=False)


def is_up(cluster: SimulatedCluster, server: str) -> bool:
    """Whether a server was not killed."""
    return cluster.servers[server].is_alive


def _targets(cluster: SimulatedCluster, names: tuple[str, ...]) -> list[Target] | None:
    """The clients and rooms of these names; None if one of the clients has never been connected."""
    targets: list[Target] = [cluster.clients.get(name, name) for name in names]
    if any(not isinstance(target, str | int) and not target.sid for target in targets):
        return None
    return targets
