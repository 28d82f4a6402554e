"""State machines for hypothesis: it makes up what happens to a simulated cluster, and shortens what fails.

`ClusterMachine` lets clients connect, lose their connections and come back, while servers emit and change
rooms. `FaultyClusterMachine` breaks servers and the store, too. Whatever happens, at the end all faults are
healed, everybody comes back, and the promise is checked.

An application tests itself by subclassing one of them:

    class ChatMachine(ClusterMachine):
        application = staticmethod(register_handlers)  # takes a socketio.AsyncServer

        @rule(client=client_names(), text=st.text())
        def say(self, client, text):
            self.cluster.clients[client].emit("say", text)

    TestChat = ChatMachine.TestCase

A rule that makes no sense in a subclass is taken out by ``rule_name = None``. What goes wrong is shortened
twice: by hypothesis, which can take minutes, and then by `recovery.testing.shrinking`. The second is enough
in most cases: ``TestChat.settings = settings(phases=[Phase.generate])`` leaves out the first.
"""

import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from recovery.settings import SettingsOptions
from recovery.testing.calamities import (
    Crash,
    CutOff,
    DeleteStream,
    FailCommands,
    FailOver,
    Freeze,
    JumpClock,
    Lag,
    Restart,
    ShutDown,
    StallStore,
    StopReplication,
    Trim,
)
from recovery.testing.cluster import Drop, SimulatedCluster
from recovery.testing.plans import Outcome, Plan, Problem, errors_logged, finish, open_cluster, run
from recovery.testing.servers import Application, example_application
from recovery.testing.shrinking import shrink
from recovery.testing.steps import (
    Come,
    Disconnect,
    Emit,
    Enter,
    Exit,
    Leave,
    Lose,
    SaveSession,
    Shut,
    Step,
    StopReading,
    Wait,
)
from recovery.testing.storage import Fate

__all__ = ["ClusterMachine", "FaultyClusterMachine", "client_names", "room_names", "server_names"]


def client_names() -> st.SearchStrategy[str]:
    """A client of the machine whose rule asks."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.clients))


def server_names() -> st.SearchStrategy[str]:
    """A server of the machine whose rule asks."""
    names = [f"s{number}" for number in range(1, 100)]
    return st.runner().flatmap(lambda machine: st.sampled_from(names[: machine.servers]))


def room_names() -> st.SearchStrategy[str]:
    """A room of the machine whose rule asks."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.rooms))


_DYING_AWAY = 2.0  # seconds for what clients have sent, and what the application does about it
_CLIENTS = client_names()
_SERVERS = server_names()
_ROOMS = room_names()
_TARGETS = st.just(()) | st.tuples(_ROOMS) | st.tuples(_CLIENTS) | st.tuples(_ROOMS, _ROOMS)
_WAYS = st.sampled_from(("reset", "close", "silent", "deaf", "mute"))
_MOMENTS = st.sampled_from((0.05, 0.3, 0.01, 0.003, 0.001))  # failures shrink to what comes first
_WHILES = st.sampled_from((0.05, 0.5, 3.0, 12.0, 40.0))
_FATES = st.sampled_from((Fate.REPLY_LOST, Fate.FAILS, Fate.REFUSED, None))


