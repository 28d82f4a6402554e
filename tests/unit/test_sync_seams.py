"""The contract of `adapter.sync_seams`, as `test_seams` has it for `adapter.seams`.

What `adapter.client_seams` relies on stands in `tests/clients/test_client_seams.py`.
"""

import contextlib
import inspect
import socket as sockets
import threading
from importlib.metadata import version
from typing import Any

import pytest
import socketio
from engineio import packet as eio_packet
from engineio.server import Server as EioServer
from engineio.socket import Socket
from socketio import packet as sio_packet

from adapter import needs, seams, sync_seams
from adapter.releases import Manager
from tests.waiting import wait_until

_RELEASE = f"python-socketio {version('python-socketio')}, python-engineio {version('python-engineio')}"

METHODS: list[tuple[Any, str, list[str]]] = [
    (socketio.Server, "_handle_connect", ["eio_sid", "namespace", "data"]),
    (socketio.Server, "_handle_disconnect", ["eio_sid", "namespace", "reason"]),
    (socketio.Server, "_handle_eio_disconnect", ["eio_sid", "reason"]),
    (socketio.Server, "_send_packet", ["eio_sid", "pkt"]),
    (socketio.Server, "_trigger_event", ["event", "namespace", "args"]),
    (socketio.Server, "get_session", ["sid", "namespace"]),
    (socketio.Server, "save_session", ["sid", "session", "namespace"]),
    (socketio.Server, "shutdown", []),
    (socketio.Server, "disconnect", ["sid", "namespace", "ignore_queue"]),
    (Manager, "can_disconnect", ["sid", "namespace"]),
    (Manager, "pre_connect", ["eio_sid", "namespace"]),
    (Manager, "connect", ["sid", "namespace"]),
    (Manager, "disconnect", ["sid", "namespace", "kwargs"]),
    (Manager, "enter_room", ["sid", "namespace", "room", "eio_sid"]),
    (Manager, "leave_room", ["sid", "namespace", "room"]),
    (Manager, "close_room", ["room", "namespace"]),
    (Manager, "pre_disconnect", ["sid", "namespace"]),
    (Manager, "is_connected", ["sid", "namespace"]),
    (Manager, "sid_from_eio_sid", ["eio_sid", "namespace"]),
    (Manager, "basic_enter_room", ["sid", "namespace", "room", "eio_sid"]),
    (Manager, "basic_leave_room", ["sid", "namespace", "room"]),
    (Manager, "basic_disconnect", ["sid", "namespace", "kwargs"]),
    (Manager, "is_sid_room", ["namespace", "room"]),
    (Socket, "send", ["pkt"]),
    (Socket, "close", ["wait", "abort", "reason"]),
    (Socket, "schedule_ping", []),
    (Socket, "poll", []),
    (Socket, "check_ping_timeout", []),
    (EioServer, "generate_id", []),
    (EioServer, "create_queue", []),
    (EioServer, "on", ["event", "handler"]),
    (EioServer, "_bad_request", ["message"]),
]


