"""After clients of a synchronous server have gone, nothing of them stays in memory."""

import gc
from weakref import ref

from tests.sync.harness import Server, open_server
from tests.waiting import wait_until

_CLIENTS = 5
_ASKED = 0.2  # seconds in which nobody collects garbage: to do so takes much longer, each time
_KEPT = 1  # the last one that python-engineio's (4.15.1) service task has looked at, in a variable


def _come_and_go(server: Server) -> list[ref[object]]:
    """Let clients do this and that, and cut them off; return their Engine.IO sockets."""
    for number in range(_CLIENTS):
        client = server.client()
        server.sio.enter_room(client.sid, "room")
        server.sio.save_session(client.sid, {"n": number})
        server.sio.emit("n", number, to=client.sid, callback=print)
        client.emit("unknown", number)
    made = [ref(socket) for socket in server.sio.eio.sockets.values()]
    for client in server.clients:
        client.cut()
    return made


def test_nothing_that_was_made_for_a_client_stays_in_memory() -> None:
    with open_server(server={"ping_interval": 0.2, "ping_timeout": 0.5}) as server:
        made = _come_and_go(server)
        assert len(made) == _CLIENTS
        server.wait_empty()
        wait_until(lambda: not server.sio.eio.sockets, what="the end of all sockets")

        def are_collected() -> bool:
            gc.collect()
            return sum(one() is not None for one in made) <= _KEPT

        wait_until(are_collected, timeout=_ASKED, what="the sockets collected")
