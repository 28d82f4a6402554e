"""A Node script that answers commands and reports events as JSON lines (``node/wire.js``)."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

from tests.e2e.npm import NODE_FOLDER, find_executable
from tests.e2e.wire import Json, decode, encode

__all__ = ["NodeProcess"]

_START_SECONDS = 20.0
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 5.0
_LINE_BYTES = 64 * 2**20  # one line may hold all that a client received in a long run


class NodeProcess:
    """One running script. You must call `start` before anything else and `stop` at the end.

    The script ends by itself when this process dies, because its standard input closes.
    """

    def __init__(self, script: str, *arguments: str, on_report: Callable[[dict[str, Json]], None]) -> None:
        self._command = (script, *arguments)
        self._on_report = on_report
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr: list[str] = []

    async def start(self) -> None:
        """Run the script and wait until it takes commands."""
        self._process = await asyncio.create_subprocess_exec(
            find_executable("node"),
            *self._command,
            cwd=NODE_FOLDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._tasks = [
            asyncio.create_task(self._read(self._process.stdout)),
            asyncio.create_task(self._read_errors(self._process.stderr)),
        ]
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise RuntimeError(f"{self._command[0]} did not start:\n{self.errors()}") from None

    async def ask(self, do: str, *, seconds: float = _ANSWER_SECONDS, **fields: Any) -> Json:
        """Carry out one command of the script and return its answer.

        Raises:
            RuntimeError: the command failed, or the script ended.
            TimeoutError: no answer within `seconds`.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = json.dumps({"q": number, "do": do, **encode(fields)})
        self._process.stdin.write(line.encode() + b"\n")
        try:
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            self._waiting.pop(number, None)

    def errors(self) -> str:
        """Return what the script wrote to its standard error."""
        return "".join(self._stderr)

    async def stop(self) -> None:
        """End the script: politely, by closing its standard input, then by a signal."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._tasks)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._process.stdin.wait_closed()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            message = json.loads(line)
            if message.get("t") == "ready":
                self._ready.set()
            elif "a" in message:
                self._answer(message)
            else:
                self._on_report(message)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(RuntimeError(f"{self._command[0]} ended:\n{self.errors()}"))

    def _answer(self, message: dict[str, Json]) -> None:
        answer = self._waiting.get(message["a"])
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]))
        else:
            answer.set_result(decode(message["ok"]))

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._stderr.append(line.decode(errors="replace"))
