"""Server processes, the applications in them, and the handles by which a test drives both.

A `HostProcess` lives as long as the test session; a `Cluster` is one application of a test, opened in one or
several of these processes on one store, with a stream of its own, and closed when the test ends.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e import steps
from tests.e2e.js_clients import Connected, JsClient, JsClients
from tests.e2e.steps import Step
from tests.e2e.wire import Json, decode, encode
from tests.waiting import async_wait_until

__all__ = ["Cluster", "HostProcess", "Server", "ServerError", "real_time_passes"]

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_LOG_SECONDS = 5.0
_REQUEST_SECONDS = 30.0
_COMPLAINTS = (  # python-engineio's own, of requests that come too late or make no sense
    "further occurrences of this error will be logged",
    "KeyError: 'Session is disconnected'",  # 4.15.1 lets a POST to a closed session raise into the web server
    "write() before start_response",  # how a WebSocket ends under werkzeug before 4.13.4
    "OSError: Socket has been upgraded already",  # a second WebSocket of one session, before 4.15
)


class ServerError(Exception):
    """What a test asked for raised in the server process.

    Attributes:
        kind: name of the error's type.
        bases: names of all its base classes.
        details: the error's public attributes.
        text: its message.
    """

    def __init__(self, error: dict[str, Json]) -> None:
        super().__init__(f"{error['kind']}: {error['text']}\n{error['trace']}")
        self.kind: str = error["kind"]
        self.bases: list[str] = error["bases"]
        self.details: dict[str, Json] = decode(error["details"])
        self.text: str = error["text"]


class HostProcess:
    """One process of `tests.e2e.host`, or of `sync_host`. Call `start` first and `stop` at the end.

    Args:
        colour: "asyncio", or a mode of `tests.e2e.sync_host`.
        port: where it listens; 0 for any.
    """

    def __init__(self, name: str, *, colour: str = "asyncio", port: int = 0) -> None:
        self.name = name
        self._module = ["tests.e2e.host"] if colour == "asyncio" else ["tests.e2e.sync_host", colour]
        self.url = ""
        self._port = port
        self._output = tempfile.NamedTemporaryFile(prefix=f"{name}-", suffix=".log")  # noqa: SIM115 - until stop
        self._process: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        """The operating system's id of the process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it listens."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._module, str(self._port)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = await asyncio.to_thread(self._process.stdout.readline)
        if not line:
            raise RuntimeError(f"{self.name} did not start:\n{self.output()}")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS))

    async def ask(self, do: str, **fields: Any) -> Json:
        """Carry out one control command.

        Raises:
            ServerError: the command failed.
        """
        assert self._session is not None
        async with self._session.post(f"{self.url}/control", json={"do": do, **fields}) as response:
            answer = await response.json()
        if "error" in answer:
            raise ServerError(answer["error"])
        return decode(answer["ok"])

    def output(self) -> str:
        """Return what the process wrote to its standard error so far."""
        return Path(self._output.name).read_text(errors="replace")

    async def stop(self) -> None:
        """End the process: SIGTERM, then SIGKILL."""
        if self._session is not None:
            await self._session.close()
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._output.close()


