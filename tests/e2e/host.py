"""A server process: real uvicorn, holding applications that a test opens and controls over HTTP.

Started as ``python -m tests.e2e.host [PORT]``; prints ``{"port": ...}`` when it listens. ``POST /control``
takes one JSON object ``{"do": ..., ...}``; every other path belongs to the application named by its first
segment. The process ends when its standard input closes, so that it never outlives the test run.
"""

import json
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
import uvicorn

from tests.e2e import actions
from tests.e2e.apps import App
from tests.e2e.colours import AsyncColour
from tests.e2e.controls import Controls, ErrorCollector
from tests.e2e.process import die_with_parent, forget_imports, listen
from tests.e2e.wire import Json

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class AsyncControls(Controls):
    """Controls of a process with an event loop."""

    def front(self, app: App) -> Any:
        """Return an ASGI application."""
        return socketio.ASGIApp(app.sio, socketio_path=app.path)

    def writers(self) -> int:
        """Return how many tasks send to WebSockets."""
        return actions.writers()

    def leftovers(self) -> list[str]:
        """Return the tasks that nobody ended."""
        return actions.leftover_tasks()


class Host:
    """The ASGI application of the process."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["path"] == "/control":
            await _respond(send, await self._controls.answer(json.loads(await _body(receive))))
        else:
            front = self._controls.fronts.get(scope["path"].split("/")[1])
            if front is None:
                await _refuse(scope, send)
            else:
                await front(scope, receive, send)


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


def main() -> None:
    """Serve until told to stop."""
    die_with_parent()
    warnings.simplefilter("error", RuntimeWarning)  # "coroutine ... was never awaited" must not pass unseen
    collector = ErrorCollector()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger().addHandler(collector)
    sys.unraisablehook = collector.unraisable
    listener = listen()
    config = uvicorn.Config(
        Host(AsyncControls(AsyncColour(), collector)),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=3600,  # or a control request may meet a connection that is being closed
    )
    forget_imports()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - the parent reads it
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
