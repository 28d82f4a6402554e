"""The contract of `adapter.seams`: each private name that is relied on exists, and takes what we give it.

A failure says which name moved, and in which release; the seam is to be mended there, and nowhere else.
"""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any
from weakref import ref

import pytest
import pytest_asyncio
import socketio
from engineio import packet as eio_packet
from engineio.async_server import AsyncServer as EioServer
from engineio.async_socket import AsyncSocket
from socketio import packet as sio_packet

from adapter import seams
from adapter.releases import AsyncManager

_RELEASE = f"python-socketio {version('python-socketio')}, python-engineio {version('python-engineio')}"


def _parameters(owner: Any, name: str) -> list[str]:
    method = getattr(owner, name, None)
    assert method is not None, f"{owner.__name__}.{name} is gone in {_RELEASE}; see adapter/seams.py"
    return [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]


@pytest.mark.parametrize(
    ("owner", "name", "expected", "is_coroutine"),
    [
        (socketio.AsyncServer, "_handle_connect", ["eio_sid", "namespace", "data"], True),
        (socketio.AsyncServer, "_handle_disconnect", ["eio_sid", "namespace", "reason"], True),
        (socketio.AsyncServer, "_handle_eio_disconnect", ["eio_sid", "reason"], True),
        (socketio.AsyncServer, "_send_packet", ["eio_sid", "pkt"], True),
        (socketio.AsyncServer, "_trigger_event", ["event", "namespace", "args"], True),
        (socketio.AsyncServer, "get_session", ["sid", "namespace"], True),
        (socketio.AsyncServer, "save_session", ["sid", "session", "namespace"], True),
        (socketio.AsyncServer, "shutdown", [], True),
        (socketio.AsyncServer, "disconnect", ["sid", "namespace", "ignore_queue"], True),
        (AsyncManager, "can_disconnect", ["sid", "namespace"], True),
        (AsyncManager, "pre_connect", ["eio_sid", "namespace"], True),
        (AsyncManager, "disconnect", ["sid", "namespace", "kwargs"], True),
        (AsyncManager, "enter_room", ["sid", "namespace", "room", "eio_sid"], True),
        (AsyncManager, "leave_room", ["sid", "namespace", "room"], True),
        (AsyncManager, "close_room", ["room", "namespace"], True),
        (AsyncManager, "pre_disconnect", ["sid", "namespace"], False),
        (AsyncManager, "is_connected", ["sid", "namespace"], False),
        (AsyncManager, "basic_enter_room", ["sid", "namespace", "room", "eio_sid"], False),
        (AsyncManager, "basic_leave_room", ["sid", "namespace", "room"], False),
        (AsyncManager, "is_sid_room", ["namespace", "room"], False),
        (AsyncSocket, "send", ["pkt"], True),
        (AsyncSocket, "close", ["wait", "abort", "reason"], True),
        (AsyncSocket, "schedule_ping", [], False),
        (AsyncSocket, "poll", [], True),
        (EioServer, "generate_id", [], False),
        (EioServer, "create_queue", [], False),
        (EioServer, "_bad_request", ["message"], False),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else value if isinstance(value, str) else "",
)
def test_a_method_is_there_and_takes_what_we_give_it(
    owner: Any, name: str, expected: list[str], is_coroutine: bool
) -> None:
    parameters = _parameters(owner, name)
    assert parameters[: len(expected)] == expected, (
        f"{owner.__name__}.{name} takes {parameters} in {_RELEASE}, expected {expected}; see adapter/seams.py"
    )
    assert inspect.iscoroutinefunction(getattr(owner, name)) is is_coroutine, (
        f"{owner.__name__}.{name} changed its colour in {_RELEASE}; see adapter/seams.py"
    )


async def _let_in(_sid: str, _environ: Any, _auth: Any = None) -> None:
    pass


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Any]:
    """A stock server, with the manager that ours inherits from."""
    sio = socketio.AsyncServer(async_mode="asgi", client_manager=AsyncManager(), monitor_clients=False)
    sio.on("connect", _let_in)
    yield sio