class Server:
    """One application in one process: python-socketio's methods, called from the test."""

    def __init__(self, host: HostProcess, app: str) -> None:
        self.host = host
        self.app = app
        self._log: list[dict[str, Json]] = []

    def __repr__(self) -> str:
        return f"<Server {self.host.name}>"

    @property
    def url(self) -> str:
        """Where clients connect to; the path is `path`."""
        return self.host.url

    @property
    def path(self) -> str:
        """The Socket.IO path of the application."""
        return f"/{self.app}/socket.io"

    async def run(self, *todo: Step) -> list[Json]:
        """Carry out steps one after the other in one task of the server; return their results."""
        results: list[Json] = await self._ask("run", steps=list(todo))
        return results

    async def emit(self, event: str, data: Any = None, **options: Any) -> None:
        """`AsyncServer.emit`."""
        await self.run(steps.emit(event, data, **options))

    async def emit_numbers(self, event: str, numbers: Sequence[int], **options: Any) -> None:
        """Emit an event once for each number, in one task."""
        await self.run(*(steps.emit(event, number, **options) for number in numbers))

    async def call(self, event: str, data: Any = None, **options: Any) -> Json:
        """`AsyncServer.call`."""
        return (await self.run(steps.call(event, data, **options)))[0]

    async def enter_room(self, sid: str, room: Any, **options: Any) -> None:
        """`AsyncServer.enter_room`."""
        await self.run(steps.enter_room(sid, room, **options))

    async def leave_room(self, sid: str, room: Any, **options: Any) -> None:
        """`AsyncServer.leave_room`."""
        await self.run(steps.leave_room(sid, room, **options))

    async def close_room(self, room: Any, **options: Any) -> None:
        """`AsyncServer.close_room`."""
        await self.run(steps.close_room(room, **options))

    async def rooms(self, sid: str, **options: Any) -> set[Json]:
        """`AsyncServer.rooms`, without the client's own room."""
        return set((await self.run(steps.rooms(sid, **options)))[0]) - {sid}

    async def disconnect(self, sid: str, **options: Any) -> None:
        """`AsyncServer.disconnect`."""
        await self.run(steps.disconnect(sid, **options))

    async def save_session(self, sid: str, data: Any, **options: Any) -> None:
        """`AsyncServer.save_session`."""
        await self.run(steps.save_session(sid, data, **options))

    async def get_session(self, sid: str, **options: Any) -> Json:
        """`AsyncServer.get_session`."""
        return (await self.run(steps.get_session(sid, **options)))[0]

    async def recovery(self, sid: str, namespace: str = "/") -> dict[str, Json]:
        """`AsyncRecoveryManager.recovery` as a dict."""
        record: dict[str, Json] = (await self.run(steps.log_recovery(sid, namespace=namespace)))[0]
        return record

    async def behave(self, handler: str, *todo: Step, namespace: str = "/", then: str = "accept") -> None:
        """Set what a handler does from now on (`tests.e2e.apps.Behaviour`)."""
        await self._ask("behave", namespace=namespace, handler=handler, steps=list(todo), then=then)

    async def open_gate(self, name: str) -> None:
        """Let handlers that wait at the gate go on."""
        await self._ask("open_gate", name=name)

    async def collected(self, name: str) -> list[Json]:
        """Return the arguments of each call of the callback `steps.collect(name)`."""
        calls: list[Json] = await self._ask("collected", name=name)
        return calls

    async def wait_collected(self, name: str) -> list[Json]:
        """Wait for the first call of a callback; return all its calls."""
        return await async_wait_until(lambda: self.collected(name), what=f"a call of {name}")

    async def log(self, handler: str | None = None, sid: str | None = None) -> list[dict[str, Json]]:
        """Return the calls of handlers so far, in order; only some, if asked."""
        self._log += await self._ask("log", after=len(self._log), seconds=0)
        return self._matching(handler, sid)

    async def wait_log(
        self, handler: str, sid: str | None = None, *, count: int = 1, seconds: float = _LOG_SECONDS
    ) -> list[dict[str, Json]]:
        """Wait until a handler was called `count` times (for `sid`, if given); return these calls."""
        deadline = time.monotonic() + seconds
        while len(found := await self.log(handler, sid)) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"{self} waited {seconds} s for {count} x {handler} of {sid}: {self._log}"
            self._log += await self._ask("log", after=len(self._log), seconds=left)
        return found

    def forget_log(self) -> None:
        """The process is another one: its log begins anew."""
        self._log.clear()

    async def residue(self) -> dict[str, Json]:
        """Return what the application still holds of clients (`tests.e2e.actions.residue`)."""
        held: dict[str, Json] = await self._ask("residue")
        return held

    async def flood(
        self,
        tag: str,
        *,
        batch: int = 1,
        event: str = "n",
        interval: float = 0,
        sturdy: bool = False,
        **options: Any,
    ) -> None:
        """Emit ``(tag, 1)``, ``(tag, 2)``, ... as fast as the server can, until `stop_flood`.

        A sturdy flood goes on when an emit fails; see `failures`.
        """
        pace = {"batch": batch, "interval": interval, "sturdy": sturdy}
        await self._ask("flood", tag=tag, event=event, options=encode(options), **pace)

    async def failures(self, tag: str) -> list[tuple[int, bool]]:
        """Return what a sturdy flood could not emit, and whether it may be stored all the same."""
        return [(number, maybe_stored) for number, maybe_stored in await self._ask("failures", tag=tag)]

    async def stop_flood(self, tag: str) -> int:
        """Stop emitting; return how many packets were emitted."""
        count: int = await self._ask("stop_flood", tag=tag)
        return count

    def _matching(self, handler: str | None, sid: str | None) -> list[dict[str, Json]]:
        return [
            line for line in self._log if handler in {None, line["handler"]} and sid in {None, line["sid"]}
        ]

    async def _ask(self, do: str, **fields: Any) -> Json:
        return await self.host.ask(do, app=self.app, **fields)


