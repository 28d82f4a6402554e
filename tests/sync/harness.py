"""A synchronous server in this process: `socketio.Server` under werkzeug, and clients over WebSockets."""

import contextlib
import json
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import socketio
import websocket
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter import RecoveryManager
from tests.waiting import wait_until

__all__ = ["Client", "Server", "open_server"]

_WAIT = 10.0
_END_OF_A_WEBSOCKET = "write() before start_response"  # of python-engineio before 4.13.4, to werkzeug


class Client:
    """A client that keeps pid and offset as ``socket.io-client`` 4.8 does, on one WebSocket at a time.

    Attributes:
        events: what came, without offsets: lists of name and arguments.
        outcomes: "recovered" or "fresh", for each CONNECT.
        answers_pings: whether a PING is answered.
        ended: the server has disconnected it.
        refused: it was not let in.
    """

    def __init__(self, server: "Server") -> None:
        self.sid = ""
        self.pid = ""
        self.offset = ""
        self.events: list[list[Any]] = []
        self.outcomes: list[str] = []
        self.answers_pings = True
        self.ended = False
        self.refused = False
        self.connected = threading.Event()
        self._server = server
        self._socket: Any = None
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        server.clients.append(self)

    def connect(self, server: "Server | None" = None) -> "Client":
        """Open a WebSocket, and wait until the client is let in."""
        self.dial(server)
        assert self.connected.wait(_WAIT), "the client was not let in"
        return self

    def dial(self, server: "Server | None" = None) -> None:
        """Open a WebSocket, and ask to be let in."""
        self._server = server or self._server
        self.connected.clear()
        opened = websocket.create_connection(self._server.url, timeout=_WAIT)
        self._sockets.append(opened)
        with self._lock:  # what the old connection has brought is heard, or is not
            self._socket = opened
        auth = {"pid": self.pid, **({"offset": self.offset} if self.offset else {})} if self.pid else None
        self._socket.recv()  # OPEN
        self._socket.send("40" + (json.dumps(auth) if auth else ""))
        threading.Thread(target=self._listen, args=(self._socket,), daemon=True).start()

    def cut(self) -> None:
        """Lose the connection without a word."""
        connection = self._socket.sock  # None once the server has closed it
        with contextlib.suppress(OSError):
            if connection is not None:
                connection.shutdown(2)
        self._socket.close()

    def dispose(self) -> None:
        """Close whatever was opened."""
        for connection in self._sockets:
            connection.shutdown()

    def emit(self, *args: Any) -> None:
        """Send an event."""
        self._socket.send("42" + json.dumps(args))

    def disconnect(self) -> None:
        """Leave for good."""
        self._socket.send("41")

    def got(self, event: str) -> list[Any]:
        """The first arguments of all events of a name."""
        return [args[0] for name, *args in list(self.events) if name == event]

    def _listen(self, connection: Any) -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while frame := connection.recv():
                with self._lock:
                    if connection is self._socket:
                        self._hear(frame)

    def _hear(self, frame: str) -> None:
        if frame == "2" and self.answers_pings:
            self._socket.send("3")
        elif frame.startswith("40"):
            data = json.loads(frame[2:])
            self.outcomes.append("recovered" if data.get("pid") == self.pid else "fresh")
            self.sid, self.pid = data["sid"], data.get("pid", "")
            self.connected.set()
        elif frame.startswith("41"):
            self.ended = True
        elif frame.startswith("44"):
            self.refused = True
        elif frame.startswith("42["):
            name, *args = json.loads(frame[2:])
            if args and isinstance(args[-1], str):
                self.offset = args.pop()
            self.events.append([name, *args])
        elif frame.startswith("42"):
            ack_id, _, payload = frame[2:].partition("[")
            name, *args = json.loads(f"[{payload}")
            self._socket.send(f"43{ack_id}" + json.dumps(["ack", *args]))


class _Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing of requests."""


class Server:
    """One server.

    Attributes:
        clients: those that were made for it.
        handled: names of handlers that have run, each with its client's sid.
    """

    def __init__(
        self, url: Any = "memory://", *, server: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.clients: list[Client] = []
        self.manager = RecoveryManager(url, **options)
        self.sio: Any = socketio.Server(async_mode="threading", client_manager=self.manager, **(server or {}))
        self.handled: list[tuple[str, str]] = []
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)
        self._web = make_server(
            "127.0.0.1", 0, socketio.WSGIApp(self.sio), threaded=True, request_handler=_Handler
        )
        self._thread = threading.Thread(target=self._web.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self._web.server_port}/socket.io/?EIO=4&transport=websocket"

    def client(self) -> Client:
        """A client that is connected."""
        return Client(self).connect()

    def close(self) -> None:
        """End the server, and wait until its sockets are closed."""
        self.manager.close()
        self._web.shutdown()
        self._thread.join()
        self._web.server_close()
        for client in self.clients:
            client.dispose()

    def is_empty(self) -> bool:
        """Whether nothing is left of any client."""
        manager: Any = self.manager
        process = self.manager._operations.process
        return not any(
            (
                manager.rooms,
                manager.pending_connect,
                manager.pending_disconnect,
                manager.callbacks,
                self.sio.environ,
                process.clients.all(),
                process.clients.transports(),
            )
        )

    def wait_empty(self) -> None:
        """Wait until nothing is left of any client."""
        wait_until(self.is_empty, what="nothing left of any client")

    def _on_connect(self, sid: str, environ: Any) -> None:
        self.handled.append(("connect", sid))

    def _on_disconnect(self, sid: str, reason: str) -> None:
        self.handled.append(("disconnect", sid))


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if _END_OF_A_WEBSOCKET not in message:
            self.messages.append(message)


@contextmanager
def open_server(*args: Any, expects_errors: bool = False, **options: Any) -> Generator[Server, None, None]:
    """A server that ends with the block; fails if anything was logged as an error meanwhile."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    server = Server(*args, **options)
    try:
        yield server
    finally:
        server.close()
        logging.getLogger().removeHandler(errors)
    assert expects_errors or not errors.messages, "\n".join(errors.messages)
