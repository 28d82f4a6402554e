"""Sixteen threads emit and move rooms while clients drop: no packet lost, doubled or misplaced, no deadlock.

``THREADS_SECONDS`` says for how long; a few seconds by default.
"""

import faulthandler
import json
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from recovery.commands import Read
from recovery.errors import SaveError
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.records import Audience
from recovery.stores.memory import MemoryState, shared_state
from recovery.testing.checker import check
from recovery.testing.history import Accepted, Dropped, Emitted, History, MembershipChanged, Received
from tests.sync.harness import Client, Server, open_server
from tests.waiting import wait_until

_SECONDS = float(os.environ.get("THREADS_SECONDS", "3"))
_WORKERS = 16
_CLIENTS = 6
_PATIENCE = 60.0  # seconds after which a thread counts as stuck


class _Watcher:
    """Writes down what happens, in order."""

    def __init__(self, state: MemoryState) -> None:
        self.happened: list[Any] = []
        self.emitted: dict[str, Emitted] = {}
        self.state = state
        self._connections = 0
        self._lock = threading.Lock()

    def add(self, event: Any) -> None:
        with self._lock:
            self.happened.append(event)

    def next_connection(self) -> int:
        with self._lock:
            self._connections += 1
            return self._connections

    def history(self, clients: "list[_Watched]") -> History:
        """All that happened, with the places that packets have in the stream."""
        places: dict[str, Offset] = {}
        for entry in self.state.execute(Read(ORIGIN, 1_000_000, 0)):
            data = dict(entry.fields).get(b"data", b"")
            if b'"n"' in data:
                places[json.loads(data)["packet"]["data"][1]] = entry.offset
        history = History(settled={client.name for client in clients})
        for name, event in self.emitted.items():
            history.add(
                Emitted(
                    event.packet, event.producer, event.number, audience=event.audience, offset=places[name]
                )
            )
        for event in self.happened:
            history.add(event)
        return history


class _Watched(Client):
    """A client of which everything is written down."""

    def __init__(self, server: Server, name: str, watcher: _Watcher) -> None:
        super().__init__(server)
        self.name = name
        self._watcher = watcher
        self._connection = 0
        self._asked = ORIGIN

    def dial(self, server: Server | None = None) -> None:
        if self._connection:
            with self._lock:
                self._watcher.add(Dropped(self.name, self._connection))
        self._asked = self._watcher.state.last
        super().dial(server)

    def _hear(self, frame: str) -> None:
        known = len(self.outcomes), len(self.events)
        super()._hear(frame)
        if len(self.outcomes) > known[0]:
            self._connection = self._watcher.next_connection()
            recovered, by = self.outcomes[-1] == "recovered", self._watcher.state.last
            self._watcher.add(
                Accepted(self.name, self._connection, self.sid, recovered, after=self._asked, by=by)
            )
        if len(self.events) > known[1] and self.events[-1][0] == "n":
            offset = parse_offset(self.offset)
            self._watcher.add(Received(self.name, self._connection, self.events[-1][1], offset))


class _Worker:
    """Emits, and moves clients in and out of a room that is its own to move them."""

    def __init__(self, number: int, server: Server, clients: list[_Watched], watcher: _Watcher) -> None:
        self._name = f"worker-{number}"
        self._room = f"room-{number % 4}" if number < 4 else f"room-{number}"
        self._server = server
        self._clients = clients
        self._watcher = watcher
        self._random = random.Random(number)
        self._count = 0

    def step(self) -> None:
        if self._random.random() < 0.3:
            self._move()
        else:
            self._emit()

    def _emit(self) -> None:
        self._count += 1
        name = f"{self._name}:{self._count}"
        room = self._random.choice([None, f"room-{self._random.randrange(_WORKERS)}"])
        audience = Audience() if room is None else Audience((room,))
        self._watcher.emitted[name] = Emitted(name, self._name, self._count, audience=audience)
        self._server.sio.emit("n", name, room=room)

    def _move(self) -> None:
        client, entered = self._random.choice(self._clients), self._random.random() < 0.6
        sid, after = client.sid, self._watcher.state.last
        by: Offset | None
        try:
            (self._server.sio.enter_room if entered else self._server.sio.leave_room)(sid, self._room)
            by = self._watcher.state.last
        except SaveError:  # the client came back meanwhile, and its new connection may not know of it
            by = None
        self._watcher.add(MembershipChanged(client.name, self._room, entered, after, by, sid=sid))


class _Crowd:
    """Threads that repeat something until they are told to stop."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, step: Callable[[], None], pause: float) -> None:
        def run() -> None:
            try:
                while not self._stop.wait(random.random() * pause):
                    step()
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the test fails of it
                self.errors.append(exc)
                self._stop.set()

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def run_for(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self._stop.set()
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            faulthandler.dump_traceback(all_threads=True)
        assert not stuck, f"{len(stuck)} threads are stuck; their stacks are above"
        if self.errors:
            raise self.errors[0]


def _come_back(client: _Watched) -> None:
    client.cut()
    client.connect()


def _pass_by(server: Server) -> None:
    """Somebody else comes, is disconnected by the server, and leaves by itself at the same time."""
    client = server.client()
    ending = threading.Thread(target=server.sio.disconnect, args=(client.sid,))
    ending.start()
    client.cut()
    ending.join()


def _look(server: Server, clients: list[_Watched]) -> None:
    for client in clients:
        server.sio.rooms(client.sid)
        list(server.sio.manager.get_participants("/", None))
    assert server.manager.counters is not None


def test_threads_emit_and_move_rooms_while_clients_drop() -> None:
    state = shared_state("threads")
    with open_server("memory://threads", server={"ping_interval": 0.3}, checkpoint_interval=0.2) as server:
        watcher = _Watcher(state)
        clients = [_Watched(server, f"client-{number}", watcher) for number in range(_CLIENTS)]
        for client in clients:
            client.connect()
        crowd = _Crowd()
        for number in range(_WORKERS):
            crowd.start(_Worker(number, server, clients, watcher).step, 0.03)
        for client in clients:
            crowd.start(lambda client=client: _come_back(client), 0.6)  # type: ignore[misc]  # bound here
        crowd.start(lambda: _pass_by(server), 0.2)
        crowd.start(lambda: _look(server, clients), 0.01)
        crowd.run_for(_SECONDS)
        server.sio.emit("last")
        for client in clients:
            wait_until(lambda client=client: ["last"] in client.events)  # type: ignore[misc]  # bound here
        violations = check(watcher.history(clients))
        assert not violations, "\n".join(map(str, violations[:20]))
        outcomes = [outcome for client in clients for outcome in client.outcomes[1:]]
        assert outcomes, "nobody came back"
        assert set(outcomes) == {"recovered"}
        assert watcher.emitted
        for client in clients:
            client.cut()
        server.wait_empty()
