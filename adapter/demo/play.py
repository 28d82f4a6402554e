"""The middle of the demo: clients connect, lose their connections, and come back, while servers emit."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from adapter.demo.breaks import BreakKind, Breaks
from adapter.demo.client import ConnectRefusedError, DemoClient, ProtocolError
from adapter.demo.ledger import Ledger
from adapter.demo.processes import ServerProcess, running_servers
from adapter.demo.records import Failed, Line, Packet, Receipt, Sent, Start, Stop, Welcomed, read_packet
from adapter.demo.result import Result, judge
from adapter.demo.screen import Screen
from adapter.demo.store import SharedStore
from adapter.demo.traffic import ROOMS, client_name, rooms_of
from recovery.offsets import parse_offset

__all__ = ["Options", "Play"]

_SERVERS = ("A", "B")
_TICK = 0.2
_GIVE_UP = 15.0
"""Seconds of failed attempts after which a client stops trying to reconnect."""
_PATIENCE = 5.0
"""Seconds without a packet after which what is still missing counts as lost."""
_QUIET = 0.5
"""Seconds to listen on when nothing is missing, for packets that come twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may choose.

    Attributes:
        seconds: of traffic.
        clients: at least 1.
        url: of a Redis or Valkey server to use, or None to start an embedded one.
        seed: repeats what is emitted and which connections break, not the timing of the machine.
        recovery: False runs stock python-socketio, to see what is lost without recovery.
    """

    seconds: float = 15.0
    clients: int = 30
    url: str | None = None
    seed: str = "0"
    recovery: bool = True


@dataclass(slots=True)
class Play:
    """One run against a store; call `run` once.

    Attributes:
        store: shared by both server processes.
    """

    options: Options
    store: SharedStore
    screen: Screen
    ledger: Ledger = field(init=False)
    welcomes: list[Welcomed] = field(default_factory=list[Welcomed])
    problems: list[str] = field(default_factory=list[str])
    _clients: dict[str, DemoClient] = field(default_factory=dict[str, DemoClient])
    _servers: tuple[ServerProcess, ...] = ()
    _start: float = 0.0
    _last_receipt: float = 0.0

    def __post_init__(self) -> None:
        numbers = range(1, self.options.clients + 1)
        self.ledger = Ledger.for_clients({client_name(number): rooms_of(number) for number in numbers})
        for name, record in self.ledger.clients.items():
            self._clients[name] = DemoClient(
                {"client": name, "rooms": sorted(record.rooms)}, self._receiver(name)
            )

    async def run(self) -> Result:
        """Start the servers, let everything happen, and judge it.

        Raises:
            ServerDiedError: a server process did not start, or ended.
            ConnectRefusedError: a client could not connect for a long time.
            ProtocolError: a client received what it cannot read.
        """
        self.screen.say("Starting two servers ...")
        try:
            async with running_servers(_SERVERS, self._server_arguments(), self._on_line) as self._servers:
                watchers = [server.dead() for server in self._servers]
                async with _lasting_as_long_as_the_block(*watchers, self._show_progress()):
                    await self._perform()
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from None
        result = judge(
            self.ledger, self.welcomes, self.problems, seed=self.options.seed, seconds=self.options.seconds
        )
        return replace(result, server_logs={server.name: tuple(server.said) for server in self._servers})

    def _server_arguments(self) -> list[str]:
        store = self.store
        arguments = ["--url", store.url, "--stream", store.stream_name, "--prefix", store.session_key_prefix]
        arguments += ["--seed", self.options.seed]
        return arguments if self.options.recovery else [*arguments, "--stock"]

    async def _perform(self) -> None:
        homes = {name: self._servers[number % len(_SERVERS)] for number, name in enumerate(self._clients)}
        try:
            async with asyncio.TaskGroup() as arrivals:
                for name, home in homes.items():
                    arrivals.create_task(self._come(name, home))
            self._start = time.monotonic()
            async with _lasting_as_long_as_the_block(
                *(self._live(name, home) for name, home in homes.items())
            ):
                await self._conduct()
        finally:
            await asyncio.gather(*(client.disconnect() for client in self._clients.values()))

    async def _conduct(self) -> None:
        """Let the servers emit for the time chosen, and wait until everybody has everything."""
        sids = {name: client.sid or "" for name, client in self._clients.items()}
        for server in self._servers:
            server.send(Start(sids, ROOMS))
        self.screen.say("Breaking connections")
        await asyncio.sleep(self.options.seconds)
        self.screen.say("Waiting for the rest")
        for server in self._servers:
            server.send(Stop())
        for server in self._servers:
            await server.finished()
        self._last_receipt = time.monotonic()
        # Looked at again and again, because it is made of what both servers and all clients report.
        while not self.ledger.complete and time.monotonic() - self._last_receipt < _PATIENCE:  # noqa: ASYNC110
            await asyncio.sleep(_TICK)
        await asyncio.sleep(_QUIET)
        self.screen.say("Stopping the servers")

    async def _live(self, name: str, server: ServerProcess) -> None:
        """Let a client lose its connection and come back, again and again, until time is up."""
        typical = min(2.5, self.options.seconds / 6)
        breaks = Breaks(Random(f"{self.options.seed}/{name}"), typical)
        while True:
            planned = breaks.next_break()
            online = planned.online if planned.online < self._left() else None
            if await _ends_within(self._clients[name].lost(), online):
                self.ledger.note_lost(name, "lost its connection", time.time())
            else:
                await self._break(name, planned.kind)
            await asyncio.sleep(min(planned.away, self._left()))
            if planned.moves:
                server = next(other for other in self._servers if other is not server)
            await self._come(name, server)

    def _left(self) -> float:
        """Return the seconds for which connections are still to be broken, 0.0 when that is over."""
        return max(self._start + self.options.seconds - time.monotonic(), 0.0)

    async def _break(self, name: str, kind: BreakKind) -> None:
        client = self._clients[name]
        self.ledger.note_lost(name, kind, time.time())
        match kind:
            case BreakKind.CUT:
                await client.cut()
            case BreakKind.HANG_UP:
                await client.hang_up()
            case BreakKind.SILENT:
                await client.abandon()

    async def _come(self, name: str, server: ServerProcess) -> None:
        """Connect a client; try again for a while if that fails, but say so in the result."""
        self.ledger.note_returning(name, time.time())
        give_up = time.monotonic() + _GIVE_UP
        while True:
            began = time.monotonic()
            try:
                accepted = await self._clients[name].connect(server.url)
            except ConnectRefusedError as exc:
                took = f"within {time.monotonic() - began:.3f} s"
                self.problems.append(f"{name} could not connect to {server.name}, {took}: {exc!r}")
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(_TICK)
            else:
                break
        self.ledger.note_accepted(name, server.name, accepted.sid, time.time(), recovered=accepted.recovered)

    def _receiver(self, name: str) -> Callable[[tuple[Any, ...], str | None], None]:
        def receive(arguments: tuple[Any, ...], offset: str | None) -> None:
            self._last_receipt = time.monotonic()
            packet = _read_event(arguments)
            place = None if offset is None else parse_offset(offset)
            self.ledger.note_received(name, Receipt(packet, place, time.time()))

        return receive

    def _on_line(self, server: ServerProcess, line: Line) -> None:
        match line:
            case Sent():
                self.ledger.note_sent(line.packet)
            case Welcomed():
                self.welcomes.append(line)
            case Failed():
                self.problems.append(f"an emit failed on server {server.name}: {line.error}")
            case _:
                pass

    async def _show_progress(self) -> None:
        """Keep the screen up to date."""
        while True:
            done = 0.0 if self._start == 0 else 1 - self._left() / self.options.seconds
            self.screen.update(self.ledger, done)
            await asyncio.sleep(_TICK)


def _read_event(arguments: tuple[Any, ...]) -> Packet:
    """Read the arguments of an event as the demo's servers emit it."""
    try:
        (payload,) = arguments
        return read_packet(payload)
    except (KeyError, TypeError, ValueError) as exc:
        raise ProtocolError(f"an event came with {arguments!r:.200}, expected a packet") from exc


@asynccontextmanager
async def _lasting_as_long_as_the_block(*activities: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run coroutines beside the block, end them with it, and end it if one of them fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(activity) for activity in activities]
        yield
        for task in tasks:
            task.cancel()


async def _ends_within(waiting: Awaitable[None], seconds: float | None) -> bool:
    """Tell whether something ends within so many seconds; None waits for it."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return False
    return True


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one error out of nested groups: with several, they have one cause."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
