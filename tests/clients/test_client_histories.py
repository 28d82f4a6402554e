"""Any history of packets, breaks, reconnections and restarts keeps the promise, as the checker reads it.

A model of a server gives a client its packets over a wire that may break anywhere. It sends what was missed
after CONNECT, as ours does, or before it, as Node's does, and now and then begins a new session.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from socketio.packet import CONNECT, EVENT, Packet

from adapter.client_state import Arrival, ClientState, Job, Session
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.testing.checker import check, explain
from recovery.testing.history import Accepted, Emitted, History, Received

CLIENT = "client"
FIRST_MS = 1_700_000_000_000


@dataclass(slots=True)
class Model:
    """A server, a wire and a client, and what has happened.

    Attributes:
        starts: where each session that can be recovered began.
        answered: where the stream ended at each CONNECT, by the number that the client has for it.
        wire: what the server has sent and the client has not got.
    """

    history: History = field(default_factory=lambda: History(settled={CLIENT}))
    stream: list[Offset] = field(default_factory=list[Offset])
    starts: dict[str, Offset] = field(default_factory=dict[str, Offset])
    answered: list[Offset] = field(default_factory=lambda: [ORIGIN])
    wire: deque[Packet] = field(default_factory=deque[Packet])
    state: ClientState = field(default_factory=lambda: ClientState(Packet))
    pids: int = 0
    connections: int = 0
    open: bool = False
    runs: int = 0

    @property
    def end(self) -> Offset:
        return self.stream[-1] if self.stream else ORIGIN

    def emit(self) -> None:
        """A packet for everybody."""
        at = Offset(FIRST_MS + len(self.stream), 0)
        self.stream.append(at)
        self.history.add(Emitted(str(at), "server", len(self.stream), offset=at))
        if self.open:
            self.wire.append(packet_at(at))

    def ask(self) -> None:
        """An event that asks for an acknowledgement, with a text at its end that looks like an offset."""
        if self.open:
            data = ["ask", str(Offset(FIRST_MS + 10**6, 0))]
            self.wire.append(Packet(EVENT, data=data, namespace="/", id=1))

    def chat(self) -> None:
        """A volatile event of a Node server, with a text at its end."""
        if self.open:
            self.wire.append(Packet(EVENT, data=["chat", "goodbye"], namespace="/"))

    def deliver(self, count: int) -> None:
        """The client gets what the wire brings next."""
        for _ in range(min(count, len(self.wire))):
            arrival = self.state.arrive(self.wire.popleft())
            self.runs += arrival is Arrival.RUN_LINE

    def break_off(self) -> None:
        """The connection breaks, and what is on the wire is lost."""
        if self.open:
            self.open = False
            self.wire.clear()
            self.state.close()

    def connect(self, *, node: bool, fresh: bool) -> None:
        """The client comes back."""
        self.break_off()
        self.state.open(["/"])
        self.open = True
        auth = self.state.complete("/", {}) or {}
        start = None if fresh else self.starts.get(auth.get("pid", ""))
        if start is None:
            self.pids += 1
            pid = f"pid-{self.pids}"
            self.starts = {pid: self.end}
            missed = []
        else:
            pid = auth["pid"]
            after = parse_offset(auth["offset"]) if "offset" in auth else start
            missed = [packet_at(at) for at in self.stream if at > max(after, start)]
        answer = Packet(CONNECT, data={"sid": pid, "pid": pid}, namespace="/")
        self.answered.append(self.end)
        self.wire.extend([*missed, answer] if node else [answer, *missed])

    def run(self, count: int) -> None:
        """Handlers run; somebody must have been asked to run them."""
        for _ in range(count):
            if not self.runs:
                return
            job = self.state.next_job("/")
            if job is None:
                self.runs -= 1
                continue
            self._handle(job)

    def restart(self) -> None:
        """The process ends after its last handler, and another one goes on."""
        self.break_off()
        self.run(10**6)
        exported = json.dumps({name: [each.pid, each.offset] for name, each in self.state.sessions().items()})
        self.state = ClientState(Packet)
        self.answered = [ORIGIN]
        self.state.restore({name: Session(*each) for name, each in json.loads(exported).items()})

    def _handle(self, job: Job) -> None:
        data = job.packet.data
        if data == ["connect"]:
            assert job.session is not None
            self.connections += 1
            recovered, at = self.state.recovery("/").recovered, self.answered[job.connection]
            sid = job.session.pid
            self.history.add(Accepted(CLIENT, self.connections, sid, recovered=recovered, after=at, by=at))
        elif data[0] == "n":
            assert len(data) == 2, f"a handler got {data}"
            self.history.add(Received(CLIENT, self.connections, data[1], parse_offset(data[1])))
        elif data[0] == "chat":
            assert data == ["chat", "goodbye"]
        else:
            assert len(data) == 2


def packet_at(at: Offset) -> Packet:
    return Packet(EVENT, data=["n", str(at), str(at)], namespace="/")


Action = tuple[str, dict[str, Any]]


def _named(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Action]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


_FEW = st.integers(1, 4)
_RARELY = st.integers(0, 4).map((0).__eq__)
actions = st.one_of(
    *(_named(name) for name in ("emit", "ask", "chat", "break_off", "restart")),
    _named("deliver", count=_FEW),
    _named("run", count=_FEW),
    _named("connect", node=st.booleans(), fresh=_RARELY),
)
OURS = ("connect", {"node": False, "fresh": False})
NODE = ("connect", {"node": True, "fresh": False})
ALL = ("deliver", {"count": 99})


@settings(max_examples=400, deadline=None)
@given(st.lists(actions, max_size=40))
@example([OURS, ALL, ("emit", {}), ALL, ("emit", {}), NODE, ("deliver", {"count": 1}), NODE])
@example([OURS, ALL, ("emit", {}), ALL, ("connect", {"node": False, "fresh": True}), ALL, ("restart", {})])
def test_every_history_keeps_the_promise(history: list[Action]) -> None:
    model = Model()
    for name, arguments in [OURS, *history, NODE, ALL, ("run", {"count": 10**6})]:
        getattr(model, name)(**arguments)
    violations = check(model.history)
    assert not violations, explain(violations)
