"""The store of a simulated cluster: the real one in memory, behind connections that can fail.

A command travels to the store, is carried out there, and its reply travels back. On either way it can be late
or lost. The commands of one server arrive in the order in which they were sent (but a blocking `Read` has a
connection of its own); those of different servers do not.

What a server learns is what a client library would tell it: a command that was sent and has no reply within
5 s may have been carried out. It may still be, later: a store that stood still finds it in its socket when it
goes on.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from recovery.commands import Append, Appended, Command, Read, ReadBack
from recovery.errors import StoreError, StoreUnavailableError
from recovery.offsets import ORIGIN, Offset
from recovery.stores.memory_state import MemoryState, Snapshot
from recovery.testing.loop import VirtualLoop
from recovery.testing.network import Pace
from recovery.testing.replicas import Undone, what_it_lacks

__all__ = ["Fate", "SimulatedStore", "StoreLink"]

ANSWER_TIMEOUT = 5.0  # seconds, as of the Redis store
_MOST_AT_ONCE = 10_000  # entries that one command appends


class Fate(Enum):
    """What is to happen to a command."""

    FAILS = auto()
    """The connection breaks before the command is carried out, and the server cannot tell."""
    REFUSED = auto()
    """The connection cannot be made: the server knows that nothing was carried out."""
    REPLY_LOST = auto()
    """The command is carried out, and the connection breaks before the reply."""


@dataclass(slots=True, eq=False)
class _Request:
    """A round trip."""

    link: "StoreLink"
    commands: Sequence[Command[Any]]
    reply: asyncio.Future[list[Any]]
    fate: Fate | None
    primary: int = 0  # the one that it is sent to
    forgotten: bool = False  # its connection is gone: no reply will come
    waits_until: float | None = None  # a blocking read: when it gives up


@dataclass(slots=True)
class _Link:
    """One TCP connection: what is sent by it arrives in order."""

    latest: float = 0.0
    last_reply: float = 0.0


class SimulatedStore:
    """One store for all servers.

    Attributes:
        state: what it keeps.
        clock_shift: seconds by which its clock is ahead of the loop's.
        end: the last offset of the stream.
        stalled: it takes commands, and carries none out.
        primary: how many failovers there were; what was sent to an earlier primary never arrives.
        appended: called with each batch that was stored.
        renewed: called with the place at which a new epoch begins.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        seed: int,
        appended: Callable[["StoreLink", Append, Appended], None],
        renewed: Callable[[Offset], None],
    ) -> None:
        self.clock_shift = 0.0
        self.state = MemoryState(clock=self.clock)
        self.end = ORIGIN
        self.stalled = False
        self.primary = 0
        self.appended = appended
        self.renewed = renewed
        self._loop = loop
        self._seed = seed
        self._inbox: deque[_Request] = deque()
        self._blocked: list[_Request] = []

    def clock(self) -> float:
        """Seconds since 1970, as the store has it."""
        return self._loop.epoch + self._loop.time() + self.clock_shift

    def link(self, name: str, failed: Callable[["StoreLink"], None]) -> "StoreLink":
        """A server's way to the store; `failed` is called when a command fails."""
        chance = random.Random(f"{self._seed}/{name}")  # noqa: S311 - it has to repeat itself
        return StoreLink(self._loop, self, chance, failed)

    def stall(self) -> None:
        """Stand still."""
        self.stalled = True

    def go_on(self) -> None:
        """Carry out what came meanwhile, what nobody waits for any more included."""
        self.stalled = False
        inbox, self._inbox = self._inbox, deque()
        for request in inbox:
            self.arrive(request)

    def fail_over(self, replica: Snapshot) -> Undone:
        """Be the replica from now on; all connections must break. Returns what it lacks of the sessions.

        No offset is given a second time, whatever was done to the clock: nothing could tell the two apart.
        """
        undone = what_it_lacks(self.state.snapshot(), replica)
        self.state.restore(replica, above=self.end)
        self.end = self.state.last
        self.stalled = False
        self.primary += 1
        self._inbox.clear()
        self._blocked.clear()
        return undone

    def arrive(self, request: _Request) -> None:
        """A request has reached the store."""
        if request.primary != self.primary:
            return
        if self.stalled:
            self._inbox.append(request)
        elif request.waits_until is not None and not self._has_entries(request.commands[0]):
            self._blocked.append(request)
            self._loop.call_outside(request.waits_until, self._give_up, request)
        else:
            self._perform(request)

    def wake_readers(self) -> None:
        """Something was appended: answer the reads that wait for it."""
        blocked, self._blocked = self._blocked, []
        for request in blocked:
            if self._has_entries(request.commands[0]):
                self._perform(request)
            else:
                self._blocked.append(request)

    def _genesis(self) -> Offset:
        """Where the newest epoch begins."""
        entries = self.state.execute(ReadBack(self.state.last, _MOST_AT_ONCE))
        return next((entry.offset for entry in entries if b"epoch" in entry.fields), self.state.last)

    def _has_entries(self, command: Command[Any]) -> bool:
        return isinstance(command, Read) and self.end > command.after

    def _give_up(self, request: _Request) -> None:
        if request in self._blocked:
            self._blocked.remove(request)
            self._perform(request)

    def _perform(self, request: _Request) -> None:
        replies: list[Any] = []
        epoch = self.state.epoch
        for command in request.commands:
            try:
                reply = self.state.execute(command)
            except StoreError as error:
                reply = error
            if isinstance(command, Append) and isinstance(reply, Appended):
                self.appended(request.link, command, reply)
            replies.append(reply)
        if self.state.epoch != epoch:
            self.renewed(self._genesis())
        last = self.state.last
        if last != self.end:
            self.end = last
            self.wake_readers()
        request.link.answer(request, replies)


