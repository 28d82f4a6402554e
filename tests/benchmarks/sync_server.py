"""A synchronous server under test, with werkzeug's threads: ours, or stock python-socketio.

python -m tests.benchmarks.sync_server '{"kind": "RedisManager", "url": "redis://..."}'
"""

import json
import os
import socket
import sys
import threading
from typing import Any

import socketio
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter import RecoveryManager
from tests.benchmarks.options import Options, event_of


class Handler(WSGIRequestHandler):
    """Says nothing of requests."""

    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""


def make_manager(options: Options) -> Any:
    """The client manager of a peer."""
    if options.kind == "RedisManager":
        return socketio.RedisManager(options.url)
    return RecoveryManager(options.url, **options.settings)


def serve_commands(sio: socketio.Server) -> None:
    """Emit as often as the parent says, until it has gone."""
    for line in sys.stdin:
        request = json.loads(line)
        for number in range(request["count"]):
            sio.emit("e", event_of(number, request["size"]))
        print(json.dumps({"ok": None}), flush=True)  # noqa: T201 - the parent reads it
    os._exit(0)


def main() -> None:
    """Serve until told to stop."""
    options = Options.read(sys.argv[1])
    sio = socketio.Server(
        async_mode="threading", client_manager=make_manager(options), ping_interval=options.ping_interval
    )

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        """Let everybody in."""

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    web = make_server(
        "127.0.0.1",
        0,
        socketio.WSGIApp(sio),
        threaded=True,
        request_handler=Handler,
        fd=listener.fileno(),
    )
    threading.Thread(target=web.serve_forever, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - the parent reads it
    serve_commands(sio)


if __name__ == "__main__":
    main()
