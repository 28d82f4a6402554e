"""A client that was away gets, live and replayed together, what one that stayed got live (P1, P2, P4)."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recovery.core.connection import Connection
from recovery.core.dispatcher import Dispatcher
from recovery.core.membership import Membership
from recovery.core.replay import Replay, find_missed
from recovery.core.saving import save_command
from recovery.records import Entry, HolderState, ServerId
from recovery.sessions import decode_session
from tests.properties.histories import ROOMS, SID, Action, Emit, Own, events_due, histories, stream_of
from tests.unit.builders import Client, Frame, at, make_connection, make_dispatcher

own_changes = st.lists(st.tuples(st.sampled_from(ROOMS), st.booleans()), max_size=2)


class Steps:
    """A random way through a history: batches of it, changes of rooms ahead of the reader, PONGs."""

    def __init__(self, history: list[Action], data: st.DataObject) -> None:
        self.history = history
        self.stream: list[Entry] = stream_of(history)
        self.data = data
        self.own: list[Own] = []

    def batch(self, dispatcher: Dispatcher[Frame], *, until: int) -> list[Entry]:
        place = dispatcher.position.ms
        return self.stream[place : self.data.draw(st.integers(place, until), label="read up to")]

    def change_rooms(
        self, dispatcher: Dispatcher[Frame], connection: Connection[Frame], *, until: int
    ) -> None:
        """The application emits, which puts `published` ahead of the reader, and changes rooms."""
        published = self.data.draw(st.integers(dispatcher.edge.ms, until), label="published")
        dispatcher.published = at(published)
        for room, entered in self.data.draw(own_changes, label="own changes"):
            act = dispatcher.enter if entered else dispatcher.leave
            act(connection, room)
            self.own.append(Own(dispatcher.edge.ms, room, entered))


def _live(steps: Steps, dispatcher: Dispatcher[Frame], connection: Connection[Frame], until: int) -> None:
    for _ in range(3):
        steps.change_rooms(dispatcher, connection, until=until)
        dispatcher.dispatch(steps.batch(dispatcher, until=until))
        if steps.data.draw(st.booleans(), label="ping"):
            connection.note(dispatcher.position)
            connection.prove()


def _read_up_to(steps: Steps, dispatcher: Dispatcher[Frame], place: int) -> None:
    dispatcher.dispatch(steps.stream[dispatcher.position.ms : place])


@given(histories, st.data())
def test_a_client_that_stays_gets_what_the_model_says(history: list[Action], data: st.DataObject) -> None:
    steps, dispatcher, client = Steps(history, data), make_dispatcher(), Client()
    connection = make_connection(client, SID)
    dispatcher.add(connection)
    _live(steps, dispatcher, connection, len(history))
    _read_up_to(steps, dispatcher, len(history))
    assert client.events == events_due(history, 0, live=True, own=steps.own)


@given(histories, st.data())
def test_before_and_after_an_absence_make_up_the_whole(history: list[Action], data: st.DataObject) -> None:
    steps, dispatcher, before, after = Steps(history, data), make_dispatcher(), Client(), Client()
    leaves = data.draw(st.integers(0, len(history)), label="leaves after")
    returns = data.draw(st.integers(leaves, len(history)), label="returns after")
    connection = make_connection(before, SID)
    dispatcher.add(connection)
    _live(steps, dispatcher, connection, leaves)
    received = data.draw(st.integers(0, len(before.frames)), label="received of what was sent")
    del before.frames[received:]
    saved = _save(connection, dispatcher)
    dispatcher.end(connection)
    saved_end = _save(connection, dispatcher) if data.draw(st.booleans(), label="saved again") else saved

    back = make_dispatcher() if data.draw(st.booleans(), label="on another server") else dispatcher
    # Admission waits until the reader has passed all that the saved session knows of.
    _read_up_to(steps, back, max(returns, dispatcher.edge.ms))
    restored_at = back.position.ms
    presented = at(int(before.events[-1])) if before.frames else at(0)
    restored = _restore(saved_end, back, after, floor=max(presented, connection.proven))
    _live(steps, back, restored, len(history))
    _read_up_to(steps, back, len(history))

    due = events_due(history, 0, live=True, own=steps.own)
    lost_for_good = {
        str(number)
        for number, action in enumerate(history, start=1)
        if isinstance(action, Emit) and action.volatile and number <= restored_at
    }
    proven = {name for name in due if int(name) <= connection.proven.ms} - set(before.events)
    expected = [name for name in due if name in before.events or name not in lost_for_good | proven]
    assert [*before.events, *after.events] == expected


def _save(connection: Connection[Frame], dispatcher: Dispatcher[Frame]) -> bytes:
    command = save_command(
        connection,
        HolderState.LIVE,
        server=ServerId("here"),
        position=dispatcher.position,
        window_ms=1,
        linger_ms=1,
        live_ms=1,
        whole=True,
    )
    assert command.value is not None
    return command.value


def _restore(value: bytes, dispatcher: Dispatcher[Frame], client: Client, *, floor: Any) -> Connection[Frame]:
    session = decode_session(value)
    connection = make_connection(client, SID, live=False)
    connection.membership = Membership(session.sid, session.start, session.history)
    connection.proven = floor
    replay = find_missed(
        dispatcher.log, dispatcher.codec, connection, floor=floor, applied=session.position, limit=1000
    )
    assert isinstance(replay, Replay)
    dispatcher.add(connection)
    dispatcher.hold(connection, replay.packets)
    connection.go_live()
    return connection