class StoreLink:
    """One server's connections to the store (`recovery.commands.AsyncStore`).

    Attributes:
        pace: how long commands and replies travel.
        read_lag: seconds by which replies with entries come later.
        cut: what happens to all commands, while the server is cut off; None while it is not.
        fates: what happens to the next commands but reading ones; None for nothing.
        owner: the server.
        performed: how many commands of each kind were answered.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        store: SimulatedStore,
        chance: random.Random,
        failed: Callable[["StoreLink"], None],
    ) -> None:
        self.pace = Pace(0.0001, 0.001)
        self.read_lag = 0.0
        self.cut: Fate | None = None
        self.fates: deque[Fate | None] = deque()
        self.performed: Counter[str] = Counter()
        self.owner: Any = None
        self._under_way: list[_Request] = []
        self._failed = failed
        self._loop = loop
        self._store = store
        self._chance = chance
        self._reading, self._writing = _Link(), _Link()
        self._hung_up = False  # the reading connection broke while nothing was under way

    async def execute(self, command: Command[Any]) -> Any:
        """Carry out a command."""
        (reply,) = await self._round_trip([command])
        if isinstance(reply, StoreError):
            raise reply
        return reply

    async def execute_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Carry out commands, in one round trip."""
        try:
            return await self._round_trip(commands)
        except StoreUnavailableError as error:
            return [error] * len(commands)

    def cut_off(self, fate: Fate) -> None:
        """Break all connections, and let each new command have a fate, until `rejoin`."""
        self.cut = fate
        self._hung_up = not any(_is_open_read(request) for request in self._under_way)
        for request in self._under_way:
            request.forgotten = True
            if fate is Fate.REFUSED:
                self._break(request)

    def rejoin(self) -> None:
        """Connect again; what was under way when the connections broke stays lost."""
        self.cut = None

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _round_trip(self, commands: Sequence[Command[Any]]) -> list[Any]:
        fate = self._fate(commands)
        if fate is not None:
            self._failed(self)
        if self._hung_up and isinstance(commands[0], Read):
            self._hung_up = False
            raise StoreUnavailableError("the store hung up meanwhile (simulated)", maybe_applied=False)
        if fate is Fate.REFUSED:
            await asyncio.sleep(self.pace.slowest)
            raise StoreUnavailableError("connection refused (simulated)", maybe_applied=False)
        block = commands[0].block_ms / 1000 if isinstance(commands[0], Read) else 0.0
        request = _Request(self, commands, self._loop.create_future(), fate, self._store.primary)
        link = self._reading if isinstance(commands[0], Read) else self._writing
        link.latest = max(link.latest, self._loop.time() + self._travel())
        if block and len(commands) == 1:
            request.waits_until = link.latest + block
        if self.cut is Fate.FAILS:
            request.forgotten = True
        else:
            self._loop.call_outside(link.latest, self._arrive, request)
        self._under_way.append(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT + block):
                return await request.reply
        except TimeoutError as exc:
            self._failed(self)
            raise StoreUnavailableError("no answer within 5 s (simulated)", maybe_applied=True) from exc
        finally:
            self._under_way.remove(request)

    def _fate(self, commands: Sequence[Command[Any]]) -> Fate | None:
        if self.cut is Fate.REFUSED:
            return Fate.REFUSED
        if isinstance(commands[0], Read) or not self.fates:
            return None
        return self.fates.popleft()

    def _arrive(self, request: _Request) -> None:
        if request.fate is Fate.FAILS:
            self._break(request)
        else:
            self._store.arrive(request)

    def answer(self, request: _Request, replies: list[Any]) -> None:
        """The store has replied."""
        if request.fate is Fate.REPLY_LOST:
            self._break(request)
            return
        if request.forgotten:
            return
        reading = isinstance(request.commands[0], Read)
        link = self._reading if reading else self._writing
        lag = self.read_lag if reading and replies[0] else 0.0
        link.last_reply = max(link.last_reply, self._loop.time() + self._travel() + lag)
        for command in request.commands:
            self.performed[type(command).__name__] += 1
        self._loop.call_outside(link.last_reply, _resolve, request.reply, replies)

    def _break(self, request: _Request) -> None:
        error = StoreUnavailableError("connection reset (simulated)", maybe_applied=True)
        self._loop.call_outside(self._loop.time() + self._travel(), _resolve, request.reply, error)

    def _travel(self) -> float:
        return self._chance.uniform(self.pace.fastest, self.pace.slowest)


def _is_open_read(request: _Request) -> bool:
    return isinstance(request.commands[0], Read) and not request.reply.done()


def _resolve(reply: asyncio.Future[list[Any]], outcome: list[Any] | StoreError) -> None:
    if reply.done():
        return
    if isinstance(outcome, StoreError):
        reply.set_exception(outcome)
    else:
        reply.set_result(outcome)
