"""Makes plans out of seeds: each a story of its own, the same for the same seed.

Each story has its own selection of what may happen ("swarm testing", Groce et al., 2012): a fault that is
rare among twenty others is frequent where only three are possible.
"""

import random
from collections.abc import Callable, Sequence

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
from recovery.testing.cluster import Drop
from recovery.testing.plans import Plan
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

__all__ = ["make_plan"]

_ROOMS = ("red", "blue")
_NAMES = ("anna", "ben", "cleo", "dan")
_WINDOW = 30.0
_A_DOZEN_FAILURES = (Fate.FAILS,) * 12


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed.

    >>> make_plan(7) == make_plan(7)
    True
    """
    return _Author(seed).write()


class _Author:
    """Writes one plan."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(f"plan {seed}")  # noqa: S311 - it has to repeat itself
        self._servers = tuple(f"s{number}" for number in range(1, self._chance.choice((1, 2, 2, 3)) + 1))
        self._clients = _NAMES[: self._chance.choice((1, 2, 2, 3, 4))]
        self._steps: list[Step] = []
        self._in_a_hurry = False  # servers give up soon, so that a dozen failures are a failure for good

    def write(self) -> Plan:
        chance = self._chance
        for client in self._clients:
            self._steps.append(Come(client, self._server()))
        self._steps.append(Wait(chance.choice((0.0, 0.01, 0.1))))
        acts = self._cast(_WORKLOAD, 3, 6) + self._cast(_FAULTS, 0, 3)
        for _ in range(chance.randint(5, 30)):
            chance.choice((*acts, *_ALWAYS))(self)
            self._pause()
        returning = frozenset(name for name in self._clients if chance.random() < 0.5)
        return Plan(
            self._seed,
            len(self._servers),
            self._clients,
            tuple(self._steps),
            returning=returning,
            rooms=_ROOMS[: chance.choice((0, 0, 1, 2))],
            ping=chance.choice(((5.0, 4.0), (5.0, 4.0), (2.0, 1.0), (2.0, 1.0), (25.0, 20.0))),
            settings=self._settings(),
        )

    def _settings(self) -> SettingsOptions:
        chance = self._chance
        settings = SettingsOptions(
            max_disconnection_duration=_WINDOW,
            block_time=2.0,
            checkpoint_interval=chance.choice((1.0, 5.0, 15.0)),
            read_count=chance.choice((1, 2, 5, 1000)),
            takeover_timeout=chance.choice((0.2, 2.0)),
        )
        if self._in_a_hurry:
            settings["publish_timeout"] = 0.3
        if chance.random() < 0.15:
            settings["log_max_entries"] = chance.choice((5, 20))
        if chance.random() < 0.1:
            settings["max_client_buffer"] = chance.choice((1, 5))
        if chance.random() < 0.05:
            settings["max_len"] = chance.choice((5, 20))
        return settings

    def _cast(self, acts: Sequence["_Act"], least: int, most: int) -> list["_Act"]:
        return self._chance.sample(acts, self._chance.randint(least, min(most, len(acts))))

    # Who and how ---------------------------------------------------------------------------------------

    def _server(self) -> str:
        return self._chance.choice(self._servers)

    def _client(self) -> str:
        return self._chance.choice(self._clients)

    def _room(self) -> str:
        return self._chance.choice(_ROOMS)

    def _pause(self) -> None:
        chance = self._chance
        if chance.random() < 0.55:
            self._steps.append(
                Wait(round(chance.choice((0.001, 0.003, 0.01, 0.05, 0.3)) * chance.uniform(0.5, 2), 5))
            )
        elif chance.random() < 0.15:
            self._steps.append(Wait(chance.choice((2.0, 6.0, 12.0))))

    # The workload --------------------------------------------------------------------------------------

    def emit(self) -> None:
        chance = self._chance
        to = chance.choice(((), (), (self._room(),), (self._room(),), (self._client(),), _ROOMS))
        skip = (self._client(),) if chance.random() < 0.2 else ()
        volatile = chance.random() < 0.1
        self._steps.append(Emit(self._server(), to, skip, volatile, chance.choice((1, 1, 2, 3, 8))))

    def lose_and_return(self) -> None:
        chance = self._chance
        client = self._client()
        self._steps.append(Lose(client, chance.choice(("close", "reset", "reset", "silent"))))
        self._pause()
        if chance.random() < 0.5:
            self.emit()
            self._pause()
        self._steps.append(Come(client, self._server()))

    def lose(self) -> None:
        how: Drop = self._chance.choice(("close", "reset", "silent", "deaf", "mute"))
        self._steps.append(Lose(self._client(), how))

    def come(self) -> None:
        self._steps.append(Come(self._client(), self._server()))

    def come_slowly(self) -> None:
        chance = self._chance
        delay = chance.choice((0.002, 0.04, 0.04, 1.0, 8.0))
        slowest = chance.choice((0.005, 0.05, 1.0))
        self._steps.append(Come(self._client(), self._server(), delay=delay, slowest=slowest))

    def lose_on_a_slow_network(self) -> None:
        """Packets and heartbeats are under way when the connection breaks."""
        chance = self._chance
        client, server = self._client(), self._server()
        self._steps += [Come(client, server, slowest=1.0), Wait(round(chance.uniform(3.0, 8.0), 1))]
        for _ in range(chance.randint(2, 6)):
            self._steps += [Emit(self._server()), Wait(chance.choice((0.1, 0.3, 0.6)))]
        self._steps.append(Lose(client, chance.choice(("reset", "silent", "deaf"))))
        self._steps.append(Wait(chance.choice((0.01, 1.0))))
        self._steps.append(Come(client, self._server()))

    def come_and_be_cut(self) -> None:
        chance = self._chance
        client = self._client()
        delay = chance.choice((0.0, 0.002, 0.04))
        self._steps.append(Come(client, self._server(), delay=delay))
        self._steps.append(Wait(chance.choice((0.0, 0.002, 0.004, 0.01, 0.04))))
        self._steps.append(Lose(client, chance.choice(("reset", "silent", "close"))))
        self._steps.append(Come(client, self._server()))

    def come_and_be_refused(self) -> None:
        self._steps.append(Come(self._client(), self._server(), refuse=True))

    def enter(self) -> None:
        self._steps.append(Enter(self._server(), self._client(), self._room()))

    def exit(self) -> None:
        self._steps.append(Exit(self._server(), self._client(), self._room()))

    def emit_and_enter(self) -> None:
        """One server does both, one after the other: the order is promised."""
        server, client, room = self._server(), self._client(), self._room()
        emit: Step = Emit(server, (room,))
        change: Step = self._chance.choice((Enter, Exit))(server, client, room)
        wait = Wait(self._chance.choice((0.0, 0.002, 0.003)))
        self._steps += self._chance.choice(([emit, wait, change], [change, wait, emit]))

    def shut(self) -> None:
        self._steps.append(Shut(self._server(), self._room()))

    def save_session(self) -> None:
        self._steps.append(SaveSession(self._server(), self._client(), self._chance.randint(1, 9)))

    def disconnect(self) -> None:
        self._steps.append(Disconnect(self._server(), self._client()))

    def leave(self) -> None:
        self._steps.append(Leave(self._client()))

    def rest(self) -> None:
        self._steps.append(Wait(self._chance.choice((3.0, 10.0, 25.0, 35.0, 120.0))))

    def stop_reading(self) -> None:
        self._steps.append(StopReading(self._client(), self._chance.choice((0.5, 5.0, 20.0))))

    # The store fails in the middle of something --------------------------------------------------------

    def go_unsaved(self) -> None:
        """Rooms are changed while a client goes, and its server can write nothing, but reads on."""
        self._in_a_hurry = True
        chance, client, (here, there) = self._chance, self._client(), self._two_servers()
        own, other = chance.sample(_ROOMS, 2)
        self._steps += [
            Come(client, here),
            Wait(0.1),
            FailCommands(here, _A_DOZEN_FAILURES),
            chance.choice((Enter, Exit))(here, client, own),
            Lose(client, chance.choice(("reset", "close"))),
            Wait(0.05),
            Enter(there, client, other),
            Wait(1.0),
            Emit(there, (other,)),
            Come(client, there),
            Wait(0.1),
        ]

    def come_unsaved(self) -> None:
        """A client is claimed, but not saved; then it comes once more, and leaves its connection open."""
        self._in_a_hurry = True
        chance, client, (here, there) = self._chance, self._client(), self._two_servers()
        fates = (None,) * chance.choice((1, 2, 2)) + _A_DOZEN_FAILURES
        self._steps += [
            Come(client, there),
            Wait(0.1),
            Lose(client, chance.choice(("reset", "close"))),
            Wait(0.2),
            FailCommands(here, fates),
            Come(client, here),
            Wait(0.5),
            Come(client, there),
            Wait(0.1),
            Emit(there),
        ]

    def _two_servers(self) -> tuple[str, str]:
        """Two that differ, where there are two."""
        here = self._server()
        return here, self._chance.choice([server for server in self._servers if server != here] or [here])

    # The faults ----------------------------------------------------------------------------------------

    def crash(self) -> None:
        server = self._server()
        self._steps.append(Crash(server, silent=self._chance.random() < 0.3))
        if self._chance.random() < 0.7:
            self._pause()
            self._steps.append(Restart(server))

    def freeze(self) -> None:
        self._steps.append(Freeze(self._server(), self._chance.choice((0.05, 0.5, 3.0, 12.0, 40.0))))

    def shut_down(self) -> None:
        self._steps.append(ShutDown(self._server()))

    def jump_clock(self) -> None:
        seconds = self._chance.choice((-3600.0, -5.0, 5.0, 3600.0))
        self._steps.append(JumpClock(self._server(), seconds))

    def jump_store_clock(self) -> None:
        self._steps.append(JumpClock("store", self._chance.choice((-600.0, -2.0, 2.0))))

    def stall_store(self) -> None:
        self._steps.append(StallStore(self._chance.choice((0.02, 0.5, 3.0, 8.0))))

    def cut_off(self) -> None:
        seconds, refused = self._chance.choice((0.05, 2.0, 8.0)), self._chance.random() < 0.5
        self._steps.append(CutOff(self._server(), seconds, refused))

    def fail_commands(self) -> None:
        fates = (Fate.REPLY_LOST, Fate.REPLY_LOST, Fate.FAILS, Fate.REFUSED, None)
        chosen = tuple(self._chance.choice(fates) for _ in range(self._chance.randint(1, 4)))
        self._steps.append(FailCommands(self._server(), chosen))

    def lag(self) -> None:
        self._steps.append(Lag(self._server(), self._chance.choice((0.0, 0.01, 0.1, 1.0))))

    def trim(self) -> None:
        if self._chance.random() < 0.5:
            self._steps.append(CutOff(self._server(), 8.0, refused=self._chance.random() < 0.5))
            self.emit()
            self._steps.append(Wait(0.5))
        self._steps.append(Trim(self._chance.choice((0.0, 0.05, 5.0))))

    def delete_stream(self) -> None:
        self._steps.append(DeleteStream())

    def fail_over(self) -> None:
        self._steps.append(StopReplication())
        for _ in range(self._chance.randint(0, 3)):
            self._chance.choice((*_ALWAYS, *_CHANGES))(self)
            self._pause()
        self._steps.append(FailOver())
        if self._chance.random() < 0.3:  # the next replica does not know what the first failover led to
            self._steps += [StopReplication(), Wait(2.0), FailOver()]