class ClusterMachine(RuleBasedStateMachine):
    """A cluster whose clients come and go while it emits.

    Example::

        TestCluster = ClusterMachine.TestCase  # pytest and unittest run it

    Attributes:
        servers: how many there are.
        clients: their names. After the first connect, those of `returning` come back by themselves.
        rooms: those that rules use; a fresh client of `example_application` enters those of `entered`.
        application: registers handlers on each server.
        settings: of the managers.
        ping: interval and timeout of Engine.IO, in seconds.
        cluster: the simulated cluster; rules of a subclass may use it as they like.
        story: what was done so far.
    """

    servers: ClassVar[int] = 2
    clients: ClassVar[tuple[str, ...]] = ("anna", "ben", "cleo")
    returning: ClassVar[frozenset[str]] = frozenset({"cleo"})
    rooms: ClassVar[tuple[str, ...]] = ("red", "blue")
    entered: ClassVar[tuple[str, ...]] = ("red",)
    application: ClassVar["staticmethod[[Any], None]"] = staticmethod(example_application)
    settings: ClassVar[SettingsOptions] = SettingsOptions(max_disconnection_duration=30.0)
    ping: ClassVar[tuple[float, float]] = (5.0, 4.0)

    cluster: SimulatedCluster

    def __init__(self) -> None:
        super().__init__()
        self.story: list[Step] = []
        self._seed = 0
        self._open = ExitStack()
        self._logged: list[str] = []

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        """Start the servers, and let all clients connect; the seed says how long frames travel."""
        self._seed = seed
        self._logged = self._open.enter_context(errors_logged())
        self.cluster = self._open.enter_context(open_cluster(self.plan, type(self).application))
        for number, client in enumerate(self.clients):
            self.do(Come(client, f"s{number % self.servers + 1}"))
        self.do(Wait(0.05))

    @property
    def plan(self) -> Plan:
        """The story so far, to be told or run again."""
        return Plan(
            self._seed,
            self.servers,
            self.clients,
            tuple(self.story),
            returning=self.returning,
            rooms=self.entered,
            ping=self.ping,
            settings=self.settings,
        )

    def do(self, step: Step) -> None:
        """Let something happen, and remember it for the story."""
        self.story.append(step)
        step.do(self.cluster)

    def judge(self, outcome: Outcome) -> None:
        """Look at what came of it; a subclass may look at more, such as ``outcome.history``.

        Raises:
            AssertionError: it says what is wrong, the story, and how to run it again.
        """
        if outcome.problems:
            story = _shorten(self.plan, type(self).application)
            raise AssertionError(_tell(story, outcome.problems))

    def teardown(self) -> None:
        """End the faults, bring everybody back, and judge."""
        with self._open:
            if sys.exc_info()[0] is None and hasattr(self, "cluster"):
                self.cluster.heal()
                self.cluster.advance(_DYING_AWAY)
                self.judge(finish(self.plan, self.cluster, self._logged))

    @rule(seconds=_MOMENTS)
    def wait(self, seconds: float) -> None:
        """Let a moment pass."""
        self.do(Wait(seconds))

    @rule(seconds=_WHILES)
    def wait_long(self, seconds: float) -> None:
        """Let a while pass; longer than the window, sometimes."""
        self.do(Wait(seconds))

    @rule(client=_CLIENTS, server=_SERVERS, delay=st.sampled_from((0.0, 0.002, 0.04, 1.0)))
    def connect(self, client: str, server: str, delay: float) -> None:
        """Let a client connect, or come back, whatever connection it has."""
        self.do(Come(client, server, delay=delay))

    @rule(client=_CLIENTS, server=_SERVERS)
    def be_refused(self, client: str, server: str) -> None:
        """Let the connect handler refuse a client."""
        self.do(Come(client, server, refuse=True))

    @rule(client=_CLIENTS, how=_WAYS)
    def drop(self, client: str, how: Drop) -> None:
        """Take a client's connection away."""
        self.do(Lose(client, how))

    @rule(client=_CLIENTS, how=_WAYS, server=_SERVERS, to=_TARGETS)
    def drop_emit_return(self, client: str, how: Drop, server: str, to: tuple[str, ...]) -> None:
        """Let a client miss a packet, and come back."""
        self.do(Lose(client, how))
        self.do(Emit(server, to))
        self.do(Wait(0.05))
        self.do(Come(client, server))
        self.do(Wait(0.05))

    @rule(client=_CLIENTS, seconds=_WHILES)
    def stop_reading(self, client: str, seconds: float) -> None:
        """Let a client leave in its buffers what comes."""
        self.do(StopReading(client, seconds))

    @rule(client=_CLIENTS)
    def leave(self, client: str) -> None:
        """Let a client disconnect for good."""
        self.do(Leave(client))

    @rule(
        server=_SERVERS,
        to=_TARGETS,
        skip=st.just(()) | st.tuples(_CLIENTS),
        volatile=st.sampled_from((False, False, False, True)),
        count=st.sampled_from((1, 1, 2, 8)),
    )
    def emit(
        self, server: str, to: tuple[str, ...], skip: tuple[str, ...], *, volatile: bool, count: int
    ) -> None:
        """Emit packets."""
        self.do(Emit(server, to, skip, volatile, count))

    @rule(server=_SERVERS, client=_CLIENTS, room=_ROOMS)
    def enter_room(self, server: str, client: str, room: str) -> None:
        """Put a client into a room."""
        self.do(Enter(server, client, room))

    @rule(server=_SERVERS, client=_CLIENTS, room=_ROOMS)
    def leave_room(self, server: str, client: str, room: str) -> None:
        """Take a client out of a room."""
        self.do(Exit(server, client, room))

    @rule(server=_SERVERS, room=_ROOMS)
    def close_room(self, server: str, room: str) -> None:
        """Take everybody out of a room."""
        self.do(Shut(server, room))

    @rule(server=_SERVERS, client=_CLIENTS, value=st.integers(0, 9))
    def save_session(self, server: str, client: str, value: int) -> None:
        """Save a user session."""
        self.do(SaveSession(server, client, value))

    @rule(server=_SERVERS, client=_CLIENTS)
    def disconnect(self, server: str, client: str) -> None:
        """Disconnect a client, wherever it is."""
        self.do(Disconnect(server, client))


