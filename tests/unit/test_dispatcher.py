"""Packets on their way to this server's clients: one order, each judged at its own offset."""

from recovery.core.effects import Overflowed
from recovery.core.packets import AckRequest
from recovery.offsets import ORIGIN
from recovery.records import Entry
from tests.unit.builders import (
    CHAT,
    DRAFTS,
    NSP,
    THERE,
    UNSENDABLE,
    Client,
    at,
    audience,
    dispatch,
    entry,
    event,
    make_connection,
    make_dispatcher,
)


def test_a_packet_reaches_whom_it_addresses_with_its_offset() -> None:
    dispatcher, ada, bob = make_dispatcher(), Client(), Client()
    dispatcher.add(make_connection(ada, "ada", rooms=["news"]))
    dispatcher.add(make_connection(bob, "bob"))

    dispatch(
        dispatcher, event("all"), event("news", "news"), event("bob", "bob"), event("not", excluded=["bob"])
    )

    assert [(frame.args) for frame in ada.frames] == [("all", "1-0"), ("news", "2-0"), ("not", "4-0")]
    assert [(frame.args) for frame in bob.frames] == [("all", "1-0"), ("bob", "3-0")]


def test_a_member_of_two_addressed_rooms_gets_the_packet_once() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, rooms=["a", "b"]))
    dispatch(dispatcher, event("once", "a", "b"))
    assert client.events == ["once"]


def test_an_excluded_room_wins() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, rooms=["a", "b"]))
    dispatch(dispatcher, event("no", "a", excluded=["b"]))
    assert client.events == []


def test_other_namespaces_are_other_worlds() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, namespace=CHAT))
    dispatch(dispatcher, event("elsewhere"), event("elsewhere", "sid"))
    assert client.events == []


def test_nodes_entries_are_decoded_to_learn_their_audience() -> None:
    dispatcher, client, stranger = make_dispatcher(), Client(), Client()
    dispatcher.add(make_connection(client, "a", rooms=["news"]))
    dispatcher.add(make_connection(stranger, "b"))
    fields = {name: value for name, value in event("hi", "news").fields if name != b"to"}
    dispatcher.dispatch([Entry(at(1), fields)])
    assert (client.events, stranger.events) == (["hi"], [])


def test_clients_that_cannot_use_offsets_get_none() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, with_offsets=False))
    dispatch(dispatcher, event("plain"))
    dispatcher.deliver_local(NSP, ["local"], audience())
    assert [frame.args for frame in client.frames] == [("plain",), ("local",)]


def test_an_entry_for_nobody_here_is_not_decoded() -> None:
    dispatcher = make_dispatcher()
    dispatcher.add(make_connection())
    poison = dict(event("e", "elsewhere").fields) | {b"data": b"poison"}
    dispatcher.dispatch([Entry(at(1), poison)])
    assert dispatcher.skipped == 0


def test_a_client_gets_nothing_from_before_its_start() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.published = at(2)  # emitted, and not read yet
    dispatcher.add(make_connection(client, start=dispatcher.edge))
    dispatch(dispatcher, event("one"), event("two"), event("three"))
    assert client.events == ["three"]


# ---------------------------------------------------------------------- changes by this server


def test_a_packet_emitted_before_leaving_is_delivered_after_it() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, rooms=["news"])
    dispatcher.add(connection)
    dispatcher.published = at(1)  # emit, then leave, in one task; neither was read yet

    dispatcher.leave(connection, "news")
    dispatch(dispatcher, event("before", "news"), event("after", "news"))

    assert client.events == ["before"]
    assert not connection.membership.is_in("news")


def test_a_packet_emitted_before_entering_is_not_delivered() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)
    dispatcher.published = at(1)

    dispatcher.enter(connection, "news")
    dispatch(dispatcher, event("before", "news"), event("after", "news"))

    assert client.events == ["after"]


def test_leaving_and_entering_again_before_the_reader_caught_up_loses_nothing_after() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, rooms=["news"])
    dispatcher.add(connection)
    dispatcher.published = at(1)
    dispatcher.leave(connection, "news")
    dispatcher.published = at(2)
    dispatcher.enter(connection, "news")

    dispatch(dispatcher, *(event(f"e{number}", "news") for number in (1, 2, 3)))

    assert client.events == ["e1", "e3"]


def test_whoever_left_is_in_the_index_no_longer() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection(rooms=["news"])
    dispatcher.add(connection)
    dispatcher.published = at(1)
    dispatcher.leave(connection, "news")
    assert (NSP, "news") in dispatcher._members, "a packet emitted before is still to come"
    dispatch(dispatcher, event("before", "news"))
    assert (NSP, "news") not in dispatcher._members


def test_whoever_ended_is_in_no_index_and_gets_nothing() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, rooms=["news"])
    dispatcher.add(connection)
    dispatcher.enter(connection, "more")
    dispatcher.end(connection)
    dispatcher.end(connection)  # harmless
    dispatch(dispatcher, event("all"), event("news", "news"), event("sid", "sid"))
    assert client.events == []
    assert dispatcher._members == {}
    assert (dispatcher.find(NSP, connection.sid), list(dispatcher.connections())) == (None, [])


def test_a_client_never_leaves_its_own_room() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)
    dispatcher.leave(connection, connection.sid)
    dispatch(dispatcher, event("direct", "sid"))
    assert client.events == ["direct"]


