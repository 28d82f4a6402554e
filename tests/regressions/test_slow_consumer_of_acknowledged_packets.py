"""A slow client that was sent only packets with an acknowledgement was never cut off (promise P8)."""

from recovery.core.effects import Overflowed
from tests.unit.builders import DRAFTS, NSP, audience, dispatch, make_connection, make_dispatcher


def test_packets_with_an_acknowledgement_count_too() -> None:
    dispatcher = make_dispatcher(max_client_buffer=2)
    connection = make_connection()
    connection.connect_sent = True
    dispatcher.add(connection)
    asking = DRAFTS.broadcast(NSP, ["question"], audience("sid"), request_id="1")

    effects = dispatch(dispatcher, asking, asking, asking)

    assert effects == [Overflowed(connection)]
