"""Every private name of python-socketio and python-engineio that this project touches.

Checked on python-socketio 5.13.0 to 5.18.1, with python-engineio 4.11.0 to 4.15.1. The contract test
(``tests/unit/test_seams.py``) fails with a clear message when a release moves one of them, and
`adapter.needs` has their shapes, by which such a release is refused.

What is relied on:

- server: its methods are looked up on the instance at each call, so that an attribute of the instance
  replaces them; those that are named here are awaited with positional arguments. ``eio.on("disconnect")``
  and the attribute ``_handle_eio_disconnect`` must both be set, because ``sio.instrument()`` calls the
  attribute.
- manager: ``rooms``, ``pending_connect`` and the ``basic_*`` methods keep the tables.
- Engine.IO socket: ``queue`` is what its transport sends, first in, first out; ``poll`` takes out what is
  there, for a GET or a WebSocket; ``closing`` and ``closed`` tell its end; every PING goes through ``send``,
  and ``schedule_ping`` is called for every PONG.
- Engine.IO server: ``_async["websocket"]`` makes what carries a WebSocket, from the socket's bound method.
  One task of the socket calls its ``send``, others its ``wait``; an exception ends either, and with it the
  socket.

What releases differ in:

- before 5.18.0, ``_handle_connect`` begins with ``manager.connect(eio_sid, namespace)``, which makes the sid,
  and a client counts as connected from then on. Since then it begins with ``pre_connect``, and ends with
  ``connect(sid, namespace)`` after CONNECT (with ``always_connect``: before the handler); between them the
  sid is in ``pending_connect``. What is refused, raised, or gone meanwhile is cleaned up alike.
- before 5.17.0, there is no ``is_sid_room``, and a client may enter another's; a connect handler without auth
  is tried with two arguments first, then with None as the third. Since then it is the other way round.
- before 5.16.4, a binary packet of which a part is missing stays in ``_binary_packet`` when its client
  leaves; before 5.16.2 a client need not be connected to leave one there.
- before 5.16.1, managers have no ``json``.
- before 5.14.3, Python's own ``ConnectionRefusedError`` is an error of the connect handler, not a refusal.
- before python-engineio 4.13, a socket begins to ping before its connect event, and each PONG, asked for or
  not, starts another wait for a ping.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

from engineio import packet as eio_packet
from socketio import packet as sio_packet
from socketio.base_manager import BaseManager

from adapter.polls import Poll

__all__ = [
    "BEGINS_WITH_CONNECT",
    "CLIENT_LEFT",
    "CONNECT",
    "CONNECT_ERROR",
    "EVENT",
    "HANDLE_CONNECT",
    "SEND_PACKET",
    "TRANSPORT_CLOSED",
    "TRIGGER_EVENT",
    "EioPacket",
    "abort",
    "accepts",
    "clear_queue",
    "connected",
    "disconnected",
    "forget",
    "give_up",
    "has_test_clients",
    "hook",
    "is_open",
    "is_pretended",
    "keep_close_apart",
    "knows",
    "message",
    "register",
    "sender",
    "shut",
    "socket_of",
    "takes_packets",
    "watch_heartbeat",
    "watch_websockets",
]

CONNECT = sio_packet.CONNECT
CONNECT_ERROR = sio_packet.CONNECT_ERROR
EVENT = sio_packet.EVENT

HANDLE_CONNECT = "_handle_connect"
TRANSPORT_CLOSED = "_handle_eio_disconnect"
SEND_PACKET = "_send_packet"
TRIGGER_EVENT = "_trigger_event"
CLIENT_LEFT = "_handle_disconnect"

BEGINS_WITH_CONNECT = "eio_sid" in inspect.signature(BaseManager.connect).parameters
"""Whether a server has its manager connect a transport before it asks the application."""


class EioPacket(Protocol):
    """An ``engineio.packet.Packet``; python-engineio ships no types."""

    packet_type: int
    data: Any  # text or bytes, in the packets that we make
    binary: bool


class Manager(Protocol):
    """The part of `socketio.base_manager.BaseManager` that keeps the tables of clients and rooms."""

    rooms: dict[str, dict[Any, Any]]
    pending_connect: dict[str, list[str]]

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Note a client in a room."""


