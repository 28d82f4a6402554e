"""What can happen in a simulated cluster, one step each: said in words, and done.

Steps name servers and clients, and wait for nothing but `Wait`: what they begin goes on while later steps
happen. A step that makes no sense when its turn comes (its server was killed, its client has never been
connected) does nothing, so that any step can be left out of a story.
"""

from dataclasses import dataclass, field
from typing import Protocol

from recovery.records import Room
from recovery.testing.cluster import Drop, SimulatedCluster, Target
from recovery.testing.network import Pace
from recovery.testing.storage import Fate

__all__ = [
    "Come",
    "Crash",
    "CutOff",
    "DeleteStream",
    "Disconnect",
    "Emit",
    "Enter",
    "Exit",
    "FailCommands",
    "FailOver",
    "Freeze",
    "JumpClock",
    "Lag",
    "Leave",
    "Lose",
    "Restart",
    "SaveSession",
    "Shut",
    "ShutDown",
    "StallStore",
    "Step",
    "StopReading",
    "StopReplication",
    "Trim",
    "Wait",
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
        if not _is_up(cluster, self.server):
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
        if client.sid and _is_up(cluster, self.server):
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
        if client.sid and _is_up(cluster, self.server):
            cluster.leave_room(self.server, client, self.room, wait=False)


@dataclass(frozen=True, slots=True)
class Shut:
    """A server closes a room."""

    server: str
    room: Room

    def __str__(self) -> str:
        return f"{self.server} closes room {self.room}"

    def do(self, cluster: SimulatedCluster) -> None:
        if _is_up(cluster, self.server):
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
        if client.sid and _is_up(cluster, self.server):
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
        if client.sid and _is_up(cluster, self.server):
            cluster.disconnect(self.server, client, wait=False)


# What befalls servers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crash:
    """A server is killed; its connections are closed, unless the machine is gone, too."""

    server: str
    silent: bool = False

    def __str__(self) -> str:
        return f"{self.server} is killed" + (", and its machine is gone" if self.silent else "")

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.crash(self.server, silent=self.silent)


@dataclass(frozen=True, slots=True)
class Restart:
    """A server starts again; it is killed if it is still there."""

    server: str

    def __str__(self) -> str:
        return f"{self.server} starts again"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.restart(self.server)


@dataclass(frozen=True, slots=True)
class ShutDown:
    """A server shuts down in order, as in a rolling restart, and starts again a second later."""

    server: str

    def __str__(self) -> str:
        return f"{self.server} shuts down, and starts again after 1 s"

    def do(self, cluster: SimulatedCluster) -> None:
        if _is_up(cluster, self.server):
            cluster.roll(self.server, 1.0)


@dataclass(frozen=True, slots=True)
class Freeze:
    """A server stands still for a while."""

    server: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.server} stands still for {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.freeze(self.server, self.seconds)


@dataclass(frozen=True, slots=True)
class JumpClock:
    """The clock of a server, or of the "store", jumps."""

    whose: str
    seconds: float

    def __str__(self) -> str:
        return f"the clock of {self.whose} jumps by {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.jump_clock(None if self.whose == "store" else self.whose, self.seconds)


# What befalls the store --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StallStore:
    """The store stands still for a while."""

    seconds: float

    def __str__(self) -> str:
        return f"the store stands still for {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.stall_store(self.seconds)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A server cannot reach the store for a while; it is refused, or gets no answer."""

    server: str
    seconds: float
    refused: bool = False

    def __str__(self) -> str:
        how = "is refused by the store" if self.refused else "gets no answer of the store"
        return f"{self.server} {how} for {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.partition(self.server, self.seconds, refused=self.refused)


@dataclass(frozen=True, slots=True)
class FailCommands:
    """The next commands of a server to the store fail, each in its way; None is for one that does not."""

    server: str
    fates: tuple[Fate | None, ...] = field(default=(Fate.REPLY_LOST,))

    def __str__(self) -> str:
        fates = ", ".join("nothing" if fate is None else fate.name for fate in self.fates)
        return f"what happens to the next commands of {self.server} to the store: {fates}"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.fail_commands(self.server, self.fates)


@dataclass(frozen=True, slots=True)
class Lag:
    """A server reads everything so much later, from now on."""

    server: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.server} reads everything {self.seconds:g} s late from now on"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.lag(self.server, self.seconds)


@dataclass(frozen=True, slots=True)
class Trim:
    """Somebody trims the stream: all is gone up to an age."""

    seconds: float

    def __str__(self) -> str:
        return f"somebody trims the stream down to what is younger than {self.seconds:g} s"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.trim(self.seconds)


@dataclass(frozen=True, slots=True)
class DeleteStream:
    """Somebody deletes the stream."""

    def __str__(self) -> str:
        return "somebody deletes the stream"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.delete_stream()


@dataclass(frozen=True, slots=True)
class StopReplication:
    """The store's replica gets no more writes, so that a failover loses what is written from now on."""

    def __str__(self) -> str:
        return "the store's replica gets no more writes"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.stop_replication()


@dataclass(frozen=True, slots=True)
class FailOver:
    """The store fails over to its replica."""

    def __str__(self) -> str:
        return "the store fails over to its replica"

    def do(self, cluster: SimulatedCluster) -> None:
        cluster.fail_over()


def _is_up(cluster: SimulatedCluster, server: str) -> bool:
    return cluster.servers[server].is_alive


def _targets(cluster: SimulatedCluster, names: tuple[str, ...]) -> list[Target] | None:
    """The clients and rooms of these names; None if one of the clients has never been connected."""
    targets: list[Target] = [cluster.clients.get(name, name) for name in names]
    if any(not isinstance(target, str | int) and not target.sid for target in targets):
        return None
    return targets
