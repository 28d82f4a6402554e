"""What `adapter.seams` does for asyncio servers, for synchronous ones.

Checked on the releases that are named there. What is relied on besides what stands there:

- server: a method that is replaced is called with positional arguments, by the thread that has a packet.
- Engine.IO socket: `close` runs the handlers of the transport's end in its caller; threads that take packets
  out of ``queue`` do so one after the other; `schedule_ping` starts a thread that calls `send` with a PING.
- Engine.IO server: ``_async["websocket"]`` is called with the socket's bound method, and calls that with an
  object that has `send`, `wait` and `close`.
"""

import contextlib
import socket as sockets
import struct
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

from engineio import packet as eio_packet

from adapter import seams
from adapter.polls import without_close

__all__ = [
    "abort",
    "close_once",
    "cut",
    "give_up",
    "hook",
    "keep_close_apart",
    "watch_heartbeat",
    "watch_websockets",
]

_CLOSE_PATIENCE = 5.0  # seconds for which the word to close may wait behind what the client does not take


def hook(server: Any, name: str, replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Put `replacement` in place of a server's method, and return the original."""
    original: Callable[..., Any] = getattr(server, name)
    setattr(server, name, replacement)
    if name == seams.TRANSPORT_CLOSED:
        server.eio.on("disconnect", replacement)
    if name == seams.HANDLE_CONNECT and seams.BEGINS_WITH_CONNECT:
        return _connecting(server, original)
    return original


def _connecting(server: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """Have ``_handle_connect`` end as it does since 5.18: whoever was not refused is connected."""

    def handle_connect(eio_sid: str, namespace: str | None, data: Any) -> None:
        original(eio_sid, namespace, data)
        manager, name = server.manager, namespace or "/"
        with manager.tables:
            seams.connected(manager, manager.sid_from_eio_sid(eio_sid, name), name)

    return handle_connect


def close_once(socket: Any) -> None:
    """Have a socket be closed by one thread only, so that its handlers run once. Once per socket."""
    close, lock = socket.close, threading.Lock()

    def closed_once(*args: Any, **kwargs: Any) -> None:
        if lock.acquire(blocking=False):
            close(*args, **kwargs)

    socket.close = closed_once


def keep_close_apart(socket: Any) -> None:
    """Have no polling payload hold an event and a CLOSE; see `adapter.polls`."""
    poll = socket.poll

    def watched_poll() -> list[seams.EioPacket]:
        return without_close(poll())

    socket.poll = watched_poll


def watch_heartbeat(
    socket: Any, post: Callable[..., None], on_ping: Callable[[], None], on_pong: Callable[[], None]
) -> None:
    """Call back in the loop when a PING is put into a socket's queue, and for each PONG. Once per socket.

    The loop itself puts it there, as it does with everything that has an offset: so nothing can come between
    the note and the PING.

    Args:
        post: runs a function in the loop soon, first come, first served; raises RuntimeError without a loop.
    """
    send, schedule_ping = socket.send, socket.schedule_ping

    def put_ping(packet: seams.EioPacket) -> None:
        if seams.takes_packets(socket):  # else packets before it may have been thrown away
            on_ping()
            socket.queue.put_nowait(packet)

    def watched_send(packet: seams.EioPacket) -> None:
        if packet.packet_type != eio_packet.PING:
            send(packet)
        elif socket.check_ping_timeout():
            try:
                post(put_ping, packet)
            except RuntimeError:
                socket.queue.put(packet)

    def watched_schedule_ping() -> None:
        with contextlib.suppress(RuntimeError):
            post(on_pong)
        schedule_ping()

    socket.send, socket.schedule_ping = watched_send, watched_schedule_ping


def cut(server: Any, eio_sid: str) -> Any | None:
    """Send nothing more on a transport, end who writes to it, and return its socket; None if it is gone."""
    socket = seams.socket_of(server, eio_sid)
    if socket is None:
        return None
    seams.shut(socket)
    seams.clear_queue(socket)
    give_up(socket)
    socket.queue.put_nowait(None)
    return socket


def abort(server: Any, eio_sid: str) -> None:
    """Close a transport at once, as if the network had; its client is free to come back."""
    socket = cut(server, eio_sid)
    if socket is not None:
        socket.close(wait=False, abort=True, reason=server.reason.TRANSPORT_ERROR)
        server.eio.sockets.pop(eio_sid, None)  # or a poll that comes later is answered with an internal error


_websockets: WeakKeyDictionary[Any, "ref[_WatchedWebSocket]"] = WeakKeyDictionary()
"""What carries a socket now. It holds the socket, so a strong reference would keep both."""


class _WatchedWebSocket:
    """Stands before what carries a WebSocket: it knows whether a thread is in `send`, and can end that."""

    def __init__(self, websocket: Any, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._websocket = websocket
        self._later = later
        self._closed = False
        self.given_up = False
        self.sending = False
        _send_whole_frames(websocket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)  # engineio looks whether it can set a timeout

    def send(self, message: Any) -> None:
        """Send a packet; waits while the client does not take it."""
        self.sending = True
        try:
            self._websocket.send(message)
        finally:
            self.sending = False

    def wait(self) -> Any:
        """Wait for the client's next packet."""
        return self._websocket.wait()

    def close(self) -> None:
        """Say that it is closed, and be patient with the client, but not for ever."""
        if self.given_up:
            return
        self._later(_CLOSE_PATIENCE, self._end_unless_closed)
        try:
            self._websocket.close()
        finally:
            self._closed = True

    def end(self) -> None:
        """End the connection, and with it whoever waits in it, without a word to the client."""
        self.given_up = True
        raw = _raw_socket(self._websocket)
        if raw is None:
            return
        with contextlib.suppress(OSError, ValueError):  # it is closed already
            # What the client has not taken is thrown away then, else it stays until TCP loses patience.
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError, ValueError):
            raw.shutdown(sockets.SHUT_RDWR)

    def _end_unless_closed(self) -> None:
        if not self._closed:
            self.end()


def watch_websockets(server: Any, later: Callable[[float, Callable[[], None]], None]) -> None:
    """Have the WebSockets of a server be such that `give_up` can end them. Once per server.

    Args:
        later: runs a function after some seconds.
    """
    base = server.eio._async["websocket"]
    if base is None:
        return

    def carry(handler: Any, *args: Any) -> Any:
        socket = handler.__self__

        def handle(websocket: Any) -> Any:
            watched = _WatchedWebSocket(websocket, later)
            _websockets[socket] = ref(watched)
            return handler(watched)

        return base(handle, *args)

    server.eio._async = {**server.eio._async, "websocket": carry}


def give_up(socket: Any) -> None:
    """End a WebSocket on which sending hangs, because its client does not read or its network is dead.

    python-engineio (4.15.1) waits for its writer without a limit, and the writer for the client.
    """
    known = _websockets.get(socket)
    websocket = None if known is None else known()
    if websocket is not None and websocket.sending:
        websocket.end()


def _raw_socket(websocket: Any) -> Any | None:
    """The network's socket under a WebSocket of simple-websocket, eventlet or gevent-websocket."""
    simple: Any = getattr(websocket, "ws", None)
    if hasattr(simple, "sock"):
        return simple.sock
    if hasattr(websocket, "socket"):
        return websocket.socket
    return getattr(getattr(getattr(websocket, "_sock", None), "handler", None), "socket", None)


def _send_whole_frames(websocket: Any) -> None:
    """Have simple-websocket send all of a frame, in one piece.

    It (1.1.0) calls `send` once, which may take a part only where sockets do not block, as gevent's, and it
    answers a frame PING from another thread, perhaps between two parts.
    """
    simple: Any = getattr(websocket, "ws", None)
    if hasattr(simple, "sock"):
        simple.sock = _WholeFrames(simple.sock)


class _WholeFrames:
    """A network socket that sends everything, one caller after the other."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def send(self, data: bytes) -> int:
        with self._lock:
            self._raw.sendall(data)
        return len(data)