def test_where_a_connection_ended_is_known() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection()
    dispatcher.add(connection)
    dispatch(dispatcher, event("one"))
    dispatcher.end(connection)
    dispatch(dispatcher, event("two"))
    assert connection.ended_at == at(1)


# ---------------------------------------------------------------------- held, local, acknowledged


def test_a_held_connection_gets_what_it_missed_before_what_is_new() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatch(dispatcher, event("missed"))
    missed = list(dispatcher.log.missed(NSP, [], ORIGIN))
    connection = make_connection(client, live=False)
    dispatcher.add(connection)
    dispatcher.hold(connection, missed)
    dispatch(dispatcher, event("new"))
    assert client.frames == []
    connection.go_live()
    assert [frame.args for frame in client.frames] == [("missed", "1-0"), ("new", "2-0")]


def test_local_packets_carry_the_position_and_are_not_in_the_log() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, rooms=["a"]))
    dispatch(dispatcher, event("one"))
    dispatcher.deliver_local(NSP, ["local", 5], audience("a"))
    dispatcher.deliver_local(NSP, ["not", 5], audience("b"))
    assert [frame.args for frame in client.frames] == [("one", "1-0"), ("local", 5, "1-0")]
    assert len(dispatcher.log) == 1


def test_a_local_packet_reaches_whoever_entered_a_moment_ago() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)
    dispatcher.published = at(5)
    dispatcher.enter(connection, "a")
    dispatcher.deliver_local(NSP, ["local"], audience("a"))
    dispatcher.leave(connection, "a")
    dispatcher.deliver_local(NSP, ["gone"], audience("a"))
    assert client.events == ["local"]


def test_a_packet_that_asks_for_an_acknowledgement_carries_no_offset() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    connection.connect_sent = True
    dispatcher.add(connection)
    dispatch(dispatcher, DRAFTS.broadcast(NSP, ["q"], audience("sid"), request_id="7"))
    assert [(frame.args, frame.ack) for frame in client.frames] == [(("q",), AckRequest(THERE, "7"))]


def test_a_question_needs_no_place_in_the_order_once_connect_is_sent() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, live=False)
    dispatcher.add(connection)
    question = DRAFTS.broadcast(NSP, ["q"], audience("sid"), request_id="7")
    dispatch(dispatcher, question)
    assert client.events == [], "nothing goes out before CONNECT"
    connection.connect_sent = True
    dispatch(dispatcher, question)
    assert client.events == ["q"]
    connection.go_live()
    assert client.events == ["q", "q"]


def test_a_local_question_carries_its_request() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    connection.connect_sent = True
    dispatcher.add(connection)
    dispatcher.deliver_local(NSP, ["q"], audience("sid"), AckRequest(THERE, "1"))
    assert [(frame.args, frame.ack) for frame in client.frames] == [(("q",), AckRequest(THERE, "1"))]


def test_volatile_packets_are_delivered_live_with_their_offset() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client))
    dispatch(dispatcher, event("v", volatile=True))
    assert [frame.args for frame in client.frames] == [("v", "1-0")]


# ---------------------------------------------------------------------- bounds and poison


def test_a_slow_client_is_reported_and_the_others_are_served() -> None:
    dispatcher, fast = make_dispatcher(max_client_buffer=2), Client()
    slow = make_connection(Client(), "slow")
    dispatcher.add(slow)
    dispatcher.add(make_connection(fast, "fast"))
    effects = []
    for number in range(4):
        effects += dispatch(dispatcher, event(f"e{number}"))
        fast.frames.clear()  # its transport keeps up
    assert effects == [Overflowed(slow), Overflowed(slow)]


def test_a_held_connection_may_overflow_too() -> None:
    dispatcher = make_dispatcher(max_client_buffer=1)
    held = make_connection(live=False)
    dispatcher.add(held)
    assert dispatch(dispatcher, event("one"), event("two")) == [Overflowed(held)]


def test_poison_entries_are_skipped_and_counted_and_take_their_place() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client))
    head = {b"uid": b"u", b"nsp": b"/", b"type": b"3"}
    poison = [
        Entry(at(1), head | {b"data": b"x"}),
        Entry(at(2), head | {b"data": b"{}", b"to": b"?"}),
        Entry(at(3), {b"nsp": b"\xff", b"type": b"3"}),
        Entry(at(4), {b"uid": b"u", b"nsp": b"/", b"type": b"4", b"data": b"{}"}),
        entry(DRAFTS.broadcast(NSP, ["e", UNSENDABLE], audience()), 5),
    ]
    dispatcher.dispatch([*poison, entry(event("ok"), 6)])
    assert client.events == ["ok"]
    assert dispatcher.skipped == 5
    assert (dispatcher.position, len(dispatcher.log)) == (at(6), 6)


def test_entries_of_no_concern_move_the_position() -> None:
    dispatcher = make_dispatcher()
    dispatcher.dispatch([Entry(at(1), {b"epoch": b"e"}), Entry(at(2), {b"nsp": b"/", b"type": b"1"})])
    assert (dispatcher.position, dispatcher.skipped) == (at(2), 0)


def test_nothing_read_changes_nothing() -> None:
    dispatcher = make_dispatcher(start=at(5))
    assert dispatcher.dispatch([]) == []
    assert (dispatcher.position, dispatcher.edge) == (at(5), at(5))