def hook(server: Any, name: str, replacement: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Put `replacement` in place of a server's coroutine method, and return the original."""
    original: Callable[..., Awaitable[Any]] = getattr(server, name)
    setattr(server, name, replacement)
    if name == TRANSPORT_CLOSED:
        server.eio.on("disconnect", replacement)
    if name == HANDLE_CONNECT and BEGINS_WITH_CONNECT:
        return _connecting(server, original)
    return original


def _connecting(server: Any, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Have ``_handle_connect`` end as it does since 5.18: whoever was not refused is connected."""

    async def handle_connect(eio_sid: str, namespace: str | None, data: Any) -> None:
        await original(eio_sid, namespace, data)
        name = namespace or "/"
        connected(server.manager, server.manager.sid_from_eio_sid(eio_sid, name), name)

    return handle_connect


def connected(manager: Manager, sid: str | None, namespace: str) -> None:
    """Count a client as connected, if it was about to be; harmless when repeated."""
    pending = manager.pending_connect.get(namespace, [])
    if sid in pending:
        pending.remove(sid)
        if not pending:
            del manager.pending_connect[namespace]


def disconnected(server: Any) -> Callable[..., Awaitable[None]]:
    """The server's own method that runs a client's disconnect handler and frees its sid."""
    method: Callable[..., Awaitable[None]] = server._handle_disconnect
    return method


def accepts(server: Any, namespace: str) -> bool:
    """Whether the server lets clients into a namespace; the condition of its ``_handle_connect``."""
    return (
        namespace in server.handlers
        or namespace in server.namespace_handlers
        or server.namespaces == "*"
        or namespace in server.namespaces
    )


def register(manager: Manager, sid: str, eio_sid: str, namespace: str, rooms: Sequence[Any]) -> None:
    """Enter a client with a given sid into the tables, as ``BaseManager.pre_connect`` does with a new one."""
    manager.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
    manager.basic_enter_room(sid, namespace, sid, eio_sid=eio_sid)
    for room in rooms:
        if room != sid:
            manager.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
    manager.pending_connect.setdefault(namespace, []).append(sid)


def knows(manager: Manager, sid: str, namespace: str) -> bool:
    """Whether a client is in the tables of this process, in whatever state."""
    return sid in manager.rooms.get(namespace, {}).get(None, {})


def socket_of(server: Any, eio_sid: str) -> Any | None:
    """The Engine.IO socket of a transport, or None for a test client, or one that is gone."""
    return server.eio.sockets.get(eio_sid)


def forget(server: Any, eio_sid: str) -> None:
    """Drop what a server keeps of a transport that is gone."""
    server.environ.pop(eio_sid, None)
    server._binary_packet.pop(eio_sid, None)  # before 5.16.4 it would stay for ever


def is_open(server: Any, eio_sid: str) -> bool:
    """Whether a transport still takes packets."""
    socket = socket_of(server, eio_sid)
    return is_pretended(server, eio_sid) if socket is None else takes_packets(socket)


def has_test_clients(server: Any) -> bool:
    """Whether a test client has been made for a server, which then sends to no real client any more.

    Flask-SocketIO's (5.7) replaces what the server sends with, our own hook too, for all clients at once.
    """
    return "_send_eio_packet" in vars(server)


def is_pretended(server: Any, eio_sid: str) -> bool:
    """Whether a transport is a test client's, which has no socket."""
    return has_test_clients(server) and socket_of(server, eio_sid) is None and eio_sid in server.environ


def shut(socket: Any) -> None:
    """Queue nothing more on a socket, which is about to be closed: what follows a gap must not go out."""
    socket.takes_no_packets = True  # a name of ours


def takes_packets(socket: Any) -> bool:
    """Whether what is queued on a socket goes out."""
    return not (socket.closing or socket.closed or getattr(socket, "takes_no_packets", False))


def message(data: str | bytes) -> EioPacket:
    """Wrap one part of an encoded Socket.IO packet."""
    packet: EioPacket = eio_packet.Packet(eio_packet.MESSAGE, data)
    return packet


def sender(server: Any, eio_sid: str) -> Callable[[Sequence[EioPacket]], int]:
    """What queues packets on a transport, and returns how many wait there; 0 if it is gone.

    Straight into the queue: ``AsyncSocket.send`` checks the ping timeout first, and may run the
    application's disconnect handler in its caller. A binary packet is copied for each recipient, since
    ``Packet.encode`` caches one encoding for polling and WebSocket alike (engineio 4.15.1).
    """
    socket = socket_of(server, eio_sid)
    if socket is None:
        return partial(_pretend_to_send, server, eio_sid)
    queue = socket.queue

    def send(packets: Sequence[EioPacket]) -> int:
        if not takes_packets(socket):
            return 0
        for packet in packets:
            queue.put_nowait(message(packet.data) if packet.binary else packet)
        waiting: int = queue.qsize()
        return waiting

    return send


def _pretend_to_send(server: Any, eio_sid: str, packets: Sequence[EioPacket]) -> int:
    if is_pretended(server, eio_sid):
        for packet in packets:
            server._send_eio_packet(eio_sid, packet)
    return 0


def clear_queue(socket: Any) -> None:
    """Throw away what a transport has not sent yet; its client gets it by recovery.

    At once: a thread that sends must not find a later packet when an earlier one is gone.
    """
    thrown_away: list[Any] = []
    mutex = getattr(socket.queue, "mutex", None)
    if mutex is not None:
        with mutex:
            thrown_away.extend(socket.queue.queue)
            socket.queue.queue.clear()
    else:  # nothing else runs meanwhile
        while not socket.queue.empty():
            thrown_away.append(socket.queue.get_nowait())
    for _ in thrown_away:
        socket.queue.task_done()
    if None in thrown_away:
        socket.queue.put_nowait(None)  # the word for its writer to end must not be lost


def keep_close_apart(socket: Any) -> None:
    """Have no polling payload hold an event and a CLOSE; see `adapter.polls`. Once per socket."""
    socket.poll = Poll(socket)


async def abort(server: Any, eio_sid: str) -> None:
    """Close a transport at once, as if the network had; its client is free to come back."""
    socket = socket_of(server, eio_sid)
    if socket is None:
        return
    clear_queue(socket)
    give_up(socket)
    socket.queue.put_nowait(None)  # ends the writer, and with it the transport, before any handler runs
    await socket.close(wait=False, abort=True, reason=server.reason.TRANSPORT_ERROR)
    server.eio.sockets.pop(eio_sid, None)  # or a poll that comes later is answered with an internal error


_websockets: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()
"""What carries a socket now, if it is watched. It holds the socket, so a strong reference would keep both."""

_CLOSE_PATIENCE = 5.0  # seconds for which the word to close may wait behind what the client does not take


class _WatchedWebSocket:
    """Mixed into what carries a WebSocket: it knows which tasks are in it, and can end them."""

    def __init__(self, handler: Any, *args: Any) -> None:
        super().__init__(handler, *args)  # type: ignore[call-arg]  # of the class that this is mixed into
        self.given_up = False
        self.sender: asyncio.Task[Any] | None = None
        self.reader: asyncio.Task[Any] | None = None
        _websockets[handler.__self__] = ref(self)

    async def send(self, message: Any) -> None:
        """Send a packet; waits while the client does not take it."""
        self.sender = asyncio.current_task()
        try:
            await super().send(message)  # type: ignore[misc]  # as above
        finally:
            self.sender = None

    async def wait(self) -> Any:
        """Wait for the client's next packet."""
        self.reader = asyncio.current_task()
        try:
            return await super().wait()  # type: ignore[misc]  # as above
        finally:
            self.reader = None

    async def close(self) -> None:
        """Say that it is closed, and be patient with the client, but not for ever."""
        if self.given_up:
            return
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await super().close()  # type: ignore[misc]  # as above
        except TimeoutError:
            self.end()

    def end(self) -> None:
        """End the tasks that are in it, and the connection, without a word to the client."""
        self.given_up = True
        for task in (self.sender, self.reader):
            if task is not None:
                task.cancel()
        _reset(self)


def watch_websockets(server: Any) -> None:
    """Have the WebSockets of a server be such that `give_up` can end them. Once per server."""
    base = server.eio._async["websocket"]
    if base is not None:
        watched = type("WatchedWebSocket", (_WatchedWebSocket, base), {})
        server.eio._async = {**server.eio._async, "websocket": watched}


def give_up(socket: Any) -> None:
    """End a WebSocket on which sending hangs, because its client does not read or its network is dead.

    python-engineio (4.15.1) waits for its writer without a limit, and the writer for the client: the tasks,
    and all packets that the writer took out of the queue, would stay for as long as TCP has patience, which
    is for ever with a client that answers and does not read.
    """
    known = _websockets.get(socket)
    websocket = None if known is None else known()
    if websocket is not None and websocket.sender is not None:
        websocket.end()


def _reset(websocket: Any) -> None:
    """Reset the connection, where the ASGI server lets us: else what is in its buffer stays until TCP ends.

    uvicorn (0.54) does: what it hands out as ``send`` is a method of what has the transport.
    """
    owner = getattr(getattr(websocket, "asgi_send", None), "__self__", None)
    abort_transport = getattr(getattr(owner, "transport", None), "abort", None)
    if callable(abort_transport):
        abort_transport()


def watch_heartbeat(socket: Any, on_ping: Callable[[], None], on_pong: Callable[[], None]) -> None:
    """Call back whenever a PING was queued for a socket, and whenever a PONG came. Once per socket."""
    send, schedule_ping = socket.send, socket.schedule_ping

    async def watched_send(packet: EioPacket) -> None:
        await send(packet)
        if packet.packet_type == eio_packet.PING:
            on_ping()

    def watched_schedule_ping() -> None:
        on_pong()
        schedule_ping()

    socket.send, socket.schedule_ping = watched_send, watched_schedule_ping
