"""Starting the server processes of the demo, talking with them, and ending them for certain."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from adapter.demo.records import Failed, Finished, Line, Listening, read_line, write_line

__all__ = ["ServerDiedError", "ServerProcess", "running_servers"]

_START_TIMEOUT = 20.0  # importing uvicorn on a busy machine takes a second or two
_STOP_TIMEOUT = 10.0  # a server writes what is left to write, for at most half of this
_LINE_LIMIT = 2**20


class ServerDiedError(Exception):
    """A server process ended, or does not answer; the message holds what it last wrote."""


@dataclass(slots=True)
class ServerProcess:
    """One server process.

    Attributes:
        name: what its packets are numbered under.
        url: ``ws://127.0.0.1:port``.
        said: the last lines of its standard error.
    """

    name: str
    _process: asyncio.subprocess.Process
    _on_line: Callable[["ServerProcess", Line], None]
    said: deque[str] = field(default_factory=lambda: deque[str](maxlen=40))
    url: str = ""
    _listening: asyncio.Event = field(default_factory=asyncio.Event)
    _finished: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, order: Line) -> None:
        """Give the server an order."""
        assert self._process.stdin is not None  # started with a pipe
        self._process.stdin.write(write_line(order).encode())

    async def listening(self) -> None:
        """Wait until the server accepts connections.

        Raises:
            ServerDiedError: it ended instead, or takes too long.
        """
        await self._reaches(self._listening, _START_TIMEOUT)

    async def finished(self) -> None:
        """Wait until the server emits nothing more and has said so.

        Raises:
            ServerDiedError: as `listening`.
        """
        await self._reaches(self._finished, _START_TIMEOUT)

    async def dead(self) -> None:
        """Wait for the end of the process, and raise `ServerDiedError` then."""
        await self._ended.wait()
        raise ServerDiedError(
            f"server {self.name} ended with status {self._process.returncode}{self._last_words()}"
        )

    async def stop(self) -> None:
        """End the process: politely, and after a while by force. Harmless when repeated."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def watch(self) -> None:
        """Pass on what the server reports, until it has ended; must run all the time."""
        async with asyncio.TaskGroup() as pipes:
            pipes.create_task(self._read_reports())
            pipes.create_task(self._read_errors())
        await self._process.wait()
        self._ended.set()

    async def _reaches(self, event: asyncio.Event, patience: float) -> None:
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._ended.wait())]
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if event.is_set():
            return
        if self._ended.is_set():
            await self.dead()
        raise ServerDiedError(f"server {self.name} gave no answer for {patience:g} s{self._last_words()}")

    def _last_words(self) -> str:
        return ":\n" + "\n".join(self.said) if self.said else ""

    async def _read_reports(self) -> None:
        assert self._process.stdout is not None  # started with a pipe
        async for text in self._process.stdout:
            line = read_line(text.decode())
            match line:
                case Listening():
                    self.url = f"ws://127.0.0.1:{line.port}"
                    self._listening.set()
                case Finished() | Failed():
                    self._finished.set()
                case _:
                    pass
            self._on_line(self, line)

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None  # started with a pipe
        async for text in self._process.stderr:
            self.said.append(text.decode(errors="replace").rstrip())


@asynccontextmanager
async def running_servers(
    names: tuple[str, ...], arguments: list[str], on_line: Callable[[ServerProcess, Line], None]
) -> AsyncGenerator[tuple[ServerProcess, ...]]:
    """Run a server process for each name until the block is left.

    Args:
        names: of the servers.
        arguments: of the command line, beside the name.
        on_line: called with all that a server reports.

    Raises:
        ServerDiedError: one of them does not start.
    """
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(_running(name, arguments, on_line)) for name in names]
        for server in servers:
            await server.listening()
        try:
            yield tuple(servers)
        finally:
            await asyncio.gather(*(server.stop() for server in servers))


@asynccontextmanager
async def _running(
    name: str, arguments: list[str], on_line: Callable[[ServerProcess, Line], None]
) -> AsyncGenerator[ServerProcess]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "adapter.demo.server", "--name", name, *arguments),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        limit=_LINE_LIMIT,
        start_new_session=True,  # the terminal's Ctrl-C is for the demo, which then ends its servers
    )
    server = ServerProcess(name, process, on_line)
    watching = asyncio.create_task(server.watch())
    try:
        yield server
    finally:
        await server.stop()
        await watching
