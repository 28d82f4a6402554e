"""Who left a room, entered it again and left it once more lacked what was emitted in between.

The reader was behind all of that. When it passed the first leaving, the client was in the room no more after
all changes, so the room's index let it go; but the packets before the second leaving were still to come.
"""

from recovery.core.dispatcher import Dispatcher
from tests.unit.builders import Client, Frame, at, dispatch, event, make_connection, make_dispatcher


def _publish(dispatcher: Dispatcher[Frame], ms: int) -> None:
    """This server's publisher has the reply to an append, and the reader does not have the entry."""
    dispatcher.published = at(ms)


def test_packets_between_two_leavings_arrive() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)
    _publish(dispatcher, 1)
    dispatcher.enter(connection, "news")
    dispatcher.leave(connection, "news")
    dispatcher.enter(connection, "news")
    _publish(dispatcher, 2)
    dispatcher.leave(connection, "news")

    for name in ("before", "for it", "after"):  # each read by itself
        dispatch(dispatcher, event(name, "news"))

    assert client.events == ["for it"]
    assert not dispatcher._indexed[connection] - {None, connection.sid}  # and the index keeps nothing


def test_a_room_that_was_left_before_a_reconnection_is_no_different() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    connection.membership.leave("news", at(1))  # comes so out of the store
    dispatch(dispatcher, event("passed"))
    dispatcher.add(connection)
    dispatcher.enter(connection, "news")
    _publish(dispatcher, 2)
    dispatcher.leave(connection, "news")

    dispatch(dispatcher, event("for it", "news"))

    assert client.events == ["for it"]
