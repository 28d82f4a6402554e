"""The servers and the store of a simulated cluster, and all that can befall them."""

from collections.abc import Sequence
from typing import Any

from recovery.commands import Append, Appended, GetStream
from recovery.offsets import ORIGIN, Offset
from recovery.stores.memory_state import Snapshot
from recovery.testing.faults import FaultKind, FaultLog
from recovery.testing.loop import VirtualLoop
from recovery.testing.losses import Losses, Witness
from recovery.testing.network import Connection
from recovery.testing.recorder import Recorder
from recovery.testing.servers import Application, Operation, SimulatedServer
from recovery.testing.storage import Fate, SimulatedStore, StoreLink

__all__ = ["Adversity"]

_AFTERMATH = 15.0  # seconds within which a fault of the store may still be felt: retries, timeouts, releases


class Adversity:
    """Servers that share a store; see `recovery.testing.cluster.SimulatedCluster`, which adds the clients.

    Attributes:
        loop: in which all runs.
        servers: by name. A restart puts a new one in place.
        store: the one that they share.
        recorder: writes the history.
        faults: what befell whom, when.
        losses: what the store lost, and nobody has been told.
    """

    def __init__(
        self,
        *,
        servers: int,
        seed: int,
        application: Application,
        server_options: dict[str, Any],
        settings: dict[str, Any],
    ) -> None:
        self.loop = VirtualLoop.make(seed=seed)
        self.servers: dict[str, SimulatedServer] = {}
        self.recorder = Recorder(self.loop.time, self._end)
        self.store = SimulatedStore(self.loop, seed=seed, appended=self._appended, renewed=self._renewed)
        self.faults = FaultLog()
        self.losses = Losses(self.faults)
        self.settings = settings
        self.server_options = server_options
        self.operations: list[Operation] = []
        self._application = application
        self._connections: dict[int, tuple[SimulatedServer, Connection]] = {}
        self._starts = 0
        self._replica: Snapshot | None = None
        self._replicated_until = 0.0
        for number in range(1, servers + 1):
            self._start(f"s{number}")

    @property
    def time(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time()

    # Servers -------------------------------------------------------------------------------------------

    def crash(self, server: str, *, silent: bool = False) -> None:
        """Kill a server. Its connections are closed by the operating system, unless that is gone, too."""
        target = self.servers[server]
        self.faults.note(FaultKind.CRASH, server, self.time, self.time)
        self.loop.kill(target.process)
        self.losses.died(target.number, self.time)
        for owner, connection in self._connections.values():
            if owner is target and not connection.is_over:
                if silent:
                    connection.silence()
                else:
                    connection.die()

    def restart(self, server: str) -> None:
        """Start a server anew; one that is still there is killed first."""
        if self.servers[server].is_alive:
            self.crash(server)
        self._start(server)

    def roll(self, server: str, pause: float) -> None:
        """Shut a server down in order, and start it again after a pause; does not wait for that."""
        target = self.servers[server]
        if target.leaving:
            return
        target.leaving = True

        async def shut_down() -> None:
            await target.sio.shutdown()
            self.loop.call_outside(self.time, self._replace, server, target, pause)

        self.faults.note(FaultKind.CRASH, server, self.time, self.time + pause)
        self.operations.append(target.start("shut down", shut_down))

    def freeze(self, server: str, seconds: float | None = None) -> None:
        """Stop a server as SIGSTOP does, for a while, or until `thaw`."""
        target = self.servers[server]
        if not target.is_running:
            return
        self.loop.freeze(target.process)
        end = None if seconds is None else self.time + seconds
        self.faults.note(FaultKind.FREEZE, server, self.time, end)
        if end is not None:
            self.loop.call_outside(end, self.loop.thaw, target.process)

    def thaw(self, server: str) -> None:
        """Let a frozen server go on."""
        self.loop.thaw(self.servers[server].process)

    def jump_clock(self, server: str | None, seconds: float) -> None:
        """Set the clock of a server, or of the store (None), forward or back."""
        if server is None:
            self.store.clock_shift += seconds
            self.faults.note_jump(self.time, seconds)
        else:
            self.servers[server].process.clock_shift += seconds

    # The store -----------------------------------------------------------------------------------------

    def stall_store(self, seconds: float | None = None) -> None:
        """Let the store stand still, for a while, or until `heal`."""
        self.store.stall()
        self._note_store_fault(None, seconds)
        if seconds is not None:
            self.loop.call_outside(self.time + seconds, self.store.go_on)

    def partition(self, server: str, seconds: float | None = None, *, refused: bool = False) -> None:
        """Cut a server off from the store; it is refused, or hears nothing."""
        link = self.servers[server].link
        link.cut_off(Fate.REFUSED if refused else Fate.FAILS)
        self._note_store_fault(server, seconds)
        if seconds is not None:
            self.loop.call_outside(self.time + seconds, link.rejoin)

    def fail_commands(self, server: str, fates: Sequence[Fate | None]) -> None:
        """Decide what happens to the next commands of a server to the store."""
        link = self.servers[server].link
        link.fates.extend(fates)

    def lag(self, server: str, seconds: float) -> None:
        """Let a server read everything so much later; 0 to end that."""
        self.servers[server].link.read_lag = seconds
        if seconds:
            self._note_store_fault(server, None)

    def trim(self, older_than: float) -> None:
        """Trim the stream by hand: what is older than so many seconds is gone, but the last entry.

        What a server that reads has still to read is left: nothing could tell it that it is gone. One that is
        cut off finds out when it is back.
        """
        cutoff = Offset(max(0, int((self.store.clock() - older_than) * 1000)), 0)
        for server in self.servers.values():
            if server.is_alive and server.link.cut is None:
                cutoff = min(cutoff, server.manager.reads_from())
        self.store.state.trim_stream(cutoff)
        self._note_trimming()
        self.faults.note(FaultKind.TRIM, None, self.time, None)

    def delete_stream(self) -> None:
        """Delete the stream."""
        self.store.state.delete_stream()
        self.recorder.store_lost(ORIGIN, self.store.end)
        self._note_loss(ORIGIN)

    def stop_replication(self) -> None:
        """Let the store's replica have no more writes."""
        self._replica, self._replicated_until = self.store.state.snapshot(), self.time

    def fail_over(self, seconds: float = 1.0) -> None:
        """Let the replica take over, which has nothing that came after `stop_replication`.

        All connections to the store break, and nobody gets another one for so many seconds.
        """
        if self._replica is None:
            return
        replica, self._replica = self._replica, None
        for server in self.servers.values():
            self.partition(server.name, seconds, refused=True)
        self.faults.note(FaultKind.ROLLBACK, None, self._replicated_until, self.time)
        upto, undone = self.store.end, self.store.fail_over(replica)
        self.recorder.store_lost(self.store.end, upto, undone)
        self._note_loss(self.store.end)

    def heal(self) -> None:
        """End all faults that can end: thaw what is frozen, start what was killed."""
        self.store.go_on()
        for name, server in list(self.servers.items()):
            server.link.rejoin()
            server.link.fates.clear()
            server.link.read_lag = 0.0
            self.thaw(name)
            if not server.is_alive:
                self._start(name)
        self.faults.end(self.time)

    # Inside --------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._starts += 1
        link = self.store.link(f"{name}/{self._starts}", self._failed)
        self.servers[name] = link.owner = SimulatedServer(
            name,
            self.loop,
            link,
            self.recorder,
            self._application,
            server_options=self.server_options,
            settings=self.settings,
            number=self._starts,
            losses=self.losses,
        )
        self.faults.note(FaultKind.CRASH, name, self.time, self.time)

    def _replace(self, name: str, server: SimulatedServer, pause: float) -> None:
        """A server has shut down."""
        if self.servers[name] is server and server.is_alive:
            self.crash(name)
            self.loop.call_outside(self.time + pause, self._start_if_gone, name, server)

    def _start_if_gone(self, name: str, server: SimulatedServer) -> None:
        if self.servers[name] is server:
            self._start(name)

    def _note_store_fault(self, server: str | None, seconds: float | None) -> None:
        end = None if seconds is None else self.time + seconds
        self.faults.note(FaultKind.STORE, server, self.time, end)

    def _failed(self, link: StoreLink) -> None:
        """A command of a server failed."""
        self.faults.note(FaultKind.STORE, link.owner.name, self.time, self.time)

    def _end(self) -> Offset:
        return self.store.state.last

    def _appended(self, link: StoreLink, command: Append, reply: Appended) -> None:
        self.recorder.appended(link.owner, command, reply)
        self._note_trimming()

    def _renewed(self, place: Offset) -> None:
        self.recorder.loss_told(place)
        self.losses.told()

    def _note_loss(self, after: Offset) -> None:
        servers = [server for server in self.servers.values() if server.is_alive]
        self.losses.lose(
            self.time, after, [Witness(server.name, server.number, server.edge) for server in servers]
        )
        self.faults.note(FaultKind.LOSS, None, self.time, None)

    def _note_trimming(self) -> None:
        if self.losses.pending:
            stream = self.store.state.execute(GetStream())
            if stream is not None:
                self.losses.trimmed(stream.first)
