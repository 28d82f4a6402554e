"""A PING must not follow a gap.

With threads the loop puts a PING into the queue some time after a thread has wanted it. If the transport was
shut and its queue thrown away meanwhile (a client that is too slow), the position that was noted lay behind
the gap. A writer that finds the word to end puts it back, behind the PING, and sends that: its PONG would
prove to have come what was never sent.
"""

from engineio import packet as eio_packet

from adapter.sync_seams import cut
from tests.sync.harness import open_server


def test_what_was_thrown_away_is_not_proven_by_a_ping_that_was_on_its_way() -> None:
    with open_server(server={"ping_interval": 60}) as server:
        server.client()
        connection = server.manager._operations.process.clients.all()[0].connection
        socket = server.sio.eio.sockets[connection.transport]

        def cut_before_the_ping_is_put() -> None:
            cut(server.sio, connection.transport)
            socket.send(eio_packet.Packet(eio_packet.PING))

        server.manager._portal.call(cut_before_the_ping_is_put)
        server.manager._portal.call(lambda: None)  # what was posted before has run
        assert connection._noted is None