def _socket(server: Any, sid: str = "transport") -> Any:
    socket = AsyncSocket(server.eio, sid)
    socket.connected = True
    server.eio.sockets[sid] = socket
    return socket


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("server", name)
        for name in ("eio", "environ", "manager", "handlers", "namespace_handlers", "namespaces")
    ]
    + [("server", name) for name in ("always_connect", "packet_class", "reason", "not_handled")]
    + [("eio", name) for name in ("sockets", "ping_interval", "ping_timeout", "handlers")]
    + [("manager", name) for name in ("rooms", "pending_connect", "pending_disconnect", "callbacks", "json")]
    + [("socket", name) for name in ("queue", "closing", "closed", "session", "last_ping")],
)
async def test_an_attribute_is_there(server: Any, kind: str, name: str) -> None:
    owner = {"server": server, "eio": server.eio, "manager": server.manager, "socket": _socket(server)}[kind]
    assert hasattr(owner, name), f"{kind}.{name} is gone in {_RELEASE}; see adapter/seams.py"


def test_the_types_of_packets_are_as_the_protocol_has_them() -> None:
    assert (seams.CONNECT, seams.EVENT, seams.CONNECT_ERROR) == (0, 2, 4)
    assert (eio_packet.PING, eio_packet.PONG, eio_packet.MESSAGE) == (2, 3, 4)
    text: Any = seams.message("2[]")
    assert text.encode() == "42[]"
    assert seams.message(b"x").binary


async def test_a_replaced_method_is_the_one_that_is_called(server: Any) -> None:
    calls: list[str] = []

    def watch(name: str) -> None:
        async def watched(*args: Any) -> Any:
            calls.append(name)
            return await original(*args)

        original = seams.hook(server, name, watched)

    for name in (seams.HANDLE_CONNECT, seams.SEND_PACKET, seams.TRANSPORT_CLOSED, seams.TRIGGER_EVENT):
        watch(name)
    _socket(server)
    await server._handle_eio_connect("transport", {})
    await server._handle_eio_message("transport", sio_packet.Packet(seams.CONNECT).encode())
    await server.eio.sockets["transport"].close(wait=False, abort=True)
    expected = [
        "_handle_connect",
        "_trigger_event",
        "_send_packet",
        "_handle_eio_disconnect",
        "_trigger_event",
    ]
    assert calls == expected, (
        f"a method is no longer looked up on the instance in {_RELEASE}; see adapter/seams.py"
    )


async def test_a_client_with_a_given_sid_is_as_good_as_one_with_a_fresh_one(server: Any) -> None:
    await server.manager.pre_connect("other", "/")
    seams.register(server.manager, "sid", "transport", "/", ["sid", "room"])
    assert seams.knows(server.manager, "sid", "/")
    assert server.manager.is_pre_connected("sid", "/")
    assert not server.manager.is_connected("sid", "/")
    await server.manager.connect("sid", "/")
    assert server.manager.is_connected("sid", "/")
    assert server.manager.sid_from_eio_sid("transport", "/") == "sid"
    assert set(server.manager.get_rooms("sid", "/")) == {"sid", "room"}
    await server.manager.disconnect("sid", "/")
    assert not seams.knows(server.manager, "sid", "/")


async def test_the_queue_is_what_is_sent_first_in_first_out(server: Any) -> None:
    socket = _socket(server)
    assert seams.is_open(server, "transport")
    assert seams.sender(server, "transport")([seams.message("a"), seams.message(b"b")]) == 2
    await socket.send(seams.message("c"))
    assert [packet.data for packet in await socket.poll()] == ["a", b"b", "c"]


async def test_an_aborted_transport_is_gone_and_its_writer_ends(server: Any) -> None:
    socket = _socket(server)
    seams.sender(server, "transport")([seams.message("a")])
    await seams.abort(server, "transport")
    assert await socket.poll() == []
    assert socket.closed
    assert not seams.is_open(server, "transport")
    assert seams.sender(server, "transport")([seams.message("b")]) == 0


async def test_every_ping_and_every_pong_is_noticed(server: Any) -> None:
    server.eio.ping_interval = 0
    socket = _socket(server)
    seen: list[str] = []
    seams.watch_heartbeat(socket, lambda: seen.append("ping"), lambda: seen.append("pong"))
    socket.last_ping = 1.0
    await socket.receive(eio_packet.Packet(eio_packet.PONG))
    for _ in range(10):
        await asyncio.sleep(0)
    assert seen == ["pong", "ping"], f"the heartbeat goes another way in {_RELEASE}; see adapter/seams.py"


