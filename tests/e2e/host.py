"""A server process: real uvicorn, holding applications that a test opens and controls over HTTP.

Started as ``python -m tests.e2e.host [PORT]``; prints ``{"port": ...}`` when it listens. ``POST /control``
takes one JSON object ``{"do": ..., ...}``; every other path belongs to the application named by its first
segment. The process ends when its standard input closes, so that it never outlives the test run.
"""

import asyncio
import ctypes
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from tests.e2e import actions
from tests.e2e.apps import App, AppSpec, Behaviour
from tests.e2e.wire import Json, encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_PR_SET_PDEATHSIG = 1
_true_time = time.time


class ErrorCollector(logging.Handler):
    """Keeps what was logged as an error, by whomever, and what Python could not raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, with its traceback."""
        self.errors.append(self.format(record))

    def unraisable(self, event: Any) -> None:
        """Keep an exception of a destructor or of a coroutine that was never awaited."""
        self.errors.append(f"unraisable: {event.exc_value!r} in {event.object!r} ({event.err_msg})")


class Host:
    """The ASGI application of the process."""

    def __init__(self, collector: ErrorCollector) -> None:
        self._apps: dict[str, App] = {}
        self._collector = collector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["path"] == "/control":
            await _respond(send, await self._answer(json.loads(await _body(receive))))
        else:
            app = self._apps.get(scope["path"].split("/")[1])
            if app is None:
                await _refuse(scope, send)
            else:
                await app.asgi(scope, receive, send)

    async def _answer(self, request: dict[str, Json]) -> dict[str, Json]:
        try:
            command = getattr(self, f"do_{request.pop('do')}")
            return {"ok": encode(await command(**request))}
        except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
            return {"error": _describe(error)}

    async def do_open(self, spec: dict[str, Json]) -> None:
        """Build an application."""
        self._apps[spec["name"]] = App(AppSpec(**spec))

    async def do_close(self, app: str) -> None:
        """Close an application and forget it."""
        closing = self._apps[app]
        await closing.close()
        del self._apps[app]

    async def do_run(self, app: str, steps: list[Json]) -> list[Json]:
        """Carry out steps in one task."""
        return await actions.perform(self._apps[app], steps)

    async def do_behave(self, app: str, namespace: str, handler: str, steps: list[Json], then: str) -> None:
        """Set what a handler does from now on."""
        self._apps[app].behaviours[namespace, handler] = Behaviour(steps, then)

    async def do_failures(self, app: str, tag: str) -> list[Json]:
        """Return what a sturdy flood could not emit: pairs of number and whether it may be stored."""
        return self._apps[app].failures[tag]

    async def do_open_gate(self, app: str, name: str) -> None:
        """Let whoever waits at the gate pass, now and later."""
        self._apps[app].gates[name].set()

    async def do_log(self, app: str, after: int, seconds: float) -> list[Json]:
        """Return the log from line `after` on; wait until there is such a line."""
        target = self._apps[app]
        async with target.log_changed:
            try:
                async with asyncio.timeout(seconds):
                    await target.log_changed.wait_for(lambda: len(target.log) > after)
            except TimeoutError:
                pass
            return target.log[after:]

    async def do_collected(self, app: str, name: str) -> list[Json]:
        """Return the arguments of each call of the callback `name`."""
        return self._apps[app].collected[name]

    async def do_residue(self, app: str) -> dict[str, Json]:
        """Return what the application still holds of clients."""
        return actions.residue(self._apps[app])

    async def do_writers(self) -> int:
        """Return how many tasks send to WebSockets: one for each that is open, unless one hangs."""
        return actions.writers()

    async def do_sockets(self) -> int:
        """Return how many Engine.IO sockets are in memory, open or not."""
        return actions.kept_sockets()

    async def do_flood(self, app: str, **options: Any) -> None:
        """Start to emit numbered packets."""
        actions.start_flood(self._apps[app], **options)

    async def do_stop_flood(self, app: str, tag: str) -> int:
        """Stop emitting; return how many were emitted."""
        return await actions.stop_flood(self._apps[app], tag)

    async def do_shift_clock(self, seconds: float) -> None:
        """Let the wall clock of this process be off by so much from now on: it jumps."""
        time.time = lambda: _true_time() + seconds

    async def do_errors(self) -> list[str]:
        """Return and forget the errors that were logged, and the tasks that nobody ended."""
        gc.collect()
        errors = [*self._collector.errors]
        if not self._apps:
            errors += [f"task left behind: {task}" for task in actions.leftover_tasks()]
        self._collector.errors.clear()
        return errors


def _describe(error: Exception) -> dict[str, Json]:
    kind = error.kind if isinstance(error, actions.StepError) else type(error).__name__
    bases = error.bases if isinstance(error, actions.StepError) else []
    details = error.details if isinstance(error, actions.StepError) else {}
    trace = "".join(traceback.format_exception(error))
    return {"kind": kind, "bases": bases, "details": encode(details), "text": str(error), "trace": trace}


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _respond(send: Send, answer: dict[str, Json], status: int = 200) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _respond(send, {"error": f"no application at {scope['path']}"}, status=404)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serve until told to stop."""
    _die_with_parent()
    warnings.simplefilter("error", RuntimeWarning)  # "coroutine ... was never awaited" must not pass unseen
    collector = ErrorCollector()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger().addHandler(collector)
    sys.unraisablehook = collector.unraisable
    # The protocol must be named: asyncio sets TCP_NODELAY only then, and without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a killed one's connections may linger
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the test keeps the port for the next one
    listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0))
    if size := os.environ.get("HOST_SEND_BUFFER"):  # connections inherit it: a slow client is felt soon
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(size))
    listener.listen(2048)
    config = uvicorn.Config(
        Host(collector),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=3600,  # or a control request may meet a connection that is being closed
    )
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - the parent reads it
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
