"""Closing a synchronous server while its handlers run: what they emit is stored, and they end in peace."""

import threading
from typing import Any

import pytest

from tests.sync.harness import Client, Server, open_server
from tests.waiting import wait_until


def _closing(server: Server) -> threading.Thread:
    """Close a server's manager in a thread, and wait until its clients have been sent away."""
    thread = threading.Thread(target=server.manager.close)
    thread.start()
    process = server.manager._operations.process
    wait_until(lambda: process.closed and not [client for client in process.clients.all() if client.kept])
    return thread


@pytest.mark.parametrize("event", ["connect", "publish"])
def test_a_handler_that_runs_when_the_manager_is_closed_emits_to_its_end(event: str) -> None:
    with open_server("memory://late") as one, open_server("memory://late") as two:
        begun, go, ended = threading.Event(), threading.Event(), threading.Event()

        def handler(_sid: str, *_args: Any) -> None:
            begun.set()
            assert go.wait(10)
            one.sio.emit("n", 1)
            one.sio.emit("n", 2)
            ended.set()

        reader, writer = two.client(), one.client()
        one.sio.on(event, handler)
        if event == "connect":
            Client(one).dial()
        else:
            writer.emit("publish")
        assert begun.wait(10)
        thread = _closing(one)
        go.set()
        thread.join(10)
        assert ended.is_set()
        wait_until(lambda: reader.got("n") == [1, 2])


def test_no_event_gets_its_handler_once_the_manager_is_closed() -> None:
    """Its thread may have been started before; it could not emit."""
    with open_server() as server:
        handled: list[str] = []
        server.sio.on("publish", handled.append)
        client = server.client()
        server.manager.close()
        assert server.sio._trigger_event("publish", "/", client.sid) is server.sio.not_handled
        assert handled == []


def test_a_handler_that_does_not_end_holds_up_no_close() -> None:
    with open_server(publish_timeout=0.2) as server:
        begun, leave = threading.Event(), threading.Event()

        def handler(_sid: str) -> None:
            begun.set()
            leave.wait(60)

        server.sio.on("publish", handler)
        server.client().emit("publish")
        assert begun.wait(10)
        server.manager.close()
        assert not leave.is_set()
        leave.set()


def test_a_handler_may_close_the_manager_and_does_not_wait_for_itself() -> None:
    with open_server(expects_errors=True, publish_timeout=60.0) as server:
        client, done = server.client(), threading.Event()

        def stop(_sid: str) -> None:
            server.sio.shutdown()
            done.set()

        server.sio.on("stop", stop)
        client.emit("stop")
        assert done.wait(10)
