"""A server process like `tests.e2e.host`, with a synchronous server: werkzeug's threads, gevent or eventlet.

Started as ``python -m tests.e2e.sync_host MODE [PORT]``, where MODE is one of ``threading``, ``gevent`` (with
simple-websocket), ``gevent-websocket`` and ``eventlet``.
"""

# ruff: noqa: E402 - the standard library has to be patched before anything else is imported
import _thread
import sys

_MODE = sys.argv[1]
_start_thread = _thread.start_new_thread
if _MODE.startswith("gevent"):
    from gevent import monkey

    monkey.patch_all()
    if _MODE == "gevent":
        sys.modules["geventwebsocket"] = None  # type: ignore[assignment]  # as if it were not installed
elif _MODE == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import gc
import json
import logging
import socket
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import socketio

from tests.e2e.apps import App
from tests.e2e.colours import SyncColour, drive
from tests.e2e.controls import Controls, ErrorCollector
from tests.e2e.process import die_with_parent, forget_imports, listen

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class SyncControls(Controls):
    """Controls of a process with threads, or greenlets in place of them."""

    def front(self, app: App) -> Wsgi:
        """Return a WSGI application."""
        front: Wsgi = socketio.WSGIApp(app.sio, socketio_path=app.path)
        return front

    def writers(self) -> int:
        """Return how many threads send to WebSockets."""
        if _MODE == "threading":
            return sum("(writer)" in thread.name for thread in threading.enumerate())
        return sum("writer" in repr(it) for it in gc.get_objects() if type(it).__name__ == "Thread")

    def leftovers(self) -> list[str]:
        """Return the threads of the library that nobody ended."""
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("recovery")]


class Host:
    """The WSGI application of the process."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/control":
            request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            return _respond(start_response, drive(self._controls.answer(request)))
        front = self._controls.fronts.get(path.split("/")[1])
        if front is None:
            return _respond(start_response, {"error": f"no application at {path}"}, status="404 Not Found")
        answer: Iterable[bytes] = front(environ, start_response)
        return answer


def _respond(start_response: Any, answer: dict[str, Any], status: str = "200 OK") -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _serve(listener: socket.socket, host: Host) -> None:
    if _MODE == "threading":
        from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

        class Handler(WSGIRequestHandler):
            disable_nagle_algorithm = True

            def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
                """Say nothing of requests."""

        make_server(
            "127.0.0.1", 0, host, threaded=True, request_handler=Handler, fd=listener.fileno()
        ).serve_forever()
    elif _MODE == "eventlet":
        import eventlet.wsgi  # noqa: PLC0415

        eventlet.wsgi.server(listener, host, log_output=False)
    else:
        from gevent import pywsgi  # noqa: PLC0415

        options: dict[str, Any] = {}
        if _MODE == "gevent-websocket":
            from geventwebsocket.handler import WebSocketHandler  # noqa: PLC0415

            options["handler_class"] = WebSocketHandler
        pywsgi.WSGIServer(listener, host, log=None, **options).serve_forever()


def main() -> None:
    """Serve until told to stop."""
    die_with_parent(_start_thread)
    warnings.simplefilter("error", RuntimeWarning)  # "coroutine ... was never awaited" must not pass unseen
    collector = ErrorCollector()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger().addHandler(collector)
    sys.unraisablehook = collector.unraisable
    listener = listen()
    async_mode = "gevent" if _MODE.startswith("gevent") else _MODE
    forget_imports()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - the parent reads it
    _serve(listener, Host(SyncControls(SyncColour(async_mode), collector)))


if __name__ == "__main__":
    main()
