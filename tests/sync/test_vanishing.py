"""Transports that vanish in the middle of something, in another thread."""

from typing import Any

import pytest

from tests.sync.harness import Client, open_server
from tests.waiting import wait_until


@pytest.mark.parametrize("with_auth", [True, False])
def test_a_transport_that_closes_right_before_the_connect_handler_is_no_error(with_auth: bool) -> None:
    """Its environ is gone then, which python-socketio (5.18.1) looks up unasked."""
    with open_server() as server:
        manager: Any = server.manager
        pre_connect, closed = manager.pre_connect, list[str]()

        def close_first(eio_sid: str, namespace: str) -> Any:
            sid = pre_connect(eio_sid, namespace)
            if not closed:
                closed.append(sid)
                server.sio.eio.sockets[eio_sid].close(wait=False, abort=True)
            return sid

        manager.pre_connect = close_first
        client = Client(server)
        if with_auth:
            client.pid = "unknown"  # what is left of auth without it is nothing
        client.dial()
        wait_until(lambda: bool(closed))
        server.wait_empty()
        assert server.handled == []
        client.connect()
        assert [name for name, _ in server.handled] == ["connect"]
