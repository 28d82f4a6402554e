"""What stock python-socketio did otherwise in some release from 5.13 on, for synchronous servers.

The other colour has more of these, in ``tests/interleavings/test_releases_alike.py``; here is what is not
written once for both.
"""

from typing import Any

import pytest

from tests.sync.harness import Client, open_server
from tests.waiting import wait_until

always = pytest.mark.parametrize("always_connect", [False, True], ids=["connect_after", "always_connect"])


@always
def test_a_client_counts_as_connected_from_its_connect_packet_on(always_connect: bool) -> None:
    with open_server(server={"always_connect": always_connect}) as server:
        manager: Any = server.manager
        seen: list[tuple[bool, bool]] = []

        def connect(sid: str, _environ: Any) -> None:
            if always_connect:  # the server's thread goes on when CONNECT is queued
                wait_until(lambda: manager.is_connected(sid, "/"), what="connected")
            seen.append((manager.is_connected(sid, "/"), manager.is_pre_connected(sid, "/")))

        server.sio.on("connect", connect)
        client = server.client()
        wait_until(lambda: manager.is_connected(client.sid, "/") and seen, what="connected")
        assert seen == [(always_connect, not always_connect)]
        client.cut()
        server.wait_empty()


@always
def test_a_transport_that_dies_within_the_connect_handler_leaves_nothing_behind(always_connect: bool) -> None:
    with open_server(server={"always_connect": always_connect}) as server:
        called: list[str] = []

        def connect(sid: str, _environ: Any) -> None:
            transport = server.sio.manager.eio_sid_from_sid(sid, "/")
            server.sio.eio.sockets[transport].close(wait=False, abort=True)
            called.append(sid)

        server.sio.on("connect", connect)
        Client(server).dial()
        wait_until(lambda: called, what="the connect handler")
        server.wait_empty()
        wait_until(
            lambda: [name for name, _ in server.handled] == ["disconnect"], what="its disconnect handler"
        )


def test_nobody_gets_into_the_room_of_another_client() -> None:
    with open_server() as server:
        client, other = server.client(), server.client()
        with pytest.raises(ValueError, match="sid room"):
            server.sio.enter_room(other.sid, client.sid)
        with pytest.raises(ValueError, match="sid room"):
            server.sio.close_room(client.sid)