async def test_a_websocket_on_which_sending_hangs_can_be_given_up(server: Any) -> None:
    seams.watch_websockets(server)
    socket, hanging = _socket(server), asyncio.Event()

    async def send(_event: Any) -> None:
        await hanging.wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    socket.connected = False
    websocket = server.eio._async["websocket"](socket._websocket_handler, server.eio)
    websocket.asgi_send, websocket.asgi_receive = send, receive
    handler = asyncio.create_task(socket._websocket_handler(websocket))
    seams.sender(server, "transport")([seams.message("a")])
    await asyncio.sleep(0.01)
    assert websocket.sender is not None, f"a packet goes another way in {_RELEASE}; see adapter/seams.py"
    seams.give_up(socket)
    done, _ = await asyncio.wait([handler], timeout=1)
    assert done, f"what an exception of a WebSocket does has changed in {_RELEASE}; see adapter/seams.py"
    assert socket.closed


async def test_a_websocket_on_which_nothing_hangs_is_not_given_up(server: Any) -> None:
    """Neither after the handshake, whose task sends and then waits, nor while the writer waits."""
    seams.watch_websockets(server)
    socket, sent, events = _socket(server), list[Any](), asyncio.Queue[Any]()

    async def send(event: Any) -> None:
        sent.append(event.get("text"))

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": await events.get()}

    socket.connected = True  # by polling: this WebSocket is an upgrade
    websocket = server.eio._async["websocket"](socket._websocket_handler, server.eio)
    websocket.asgi_send, websocket.asgi_receive = send, receive
    handler = asyncio.create_task(socket._websocket_handler(websocket))
    for event, expected in (("2probe", ["3probe"]), ("5", ["3probe", "6", "4a"])):
        events.put_nowait(event)
        await asyncio.sleep(0.01)
        if event == "5":
            seams.sender(server, "transport")([seams.message("a")])
            await asyncio.sleep(0.01)
        seams.give_up(socket)
        await asyncio.sleep(0.01)
        assert sent == expected
        assert not handler.done()
    assert websocket.sender not in {None, handler}, f"another task sends in {_RELEASE}; see adapter/seams.py"
    handler.cancel()
    await asyncio.wait([handler])


async def test_a_poll_with_an_event_is_sent_without_the_close_behind_it(server: Any) -> None:
    seams.watch_websockets(server)
    socket = _socket(server)
    seams.keep_close_apart(socket)
    close = eio_packet.Packet(eio_packet.CLOSE)
    for packet in (seams.message("a"), close, None):
        socket.queue.put_nowait(packet)
    assert [packet.data for packet in await socket.poll()] == ["a"]
    socket.queue.get_nowait()
    socket.queue.put_nowait(close)
    assert await socket.poll() == [close]


async def test_a_websocket_that_has_ended_leaves_nothing_to_the_garbage_collector(server: Any) -> None:
    seams.watch_websockets(server)
    socket = AsyncSocket(server.eio, "transport")

    async def send(_event: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "websocket.disconnect"}

    websocket = server.eio._async["websocket"](socket._websocket_handler, server.eio)
    gone = ref(socket)
    gc.disable()
    try:
        await websocket({"asgi.receive": receive, "asgi.send": send})
        del socket, websocket
        await asyncio.sleep(0)
        assert gone() is None, f"something else holds a socket that has ended in {_RELEASE}"
    finally:
        gc.enable()


async def test_a_websocket_has_no_class_for_its_body(server: Any) -> None:
    seams.watch_websockets(server)
    events = {"websocket": {"type": "websocket.connect"}, "http": {"type": "http.request", "body": b"body"}}

    async def body_of(kind: str) -> tuple[type, bytes]:
        async def receive() -> Any:
            return events[kind]

        scope = {"type": kind, "path": "/socket.io/", "headers": [], "query_string": b""}
        environ = await server.eio._async["translate_request"](scope, receive, None)
        return type(environ["wsgi.input"]), await environ["wsgi.input"].read()

    assert (await body_of("websocket"))[1] == b""
    assert (await body_of("http"))[1] == b"body"
    assert (await body_of("websocket"))[0] is (await body_of("websocket"))[0]
