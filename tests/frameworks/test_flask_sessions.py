"""What `flask.session` is in handlers of Flask-SocketIO comes back with a recovered client."""

import threading
from collections.abc import Iterator
from typing import Any

import flask_socketio
import pytest
from flask import Flask, session
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import EnvironBuilder

from adapter import RecoveryManager
from tests.docs.pages import blocks
from tests.frameworks.recipes import FLASK, HOW_TO
from tests.frameworks.visitors import Visitors, come_back

library: Any = flask_socketio  # it ships no types, and those of others lack half of what is used here


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


class Served:
    """An application in this process, in memory.

    Attributes:
        url: where it is.
    """

    def __init__(self) -> None:
        flask = Flask("served")
        flask.config["SECRET_KEY"] = "secret"
        self.manager = RecoveryManager("memory://")
        socketio: Any = library.SocketIO(flask, async_mode="threading", client_manager=self.manager)
        for namespace in ("/", "/chat"):
            socketio.on("connect", namespace=namespace)(self.connect)
            socketio.on("count", namespace=namespace)(self.count)
            socketio.on("spoil", namespace=namespace)(self.spoil)
            socketio.on("ask", namespace=namespace)(self.ask)
        self._server = make_server("127.0.0.1", 0, flask, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def connect(self, auth: Any = None) -> None:
        pass

    def count(self) -> int:
        session["count"] = session.get("count", 0) + 1
        session.setdefault("list", []).append((session["count"],))  # it changes inside, too
        assert len(session["list"]) == session["count"]
        return int(session["count"])

    def spoil(self) -> None:
        session["connection"] = threading.Lock()

    def ask(self) -> Any:
        return library.call("question", ("a", 1))

    def close(self) -> None:
        self.manager.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def served() -> Iterator[Served]:
    opened = Served()
    yield opened
    opened.close()


async def test_all_namespaces_of_a_connection_have_one_session_and_get_it_back(
    served: Served, visitors: Visitors
) -> None:
    main = await visitors.client(served)
    chat = await visitors.client(served, namespace="/chat", share=main)
    for number, last in enumerate([main, chat, main, chat]):
        first = chat if last is main else main
        assert await first.call("count") == (2 * number + 1,)
        assert await last.call("count") == (2 * number + 2,)
        mark = len(chat.history)
        await main.drop()
        await come_back(main)  # and with it, as its connection is the same, the other one
        assert (await chat.wait_connected(after=mark)).recovered


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_what_cannot_be_saved_fails_the_handler_and_spoils_nothing_that_was_saved(
    served: Served, visitors: Visitors
) -> None:
    client = await visitors.client(served)
    assert await client.call("count") == (1,)
    with pytest.raises(RuntimeError, match="no acknowledgement of spoil"):
        await client.call("spoil")
    await client.drop()
    await come_back(client)
    assert await client.call("count") == (2,)


async def test_a_fresh_client_has_a_fresh_session(served: Served, visitors: Visitors) -> None:
    first, second = await visitors.client(served), await visitors.client(served)
    assert await first.call("count") == (1,)
    await first.disconnect()
    assert await second.call("count") == (1,)


async def test_a_handler_calls_its_client_before_and_after_a_recovery(
    served: Served, visitors: Visitors
) -> None:
    client = await visitors.client(served)
    assert await client.call("ask") == ("a", 1)
    await client.drop()
    await come_back(client)
    assert await client.call("ask") == ("a", 1)


def test_the_pages_identity_is_that_of_the_cookie() -> None:
    [example] = [
        block.text for block in blocks(HOW_TO / FLASK.page) if block.language == "python" and not block.name
    ]
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(example, FLASK.page, "exec"), names)  # noqa: S102 - our own page
    app = names["app"]
    app.secret_key = "secret"
    signed = app.session_interface.get_signing_serializer(app).dumps({"user": "ann"})
    with_cookie = EnvironBuilder(headers=[("Cookie", f"session={signed}")]).get_environ()
    assert names["identity"](with_cookie, None) == "ann"
    assert names["identity"](EnvironBuilder().get_environ(), None) == ""
    names["manager"].close()
