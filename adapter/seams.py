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
- Engine.IO server: what `adapter.websocket_seams` says.

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

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from typing import Any, Protocol

from engineio import packet as eio_packet
from socketio import packet as sio_packet
from socketio.base_manager import BaseManager

from adapter.polls import keep_close_apart
from adapter.websocket_seams import give_up, watch_websockets

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
    return partial(_send, socket, socket.queue)


def _send(socket: Any, queue: Any, packets: Sequence[EioPacket]) -> int:
    if not takes_packets(socket):
        return 0
    for packet in packets:
        queue.put_nowait(message(packet.data) if packet.binary else packet)
    waiting: int = queue.qsize()
    return waiting


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


class _WatchedSocket:
    """Mixed into the class of a socket: it tells of its PINGs and PONGs.

    Attributes:
        on_ping: called when a PING was queued.
        on_pong: called when a PONG came.
    """

    on_ping: Callable[[], None]
    on_pong: Callable[[], None]

    async def send(self, packet: EioPacket) -> None:
        """Send a packet."""
        await super().send(packet)  # type: ignore[misc]  # of the class that this is mixed into
        if packet.packet_type == eio_packet.PING:
            self.on_ping()

    def schedule_ping(self) -> None:
        """A PONG came: have the next PING follow."""
        self.on_pong()
        super().schedule_ping()  # type: ignore[misc]  # as above


@cache
def _watched(base: type) -> type:
    return type(f"Watched{base.__name__}", (_WatchedSocket, base), {})


def watch_heartbeat(socket: Any, on_ping: Callable[[], None], on_pong: Callable[[], None]) -> None:
    """Call back whenever a PING was queued for a socket, and whenever a PONG came. Once per socket.

    Its class is changed, and not its methods one by one: those would be cycles, and a lot of memory.
    """
    base: Any = type(socket)  # of a metaclass of which mypy does not know that it has a hash
    socket.__class__ = _watched(base)
    socket.on_ping, socket.on_pong = on_ping, on_pong
