"""What can befall servers and store in a simulated cluster, one step each; see `recovery.testing.steps`."""

from dataclasses import dataclass, field

from recovery.testing.cluster import SimulatedCluster
from recovery.testing.steps import is_up
from recovery.testing.storage import Fate

__all__ = [
    "Crash",
    "CutOff",
    "DeleteStream",
    "FailCommands",
    "FailOver",
    "Freeze",
    "JumpClock",
    "Lag",
    "Restart",
    "ShutDown",
    "StallStore",
    "StopReplication",
    "Trim",
]

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
        if is_up(cluster, self.server):
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
