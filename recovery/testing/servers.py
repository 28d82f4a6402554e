"""A server of a simulated cluster: a real `socketio.AsyncServer` with the real manager, in a process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import socketio

from adapter import AsyncRecoveryManager
from recovery.offsets import ORIGIN, Offset
from recovery.records import Recovery, Room
from recovery.testing.loop import Process, State, VirtualLoop
from recovery.testing.losses import Losses
from recovery.testing.recorder import Recorder
from recovery.testing.storage import StoreLink

__all__ = ["Application", "Operation", "SimulatedServer", "example_application"]

Application = Callable[[Any], None]
"""Registers handlers on a `socketio.AsyncServer` (python-socketio ships no types)."""


class Operation:
    """Something that a server was asked to do.

    Attributes:
        what: in words.
        error: what it raised, or None.
    """

    def __init__(self, what: str, process: Process) -> None:
        self.what = what
        self.error: Exception | None = None
        self._ended = False
        self._process = process

    @property
    def done(self) -> bool:
        """Whether it has returned or raised, or never will, as its server was killed."""
        return self._ended or self._process.state is State.KILLED

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do it, and keep what it raises."""
        try:
            await work()
        except Exception as exc:  # noqa: BLE001 - it is the caller's to judge
            self.error = exc
        self._ended = True


class SimulatedServer:
    """One server process; a restart makes a new one.

    Attributes:
        name: of the server.
        number: unlike that of any other, under this name too.
        process: to freeze, and to kill.
        link: its way to the store.
        sio: the server.
        manager: its manager.
        leaving: it is being shut down.
    """

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        link: StoreLink,
        recorder: Recorder,
        application: Application,
        *,
        server_options: dict[str, Any],
        settings: dict[str, Any],
        number: int,
        losses: Losses,
    ) -> None:
        self.name = name
        self.number = number
        self.process = loop.process(name)
        self.link = link
        self.leaving = False
        self._loop = loop
        self._recorder = recorder
        self._losses = losses
        self._outcomes: dict[str, Recovery] = {}
        self._known = recorder.end
        self._lanes: dict[str, Operation | None] = {}
        self.manager = _Manager(self, recorder, link, settings)
        self.sio: Any = socketio.AsyncServer(async_mode="asgi", client_manager=self.manager, **server_options)
        self.app = socketio.ASGIApp(self.sio)
        application(self.sio)
        loop.start(self.process, self.manager.begin())

    @property
    def is_running(self) -> bool:
        """Whether it is neither frozen nor killed."""
        return self.process.state is State.RUNNING

    @property
    def position(self) -> Offset:
        """All up to here was read by it, or confirmed to it."""
        return max(self._known, self.manager.reads_from())

    @property
    def has_read(self) -> Offset:
        """All up to here was read by it."""
        return self.manager.reads_from()

    @property
    def edge(self) -> Offset:
        """The last place that it has read, or published to."""
        return self.manager.edge()

    @property
    def knows_of_a_loss(self) -> bool:
        """It knows of lost writes that nobody was told of."""
        return self._losses.known_to(self.number)

    @property
    def is_alive(self) -> bool:
        """Whether it was not killed."""
        return self.process.state is not State.KILLED

    def outcome_of(self, sid: str) -> Recovery | None:
        """What its application was told of a connection."""
        return self._outcomes.get(sid)

    def note_outcome(self, sid: str, recovery: Recovery) -> None:
        """A client is being let in."""
        self._outcomes[sid] = recovery

    def note_confirmed(self, offset: Offset) -> None:
        """An entry of its own is in the stream, and it knows that."""
        self._known = max(self._known, offset)

    def start(self, what: str, work: Callable[[], Awaitable[Any]]) -> Operation:
        """Have something done, and do not wait for it."""
        operation = Operation(what, self.process)
        self._loop.start(self.process, operation.run(work))
        return operation

    def lane(self) -> str:
        """A producer none of whose emits is under way: those of one have an order."""
        for lane, operation in self._lanes.items():
            if operation is None or operation.done:
                return lane
        lane = f"{self.name}/{len(self._lanes) + 1}"
        self._lanes[lane] = None
        return lane

    def occupy(self, lane: str, operation: Operation) -> None:
        """An emit of a producer is under way."""
        self._lanes[lane] = operation


class _Manager(AsyncRecoveryManager):
    """The manager, as it is, and written down what is asked of it."""

    def __init__(
        self, server: SimulatedServer, recorder: Recorder, store: StoreLink, settings: dict[str, Any]
    ) -> None:
        super().__init__(store, **settings)
        self._simulated = server
        self._recorder = recorder
        self._begun = False

    async def begin(self) -> None:
        """Make the runtime, in the running loop."""
        _ = self._process.runtime_of("/")
        self._begun = True

    def reads_from(self) -> Offset:
        """Where its reader is."""
        return self._process.dispatcher_of("/").position if self._begun else ORIGIN

    def edge(self) -> Offset:
        """The last place that it has read, or published to."""
        return self._process.dispatcher_of("/").edge if self._begun else ORIGIN

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        sid = await super().pre_connect(eio_sid, namespace)
        if sid is not None:
            with contextlib.suppress(KeyError):  # a test client's connection has none
                self._simulated.note_outcome(sid, self.recovery(sid, namespace))
        return sid

    async def enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        with self._recorder.room_change(self._simulated, sid, room, entered=True):
            await super().enter_room(sid, namespace, room, eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: Room) -> None:
        with self._recorder.room_change(self._simulated, sid, room, entered=False):
            await super().leave_room(sid, namespace, room)

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        with self._recorder.room_closing(room):
            await super().close_room(room, namespace)

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        client = self._process.clients.find(namespace, sid)
        held = client is not None and client.held  # what it got until the handler returned follows
        with self._recorder.ending(sid, certain=not held):
            return await super().can_disconnect(sid, namespace)


def example_application(sio: Any) -> None:
    """Handlers that do what a client's `auth` says, for plans.

    ``{"rooms": [...], "delay": seconds, "refuse": bool}``: the rooms that it enters, unless it is recovered;
    how long the connect handler takes; whether it refuses.
    """

    async def connect(sid: str, environ: Any, auth: dict[str, Any] | None = None) -> bool:
        wishes = auth or {}
        if not environ["socketio.recovery"].recovered:
            for room in wishes.get("rooms", ()):
                await sio.enter_room(sid, room)
        if wishes.get("delay"):
            await asyncio.sleep(wishes["delay"])
        return not wishes.get("refuse")

    async def disconnect(_sid: str, _reason: str) -> None:
        await asyncio.sleep(0.001)  # a handler takes its time

    sio.on("connect", connect)
    sio.on("disconnect", disconnect)