@pytest.mark.parametrize(("owner", "name", "expected"), METHODS)
def test_a_method_is_there_and_takes_what_we_give_it(owner: Any, name: str, expected: list[str]) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"{owner.__name__}.{name} is gone in {_RELEASE}; see adapter/sync_seams.py"
    parameters = [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
    assert parameters[: len(expected)] == expected, (
        f"{owner.__name__}.{name} takes {parameters} in {_RELEASE}, expected {expected};"
        " see adapter/sync_seams.py"
    )
    assert not inspect.iscoroutinefunction(method)


def test_what_is_needed_of_a_release_has_a_contract() -> None:
    wanted = (*needs.SERVER_NEEDS, *needs.MANAGER_NEEDS, *needs.EIO_NEEDS, *needs.SOCKET_NEEDS)
    assert {need.name for need in wanted if need.arguments is not None} <= {name for _, name, _ in METHODS}


@pytest.fixture
def server() -> Any:
    """A stock server, with the manager that ours inherits from."""
    sio = socketio.Server(async_mode="threading", client_manager=Manager(), monitor_clients=False)
    sio.on("connect", _let_in)
    return sio


def _let_in(_sid: str, _environ: Any, _auth: Any = None) -> None:
    pass


def _socket(server: Any, *, connected: bool = True) -> Any:
    socket = Socket(server.eio, "transport")
    socket.connected = connected
    server.eio.sockets["transport"] = socket
    return socket


@pytest.mark.parametrize(
    ("kind", "name"),
    [("server", need.name) for need in needs.SERVER_NEEDS]
    + [("server", name) for name in ("eio", "manager", "namespaces", "always_connect", "not_handled")]
    + [("eio", need.name) for need in needs.EIO_NEEDS]
    + [("manager", need.name) for need in (*needs.MANAGER_NEEDS, *needs.TABLES)]
    + [("socket", need.name) for need in needs.SOCKET_NEEDS]
    + [("socket", name) for name in ("queue", "closing", "closed", "session", "last_ping")],
)
def test_an_attribute_is_there(server: Any, kind: str, name: str) -> None:
    owner = {"server": server, "eio": server.eio, "manager": server.manager, "socket": _socket(server)}[kind]
    assert hasattr(owner, name), f"{kind}.{name} is gone in {_RELEASE}; see adapter/sync_seams.py"


def test_a_replaced_method_is_called_by_the_thread_that_has_the_packet(server: Any) -> None:
    calls: list[tuple[str, int]] = []

    def watch(name: str) -> None:
        def watched(*args: Any) -> Any:
            calls.append((name, threading.get_ident()))
            return original(*args)

        original = sync_seams.hook(server, name, watched)

    for name in (seams.HANDLE_CONNECT, seams.SEND_PACKET, seams.TRANSPORT_CLOSED, seams.TRIGGER_EVENT):
        watch(name)
    socket = _socket(server)
    server.manager.tables = threading.RLock()  # ours has it
    server._handle_eio_connect("transport", {})
    server._handle_eio_message("transport", sio_packet.Packet(seams.CONNECT).encode())
    socket.close(wait=False, abort=True)
    expected = [
        "_handle_connect",
        "_trigger_event",
        "_send_packet",
        "_handle_eio_disconnect",
        "_trigger_event",
    ]
    assert calls == [(name, threading.get_ident()) for name in expected], (
        f"a method is no longer looked up on the instance in {_RELEASE}; see adapter/sync_seams.py"
    )


def test_a_socket_runs_its_handlers_once_and_in_whoever_closes_it(server: Any) -> None:
    ends: list[int] = []
    socket = _socket(server)

    def end(*_: Any) -> None:
        ends.append(threading.get_ident())
        socket.closing = socket.closed = False  # as a second thread saw it that looked just before

    server.eio.on("disconnect", end)
    sync_seams.close_once(socket)
    socket.close(wait=False, abort=True)
    socket.closing = socket.closed = False
    socket.close(wait=False, abort=True)
    assert ends == [threading.get_ident()], (
        f"who runs the handlers has changed in {_RELEASE}; see adapter/sync_seams.py"
    )


def test_the_queue_is_what_is_sent_first_in_first_out(server: Any) -> None:
    socket = _socket(server)
    assert seams.is_open(server, "transport")
    assert seams.sender(server, "transport")([seams.message("a"), seams.message(b"b")]) == 2
    socket.send(seams.message("c"))
    assert [packet.data for packet in socket.poll()] == ["a", b"b", "c"]


def test_an_aborted_transport_is_gone_and_its_writer_ends(server: Any) -> None:
    socket = _socket(server)
    seams.sender(server, "transport")([seams.message("a")])
    sync_seams.abort(server, "transport")
    assert socket.poll() == []
    assert socket.closed
    assert not seams.is_open(server, "transport")
    assert seams.sender(server, "transport")([seams.message("b")]) == 0


def test_every_ping_and_every_pong_is_noticed(server: Any) -> None:
    server.eio.ping_interval = 0
    socket = _socket(server)
    seen: list[str] = []

    def post(function: Any, *args: Any) -> None:
        function(*args)

    sync_seams.watch_heartbeat(socket, post, lambda: seen.append("ping"), lambda: seen.append("pong"))
    socket.last_ping = 1.0
    socket.receive(eio_packet.Packet(eio_packet.PONG))
    sent = socket.queue.get(timeout=5)
    assert sent.packet_type == eio_packet.PING
    assert seen == ["pong", "ping"], (
        f"the heartbeat goes another way in {_RELEASE}; see adapter/sync_seams.py"
    )


def test_a_websocket_on_which_sending_hangs_can_be_given_up(server: Any) -> None:
    """The real one, of simple-websocket, on a client that never reads."""
    sync_seams.watch_websockets(server, lambda _seconds, _function: None)
    socket = _socket(server, connected=False)
    ours, theirs = sockets.socketpair()
    environ = {
        "werkzeug.socket": ours,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "HTTP_HOST": "host",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }

    def handle() -> None:
        with contextlib.suppress(ConnectionError):  # how a WebSocket ends under werkzeug
            socket.handle_get_request(environ, print)

    handler = threading.Thread(target=handle, daemon=True)
    with ours, theirs:
        handler.start()
        wait_until(lambda: socket in sync_seams._websockets, what="the socket is carried")
        seams.sender(server, "transport")([seams.message(b"x" * 10**7)])
        wait_until(lambda: _is_sending(socket), what=f"a packet goes through `send` in {_RELEASE}")
        sync_seams.give_up(socket)
        handler.join(5)
    assert not handler.is_alive(), f"a WebSocket ends another way in {_RELEASE}; see adapter/sync_seams.py"
    assert socket.closed


def _is_sending(socket: Any) -> bool:
    watched = sync_seams._websockets[socket]()
    return watched is not None and watched.sending