class FaultyClusterMachine(ClusterMachine):
    """A cluster whose servers and whose store fail, too.

    Example::

        class ThreeServers(FaultyClusterMachine):
            servers = 3

        TestThreeServers = ThreeServers.TestCase
    """

    @rule(server=_SERVERS, silent=st.booleans())
    def crash(self, server: str, *, silent: bool) -> None:
        """Kill a server."""
        self.do(Crash(server, silent=silent))

    @rule(server=_SERVERS)
    def restart(self, server: str) -> None:
        """Start a server again."""
        self.do(Restart(server))

    @rule(server=_SERVERS)
    def shut_down(self, server: str) -> None:
        """Stop a server in order, and start it again."""
        self.do(ShutDown(server))

    @rule(server=_SERVERS, seconds=_WHILES)
    def freeze(self, server: str, seconds: float) -> None:
        """Let a server stand still."""
        self.do(Freeze(server, seconds))

    @rule(seconds=st.sampled_from((0.02, 0.5, 3.0, 8.0)))
    def stall_store(self, seconds: float) -> None:
        """Let the store stand still."""
        self.do(StallStore(seconds))

    @rule(server=_SERVERS, seconds=st.sampled_from((0.05, 2.0, 8.0)), refused=st.booleans())
    def cut_off(self, server: str, seconds: float, *, refused: bool) -> None:
        """Let a server not reach the store."""
        self.do(CutOff(server, seconds, refused))

    @rule(server=_SERVERS, fates=st.lists(_FATES, min_size=1, max_size=4).map(tuple))
    def fail_commands(self, server: str, fates: tuple[Fate | None, ...]) -> None:
        """Let the next commands of a server fail."""
        self.do(FailCommands(server, fates))

    @rule(server=_SERVERS, seconds=st.sampled_from((0.0, 0.01, 0.1, 1.0)))
    def lag(self, server: str, seconds: float) -> None:
        """Let a server read late."""
        self.do(Lag(server, seconds))

    @rule(seconds=st.sampled_from((0.0, 0.05, 5.0)))
    def trim(self, seconds: float) -> None:
        """Trim the stream."""
        self.do(Trim(seconds))

    @rule(whose=_SERVERS | st.just("store"), seconds=st.sampled_from((-600.0, -2.0, 2.0, 600.0)))
    def jump_clock(self, whose: str, seconds: float) -> None:
        """Let a clock jump."""
        self.do(JumpClock(whose, seconds))

    @rule()
    def delete_stream(self) -> None:
        """Delete the stream."""
        self.do(DeleteStream())

    @rule()
    def stop_replication(self) -> None:
        """Let what the store confirms from now on be lost at the next failover."""
        self.do(StopReplication())

    @rule()
    def fail_over(self) -> None:
        """Let the store forget what was not replicated."""
        self.do(FailOver())


def _shorten(plan: Plan, application: Application) -> Plan:
    """Leave out what is not needed, of the one example that hypothesis shows in the end."""
    return (
        shrink(plan, run=partial(run, application=application)) if current_build_context().is_final else plan
    )


def _tell(plan: Plan, problems: Sequence[Problem]) -> str:
    """What is wrong, what happened, and the program that lets it happen again."""
    again = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", repr(plan))  # an enum's repr is no program
    return "\n".join(
        [
            "The promise was broken.",
            *(f"  {problem}" for problem in problems),
            str(plan),
            "To run it again, unless rules of your own did more:",
            "  from recovery.testing.calamities import *",
            "  from recovery.testing.plans import Plan, run",
            "  from recovery.testing.steps import *",
            "  from recovery.testing.storage import Fate",
            f"  print(*run({again}).problems, sep='\\n')",
        ]
    )