class Cluster:
    """The application of one test, in one process or several, and the clients connected to it.

    `first` and `last` are two different servers where there are two, and the same one otherwise, so that a
    test that lets its client come back to `last` covers both cases.
    """

    patience = 10.0  # seconds until nothing of a client that has gone is left; some miss a ping first

    def __init__(self, hosts: Sequence[HostProcess], clients: JsClients) -> None:
        self.app = f"app-{uuid.uuid4().hex[:12]}"
        self.servers = [Server(host, self.app) for host in hosts]
        self.expected_errors: list[str] = []
        self._clients = clients
        self._mine: list[JsClient] = []
        self._settles = itertools.count(1)

    @property
    def first(self) -> Server:
        """The server that clients connect to at first."""
        return self.servers[0]

    @property
    def last(self) -> Server:
        """The other server, if there are two."""
        return self.servers[-1]

    async def open(
        self, recovery: dict[str, Any] | None, server: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """Build the application in every process (`tests.e2e.apps.AppSpec`)."""
        fields = {"name": self.app, "recovery": recovery, "server": server or {}, **spec}
        for place in self.servers:
            await place.host.ask("open", spec=fields)

    async def open_client(
        self, server: Server | None = None, namespace: str = "/", **options: Any
    ) -> JsClient:
        """Create a client that starts to connect; it need not get in. Its `url` may be elsewhere."""
        place = server or self.first
        spec: dict[str, Any] = {"url": place.url, "path": place.path, **options}
        client = await self._clients.open(namespace=namespace, **spec)
        self._mine.append(client)
        return client

    async def client(self, server: Server | None = None, namespace: str = "/", **options: Any) -> JsClient:
        """Create a client and wait until it is connected."""
        client = await self.open_client(server, namespace, **options)
        await client.wait_connected()
        return client

    async def come_back(self, client: JsClient, server: Server | None = None) -> Connected:
        """Reconnect a client, to `last` unless told otherwise, and demand that it is recovered."""
        before = client.last
        connected = await client.reconnect((server or self.last).url)
        assert connected.recovered, f"{client.name} was not recovered: it saw {client.history[-5:]}"
        assert connected.sid == before.sid
        assert connected.pid == before.pid
        return connected

    async def settle(self, *clients: JsClient) -> None:
        """Wait until clients have everything that was emitted so far.

        The stream has one order, so a last packet to each client proves that nothing before it is under way.
        """
        mark = next(self._settles)
        for client in clients:
            await self.last.emit("settle", mark, to=client.sid, namespace=client.namespace)
        for client in clients:
            await client.until_payload("settle", mark)

    async def wait_empty(self) -> None:
        """Wait until no server holds anything of a client any more."""
        for server in self.servers:
            await _wait_empty(server, self.patience)

    async def close(self) -> None:
        """Take the clients away, demand that nothing of them stays behind, and close the application."""
        for client in self._mine:
            await client.dispose()
        try:
            await self.wait_empty()
        finally:
            for server in self.servers:
                with contextlib.suppress(ServerError):  # the test could not open it
                    await server.host.ask("close", app=self.app)
        await self._check_errors()

    async def _check_errors(self) -> None:
        expected = [*_COMPLAINTS, *self.expected_errors]
        unexpected: list[str] = []
        found = await asyncio.gather(*(server.host.ask("errors") for server in self.servers))
        for server, errors in zip(self.servers, found, strict=True):
            unexpected += [f"{server}: {error}" for error in errors if not any(w in error for w in expected)]
        assert not unexpected, "\n".join(unexpected)


async def _wait_empty(server: Server, seconds: float) -> None:
    held: dict[str, Json] = {}

    async def empty() -> bool:
        held.update(await server.residue())
        return not any(held.values())

    try:
        await async_wait_until(empty, timeout=seconds)
    except AssertionError:
        raise AssertionError(f"{server} still holds something of its clients: {held}") from None


async def real_time_passes(seconds: float) -> None:
    """Let a window pass on the store's own clock, which no test can set; for nothing else."""
    await asyncio.sleep(seconds)
