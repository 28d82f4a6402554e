"""A whole server without transports: the flows, driven synchronously, over a store in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recovery.commands import Append, Appended, Command, OpenStream, RenewStream
from recovery.core.connection import Connection, Phase
from recovery.core.decision import Presented
from recovery.core.dispatcher import Dispatcher
from recovery.core.effects import Effect, RoomChanged, SessionReplaced, TakenOver
from recovery.core.replay_log import ReplayLog
from recovery.core.saving import save_command
from recovery.drafts import Drafts
from recovery.driver import run
from recovery.entries import PayloadCodec
from recovery.flows.admission import Newcomer, admit
from recovery.flows.backfill import complete_log
from recovery.flows.reading import read_on
from recovery.flows.steps import (
    AwaitPosition,
    AwaitRelease,
    Claim,
    Clock,
    CompleteLog,
    Pause,
    Publish,
    Vacate,
)
from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Draft, Epoch, HolderState, Namespace, Pid, ServerId, Sid
from recovery.settings import Settings
from recovery.stores.memory import MemoryState
from tests.unit.builders import NSP, Client, Frame, Frames

__all__ = ["SETTINGS", "Host", "Names", "gone_away", "presenting"]

SETTINGS = Settings(
    max_disconnection_duration=60.0,
    checkpoint_interval=5.0,
    max_client_buffer=5,
    max_replay=5,
    log_max_entries=20,
)
"""Small bounds, so that a test can reach them."""


@dataclass(slots=True)
class Names:
    """Fresh names for connections, the same in every run."""

    count: int = 0

    def next(self) -> str:
        self.count += 1
        return f"{self.count:020d}"


class Host:
    """One server.

    Attributes:
        performed: the commands of all flows, in order.
        saving: False stops its writes of sessions, as if it were killed right after.
        reading: False stops its reader, so that it falls behind.
        on_wait: called while a flow waits for the reader or for another server.
        now: seconds on the clock that flows see; pauses move it.
    """

    def __init__(
        self,
        state: MemoryState,
        server: str = "one",
        *,
        settings: Settings | None = None,
        names: Names | None = None,
    ) -> None:
        self.state = state
        self.now = 0.0
        self.server = ServerId(server)
        self.settings = settings or Settings(max_disconnection_duration=60.0, checkpoint_interval=5.0)
        self.drafts = Drafts(self.server, PayloadCodec())
        log: ReplayLog[Frame] = ReplayLog(
            ORIGIN, max_entries=self.settings.log_max_entries, max_bytes=self.settings.log_max_bytes
        )
        self.dispatcher: Dispatcher[Frame] = Dispatcher(
            self.server,
            log,
            self.drafts.codec,
            Frames(),
            max_client_buffer=self.settings.max_client_buffer,
        )
        self.performed: list[Command[Any]] = []
        self.effects: list[Effect[Frame]] = []
        self.reading = True
        self.saving = True
        self.on_wait: Callable[[], object] = lambda: None
        self._names = names or Names()
        self._sequence = 1
        stream = state.execute(OpenStream(Epoch("epoch")))
        self.dispatcher.skip_to(stream.last, stream.epoch)

    # ------------------------------------------------------------------ what an application does

    def emit(self, *drafts: Draft) -> tuple[Offset, ...]:
        """Append entries; they are dispatched when `read` is called."""
        command = Append(
            self.server, self._sequence, drafts, Epoch("other"), self.retention_ms, self.settings.max_len
        )
        self._sequence += len(drafts)
        appended: Appended = self.state.execute(command)
        self.dispatcher.published = max(self.dispatcher.published, appended.offsets[-1])
        return appended.offsets

    def event(self, name: str, *rooms: str) -> Offset:
        """Emit an event to rooms, to everyone if none are given."""
        return self.emit(self.drafts.broadcast(NSP, [name], Audience(rooms)))[0]

    def enter(self, connection: Connection[Frame], room: str) -> None:
        self.dispatcher.enter(connection, room)
        self.save(connection)

    def leave(self, connection: Connection[Frame], room: str) -> None:
        self.dispatcher.leave(connection, room)
        self.save(connection)

    # ------------------------------------------------------------------ connections

    def connect(self, presented: Presented | None = None, **changes: Any) -> Connection[Frame]:
        """Admit a client and accept it; see `admit`."""
        connection = self.admit(presented, **changes)
        self.accept(connection)
        return connection

    def admit(self, presented: Presented | None = None, **changes: Any) -> Connection[Frame]:
        newcomer = self.newcomer(presented, **changes)
        return run(admit(newcomer, self.dispatcher, self.drafts, self.settings), self.perform)

    def newcomer(
        self,
        presented: Presented | None = None,
        *,
        namespace: Namespace = NSP,
        identity: str = "",
        client: Client | None = None,
    ) -> Newcomer[Frame]:
        name = self._names.next()
        to = client or Client()
        return Newcomer(
            namespace=namespace,
            transport=f"eio{name}",
            presented=presented or Presented(),
            identity=identity,
            nonce=f"nonce{name}",
            sid=Sid(f"sid{name}"),
            pid=Pid(f"pid{name}"),
            send=to.send,
            with_offsets=True,
        )

    def accept(self, connection: Connection[Frame]) -> None:
        """What the front end does when the connect handler has accepted."""
        fresh = not connection.recovery.recovered
        self.save(connection, create=fresh)
        connection.connect_sent = True
        connection.go_live()

    def drop(self, connection: Connection[Frame]) -> None:
        """The transport closes, and the disconnect handler finishes."""
        if connection.phase is not Phase.ENDED:
            self.dispatcher.end(connection)
            self.save(connection, HolderState.AWAY)

    def disconnect(self, connection: Connection[Frame]) -> None:
        """The client or the application disconnects."""
        self.dispatcher.end(connection)
        self.save(connection, HolderState.ENDED)

    def save(
        self,
        connection: Connection[Frame],
        state: HolderState = HolderState.LIVE,
        *,
        whole: bool = True,
        create: bool = False,
    ) -> object:
        if not self.saving:
            return None
        return self.state.execute(
            save_command(
                connection,
                state,
                server=self.server,
                position=self.dispatcher.position,
                window_ms=self.settings.window_ms,
                linger_ms=self.settings.window_ms,
                live_ms=self.retention_ms,
                whole=whole,
                create=create,
            )
        )

    @property
    def retention_ms(self) -> int:
        return self.settings.retention_ms(1.0, 1.0)

    # ------------------------------------------------------------------ flows

    def read(self, count: int | None = None) -> list[Effect[Frame]]:
        """Read on to the end of the stream, or up to `count` entries."""
        found: list[Effect[Frame]] = []
        while True:
            batch = run(
                read_on(
                    self.dispatcher.position,
                    count=count or self.settings.read_count,
                    block_ms=0,
                    retention_ms=self.retention_ms,
                    doubtful=False,
                    renewal=RenewStream(Epoch("epoch"), Epoch("another"), self.dispatcher.edge),
                ),
                self.state.execute,
            )
            if not batch.entries:
                return found
            effects = self.dispatcher.dispatch(batch.entries)
            found += effects
            self.effects += effects
            for effect in effects:
                self._carry_out(effect)
            if count is not None:
                return found

    def perform(self, command: Command[Any]) -> Any:
        self.performed.append(command)
        match command:
            case Clock():
                return self.now
            case Pause():
                self.now += command.seconds
                return None
            case Claim():
                return self.perform(command.command)
            case Publish():
                return self.emit(command.draft)[0]
            case AwaitPosition():
                self.on_wait()
                if self.reading and self.dispatcher.position < command.offset:
                    self.read()
                return self.dispatcher.position >= command.offset
            case AwaitRelease():
                self.on_wait()
                return True
            case CompleteLog():
                flow = complete_log(self.dispatcher.log, command.back_to, count=self.settings.read_count)
                return run(flow, self.state.execute)
            case Vacate():
                return self._vacate(command)
            case _:
                return self.state.execute(command)

    def _vacate(self, step: Vacate) -> bool:
        old = self.dispatcher.find(step.namespace, step.sid)
        if old is not None and old.number < step.number:
            self.drop(old)
            return True
        return old is None

    def _carry_out(self, effect: Effect[Frame]) -> None:
        if isinstance(effect, RoomChanged | SessionReplaced) and effect.connection.phase is not Phase.ENDED:
            self.save(effect.connection)
        if isinstance(effect, TakenOver) and effect.asked:
            takeover = effect.takeover
            self.emit(
                self.drafts.released(takeover.namespace, takeover.sid, takeover.number, takeover.claimer)
            )


def gone_away(host: Host) -> Connection[Frame]:
    """A client that was connected, received a packet, and is away."""
    connection = host.connect()
    host.event("received")
    host.read()
    host.drop(connection)
    return connection


def presenting(connection: Connection[Frame], offset: Offset | None = None) -> Presented:
    """What the client of a connection presents when it comes back."""
    return Presented(connection.pid, offset)
