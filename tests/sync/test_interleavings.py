"""The interleavings that matter most, with threads: what comes between a connect handler's begin and its end.

``tests/interleavings`` has all of them for asyncio, where a test decides who goes on at each step. The logic
is the same here (`adapter.operations`, `adapter.gate`); what can differ is which thread does what, and when.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from recovery.core.connection import Phase
from tests.sync.harness import Client, Server, open_server
from tests.waiting import wait_until


class Hold:
    """A connect handler that waits until it is told to go on.

    Attributes:
        sids: of those that it was called for.
    """

    def __init__(self, server: Server) -> None:
        self.sids: list[str] = []
        self._go = threading.Event()
        self._server = server
        server.sio.on("connect", self._connect)

    def dial(self, client: Client) -> str:
        """Let a client come, and wait until its handler has begun; return its sid."""
        known = len(self.sids)
        client.dial()
        wait_until(lambda: len(self.sids) > known, what="a connect handler")
        return self.sids[-1]

    def go(self) -> None:
        """Let all handlers end."""
        self._go.set()

    def _connect(self, sid: str, _environ: Any) -> None:
        self._server.sio.emit("first", sid, to=sid)
        self._server.sio.enter_room(sid, "own")
        self.sids.append(sid)
        assert self._go.wait(10)
        self._server.sio.emit("last", sid, to=sid)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server."""
    with open_server() as opened:
        yield opened


def _away(server: Server) -> Client:
    """A client that has a session, and is away."""
    client = server.client()
    server.sio.emit("n", 0)
    wait_until(lambda: client.got("n") == [0])
    client.cut()
    wait_until(lambda: ("disconnect", client.sid) in server.handled)
    return client


@pytest.mark.parametrize("returns", [False, True])
def test_what_is_emitted_while_a_connect_handler_runs_comes_after_connect_and_in_order(
    server: Server, returns: bool
) -> None:
    client = _away(server) if returns else Client(server)
    server.sio.emit("n", 1)
    hold = Hold(server)
    sid = hold.dial(client)
    server.sio.emit("n", 2)
    server.sio.emit("own room", 3, room="own")
    assert not client.connected.is_set()
    hold.go()
    wait_until(lambda: client.got("last") == [sid])
    missed = [["n", 1]] if returns else []
    expected = [*missed, ["first", sid], ["n", 2], ["own room", 3], ["last", sid]]
    assert client.events[1 if returns else 0 :] == expected
    assert client.outcomes[-1] == ("recovered" if returns else "fresh")


def test_a_room_that_is_left_while_the_connect_handler_runs_is_left_from_there_on(server: Server) -> None:
    client = server.client()
    server.sio.enter_room(client.sid, "room")
    client.cut()
    wait_until(lambda: ("disconnect", client.sid) in server.handled)
    server.sio.emit("n", 1, room="room")
    hold = Hold(server)
    hold.dial(client)
    server.sio.emit("n", 2, room="room")
    server.sio.leave_room(client.sid, "room")
    server.sio.emit("n", 3, room="room")
    hold.go()
    wait_until(lambda: client.got("last") == [client.sid])
    assert client.got("n") == [1, 2]
    assert set(server.sio.rooms(client.sid)) == {client.sid, "own"}


@pytest.mark.parametrize("returns", [False, True])
def test_a_client_that_is_disconnected_while_its_connect_handler_runs_does_not_stay(
    server: Server, returns: bool
) -> None:
    client = _away(server) if returns else Client(server)
    hold = Hold(server)
    sid = hold.dial(client)
    server.sio.disconnect(sid)
    hold.go()
    wait_until(lambda: client.ended)
    client.cut()
    server.wait_empty()
    assert client.connect().outcomes[-1] == "fresh"
    assert client.sid != sid


def test_a_client_that_comes_again_while_its_connect_handler_runs_has_one_connection(server: Server) -> None:
    """Its first attempt is given up; what is emitted meanwhile reaches it once."""
    client = _away(server)
    hold = Hold(server)
    sid = hold.dial(client)
    server.sio.emit("n", 1)
    client.dial()
    server.sio.emit("n", 2)
    hold.go()
    assert client.connected.wait(10)
    server.sio.emit("n", 3)
    wait_until(lambda: client.got("n")[-1:] == [3])
    assert client.got("n") == [0, 1, 2, 3]
    assert client.sid == sid
    assert client.outcomes == ["fresh", "recovered"]
    assert len(server.manager._operations.process.clients.all()) == 1


def test_a_client_that_comes_again_before_its_end_was_noticed_takes_its_session_over(server: Server) -> None:
    client = server.client()
    sid = client.sid
    for number in range(3):
        server.sio.emit("n", number)
        client.connect()
    wait_until(lambda: client.got("n") == [0, 1, 2])
    assert client.sid == sid
    assert client.outcomes == ["fresh", *["recovered"] * 3]


def test_a_manager_that_is_closed_under_traffic_loses_nothing_that_was_confirmed() -> None:
    with open_server("memory://traffic") as one, open_server("memory://traffic") as two:
        client, confirmed = one.client(), list[int]()
        enough = threading.Event()

        def emit() -> None:
            for number in range(10_000):
                try:
                    one.sio.emit("n", number)
                except Exception:  # noqa: BLE001 - it is closed
                    return
                confirmed.append(number)
                if number == 50:
                    enough.set()

        emitter = threading.Thread(target=emit)
        emitter.start()
        assert enough.wait(10)
        one.manager.close()
        emitter.join(10)
        client.connect(two)
        two.sio.emit("n", -1)
        wait_until(lambda: client.got("n")[-1:] == [-1])
        assert client.got("n") == [*confirmed, -1]
        assert client.outcomes == ["fresh", "recovered"]


def test_a_client_that_another_server_takes_while_its_connect_is_sent_does_not_go_live_here() -> None:
    """Sending leaves the loop, in which the connection may end meanwhile."""
    with open_server("memory://sent") as one, open_server("memory://sent") as two:
        client = _away(one)
        eio, taken = one.sio.eio, list[str]()
        send_packet = eio.send_packet

        def send_slowly(eio_sid: str, packet: Any) -> None:
            if not taken and str(packet.data).startswith("0"):
                taken.append(eio_sid)
                [held] = one.manager._operations.process.clients.all()
                client.dial(two)
                wait_until(lambda: held.connection.phase is Phase.ENDED)
            send_packet(eio_sid, packet)

        eio.send_packet = send_slowly
        client.dial(one)
        wait_until(lambda: bool(two.handled))
        two.sio.emit("n", 1)
        wait_until(lambda: client.got("n") == [0, 1])
        assert client.outcomes[-1] == "recovered"
        one.wait_empty()
