"""Flask-SocketIO in this process: its test client, its functions, and what it would do to a manager."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask_socketio
import pytest
from flask import Flask, request, session

from adapter import RecoveryManager
from recovery import ConfigurationError

library: Any = flask_socketio  # it ships no types, and those of others lack half of what is used here


class Application:
    """An application of every function that Flask-SocketIO has, in memory."""

    def __init__(self) -> None:
        self.flask = Flask("application")
        self.flask.config["SECRET_KEY"] = "secret"
        self.manager = RecoveryManager("memory://")
        self.socketio: Any = library.SocketIO(self.flask, async_mode="threading", client_manager=self.manager)
        self.left: list[tuple[str, dict[str, Any]]] = []
        self.socketio.on("connect")(self.connect)
        self.socketio.on("disconnect")(self.disconnect)
        for handler in (self.join, self.leave, self.publish, self.count, self.bye):
            self.socketio.on(handler.__name__)(handler)

    def connect(self, auth: Any = None) -> None:
        assert not self.environ()["socketio.recovery"].recovered
        if auth == "nobody":
            raise library.ConnectionRefusedError("go away")
        library.emit("welcome", auth)

    def disconnect(self, reason: str) -> None:
        self.left.append((reason, dict(session)))

    def join(self, room: str) -> list[str]:
        library.join_room(room)
        return sorted(set(library.rooms()) - {self.sid()})

    def leave(self, room: str) -> list[str]:
        library.leave_room(room)
        return sorted(set(library.rooms()) - {self.sid()})

    def publish(self, text: str, room: str) -> str:
        library.emit("headline", (text, b"\x00"), to=room, include_self=False)
        return "published"

    def count(self) -> int:
        session["count"] = session.get("count", 0) + 1
        return int(session["count"])

    def bye(self) -> None:
        library.disconnect()

    def sid(self) -> str:
        return str(getattr(request, "sid"))  # noqa: B009 - of Flask-SocketIO, and of no type

    def environ(self) -> dict[str, Any]:
        return dict(request.environ)

    def client(self, **options: Any) -> Any:
        return self.socketio.test_client(self.flask, **options)


@pytest.fixture
def application() -> Iterator[Application]:
    before = set(threading.enumerate())
    opened = Application()
    yield opened
    opened.manager.close()
    assert set(threading.enumerate()) <= before


def _received(client: Any, name: str) -> list[Any]:
    return [packet["args"] for packet in client.get_received() if packet["name"] == name]


def test_its_test_client_connects_and_gets_what_is_emitted_meanwhile(application: Application) -> None:
    client = application.client(auth="ann")
    assert client.is_connected()
    assert _received(client, "welcome") == [["ann"]]


def test_its_test_client_has_no_offsets_and_at_once_what_was_emitted(application: Application) -> None:
    clients = [application.client() for _ in range(3)]
    for client in clients[:2]:
        assert client.emit("join", "hall", callback=True) == ["hall"]
    assert clients[0].emit("publish", "one", "hall", callback=True) == "published"
    assert [_received(client, "headline") for client in clients] == [[], [["one", b"\x00"]], []]
    assert clients[1].emit("leave", "hall", callback=True) == []
    application.socketio.emit("headline", "two", to="hall")
    application.socketio.emit("headline", "three")
    assert [_received(client, "headline") for client in clients] == [
        [["two"], ["three"]],
        [["three"]],
        [["three"]],
    ]


def test_its_test_client_in_another_namespace(application: Application) -> None:
    application.socketio.on("join", namespace="/chat")(application.join)
    client = application.client(namespace="/chat")
    assert client.emit("join", "hall", namespace="/chat", callback=True) == ["hall"]
    application.socketio.emit("headline", "one", to="hall", namespace="/chat")
    assert [packet["args"] for packet in client.get_received("/chat")] == [["one"]]


def test_its_test_client_leaves_and_is_told_to(application: Application) -> None:
    leaving, told = application.client(), application.client()
    assert leaving.emit("count", callback=True) == 1
    leaving.disconnect()
    assert application.left == [("client disconnect", {"count": 1})]
    told.emit("bye")
    assert not told.is_connected()
    assert application.left[1:] == [("server disconnect", {})]
    assert not application.manager.rooms
    assert not application.manager._operations.process.clients.all()


def test_its_test_client_is_refused(application: Application) -> None:
    assert not application.client(auth="nobody").is_connected()
    assert not application.manager._operations.process.clients.all()


def test_close_room_and_the_session_of_each_client(application: Application) -> None:
    first, second = application.client(), application.client()
    for client in (first, second):
        client.emit("join", "hall")
    application.socketio.close_room("hall")
    application.socketio.emit("headline", "one", to="hall")
    assert _received(first, "headline") + _received(second, "headline") == []
    assert [first.emit("count", callback=True) for _ in range(2)] == [1, 2]
    assert second.emit("count", callback=True) == 1


MODE: dict[str, Any] = {"async_mode": "threading"}
QUEUE = "redis://localhost:6379"


def _in_init_app(app: Flask, manager: RecoveryManager) -> None:
    library.SocketIO(client_manager=manager, **MODE).init_app(app, message_queue=QUEUE)


def _before_init_app(app: Flask, manager: RecoveryManager) -> None:
    library.SocketIO(client_manager=manager, message_queue=QUEUE, **MODE).init_app(app)


@pytest.mark.parametrize("replace", [_in_init_app, _before_init_app])
def test_a_message_queue_that_would_replace_the_manager_is_an_error(
    replace: Callable[[Flask, RecoveryManager], None],
) -> None:
    manager = RecoveryManager("memory://")
    with pytest.raises(ConfigurationError, match="message_queue would replace"):
        replace(Flask("a"), manager)
    manager.close()


def test_a_manager_that_replaces_a_message_queue_is_taken() -> None:
    manager = RecoveryManager("memory://")
    socketio = library.SocketIO(message_queue=QUEUE, **MODE)
    socketio.init_app(Flask("a"), client_manager=manager)
    assert socketio.server.manager is manager
    manager.close()


def test_applications_without_recovery_keep_their_message_queue() -> None:
    RecoveryManager("memory://").close()
    socketio = library.SocketIO(**MODE)
    socketio.init_app(Flask("a"), message_queue=QUEUE)
    assert type(socketio.server.manager).__name__ == "RedisManager"