_Act = Callable[[_Author], None]

_ALWAYS: tuple[_Act, ...] = (_Author.emit, _Author.emit, _Author.lose_and_return)

_CHANGES: tuple[_Act, ...] = (
    _Author.come,
    _Author.enter,
    _Author.exit,
    _Author.shut,
    _Author.disconnect,
    _Author.leave,
    _Author.crash,
)
"""What a failover may undo, and what makes those forget who knew of it."""

_WORKLOAD: tuple[_Act, ...] = (
    _Author.lose,
    _Author.come,
    _Author.come_slowly,
    _Author.lose_on_a_slow_network,
    _Author.come_and_be_cut,
    _Author.come_and_be_refused,
    _Author.enter,
    _Author.exit,
    _Author.emit_and_enter,
    _Author.shut,
    _Author.save_session,
    _Author.disconnect,
    _Author.leave,
    _Author.rest,
    _Author.stop_reading,
)

_FAULTS: tuple[_Act, ...] = (
    _Author.crash,
    _Author.freeze,
    _Author.shut_down,
    _Author.jump_clock,
    _Author.jump_store_clock,
    _Author.stall_store,
    _Author.cut_off,
    _Author.fail_commands,
    _Author.go_unsaved,
    _Author.come_unsaved,
    _Author.lag,
    _Author.trim,
    _Author.delete_stream,
    _Author.fail_over,
)
