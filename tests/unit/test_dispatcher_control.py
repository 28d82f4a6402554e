"""What the stream says besides events: rooms, disconnections, takeovers, session data, answers."""

import pytest

from recovery.core.connection import Phase
from recovery.core.control import Acknowledgement, Release, SessionAnswer, Takeover
from recovery.core.effects import Disconnected, RoomChanged, SessionReplaced, SessionWanted, TakenOver
from recovery.core.packets import AckRequest
from recovery.drafts import Drafts
from recovery.entries import Kind, PayloadCodec
from recovery.records import Draft, ServerId, Sid
from tests.unit.builders import (
    CHAT,
    DRAFTS,
    HERE,
    NSP,
    THERE,
    Client,
    audience,
    dispatch,
    event,
    make_connection,
    make_dispatcher,
)

SID = Sid("sid")
OTHER = ServerId("other")


def _join(*rooms: str, to: str = "sid") -> Draft:
    return DRAFTS.change_rooms(Kind.JOIN, NSP, audience(to), rooms)


def _leave(*rooms: str, to: str = "sid") -> Draft:
    return DRAFTS.change_rooms(Kind.LEAVE, NSP, audience(to), rooms)


def test_entering_and_leaving_take_effect_at_their_offsets_within_one_batch() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)

    effects = dispatch(
        dispatcher,
        event("1", "a"),
        _join("a", "b"),
        event("3", "a"),
        _leave("a"),
        event("5", "a"),
        event("6", "b"),
    )

    assert client.events == ["3", "6"]
    assert effects == [
        RoomChanged(connection, "a", entered=True),
        RoomChanged(connection, "b", entered=True),
        RoomChanged(connection, "a", entered=False),
    ]


def test_a_whole_room_can_be_moved() -> None:
    dispatcher, member, stranger = make_dispatcher(), Client(), Client()
    dispatcher.add(make_connection(member, "m", rooms=["old"]))
    dispatcher.add(make_connection(stranger, "s"))
    dispatch(
        dispatcher, _join("new", to="old"), event("hi", "new"), _leave("old", to="old"), event("no", "old")
    )
    assert (member.events, stranger.events) == (["hi"], [])


def test_a_room_is_closed_for_all_its_members() -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, rooms=["a"]))
    effects = dispatch(dispatcher, _leave("a", to="a"), event("no", "a"))
    assert client.events == []
    assert (NSP, "a") not in dispatcher._members
    assert len(effects) == 1


def test_a_change_from_elsewhere_that_is_older_than_one_of_ours_does_not_undo_it() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client)
    dispatcher.add(connection)
    first = dispatcher.position.ms + 1
    dispatcher.published = dispatcher.position.__class__(first + 1, 0)  # our emit is the second entry
    dispatcher.enter(connection, "a")

    dispatch(dispatcher, _leave("a"), event("ours"), event("in", "a"))

    assert "in" in client.events
    assert connection.membership.is_in("a")


def test_a_change_for_another_namespace_is_not_ours() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection()
    dispatcher.add(connection)
    assert dispatch(dispatcher, DRAFTS.change_rooms(Kind.JOIN, CHAT, audience("sid"), ["a"])) == []
    assert not connection.membership.is_in("a")


@pytest.mark.parametrize(
    "to", [audience("sid"), audience("room"), audience()], ids=["sid", "room", "everyone"]
)
def test_an_addressed_disconnection_ends_the_connection_at_its_offset(to: object) -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, rooms=["room"])
    dispatcher.add(connection)
    assert isinstance(to, type(audience()))
    effects = dispatch(dispatcher, event("before"), DRAFTS.disconnect(NSP, to), event("after"))
    assert effects == [Disconnected(connection)]
    assert client.events == ["before"]
    assert connection.phase is Phase.ENDED


def test_a_held_connection_can_be_disconnected() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection(live=False)
    dispatcher.add(connection)
    assert dispatch(dispatcher, DRAFTS.disconnect(NSP, audience("sid"))) == [Disconnected(connection)]


def test_a_disconnection_spares_whoever_left_before() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection(rooms=["room"])
    dispatcher.add(connection)
    assert len(dispatch(dispatcher, _leave("room"), DRAFTS.disconnect(NSP, audience("room")))) == 1
    assert connection.phase is Phase.LIVE


# ---------------------------------------------------------------------- takeover


def _takeover(number: int, *, holder: ServerId = THERE) -> Draft:
    return Drafts(OTHER, PayloadCodec()).takeover(NSP, SID, number, holder)


def _taken(number: int, *, holder: ServerId = THERE) -> Takeover:
    return Takeover(NSP, SID, number, claimer=OTHER, holder=holder)


def test_a_takeover_ends_the_older_connection_at_its_offset() -> None:
    dispatcher, client = make_dispatcher(), Client()
    connection = make_connection(client, number=1)
    dispatcher.add(connection)
    effects = dispatch(dispatcher, event("before"), _takeover(2, holder=HERE), event("after"))
    assert effects == [TakenOver(_taken(2, holder=HERE), connection, asked=True)]
    assert client.events == ["before"]


@pytest.mark.parametrize("number", [2, 3])
def test_a_takeover_spares_a_connection_of_the_same_or_a_newer_claim(number: int) -> None:
    dispatcher, client = make_dispatcher(), Client()
    dispatcher.add(make_connection(client, number=number))
    assert dispatch(dispatcher, _takeover(2), event("after")) == []
    assert client.events == ["after"]


def test_a_takeover_ends_a_connection_whose_server_was_not_the_known_holder() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection(number=2)
    dispatcher.add(connection)
    assert dispatch(dispatcher, _takeover(3)) == [TakenOver(_taken(3), connection, asked=False)]


def test_the_old_holder_is_asked_even_when_its_connection_is_gone() -> None:
    effects = dispatch(make_dispatcher(), _takeover(2, holder=HERE))
    assert effects == [TakenOver(_taken(2, holder=HERE), None, asked=True)]


def test_a_takeover_among_others_is_no_concern() -> None:
    assert dispatch(make_dispatcher(), _takeover(2)) == []


# ---------------------------------------------------------------------- session data and answers


def test_session_data_is_replaced_for_its_client_only() -> None:
    dispatcher = make_dispatcher()
    connection, other = make_connection(), make_connection(sid="other")
    dispatcher.add(connection)
    dispatcher.add(other)
    assert dispatch(dispatcher, DRAFTS.set_session(NSP, SID, {"a": 1})) == [SessionReplaced(connection)]
    assert (connection.user_session, other.user_session) == ({"a": 1}, {})


def test_whoever_has_the_client_is_asked_for_its_session_data() -> None:
    dispatcher = make_dispatcher()
    connection = make_connection()
    dispatcher.add(connection)
    wanted = SessionWanted(connection, AckRequest(THERE, "9"))
    assert dispatch(dispatcher, DRAFTS.fetch_session(NSP, SID, "9")) == [wanted]
    assert dispatch(make_dispatcher(), DRAFTS.fetch_session(NSP, SID, "9")) == []


@pytest.mark.parametrize(
    ("target", "passed_on"),
    [
        (HERE, [Acknowledgement("1", ["yes"]), SessionAnswer("2", {"a": 1}), Release(NSP, SID, 3)]),
        (OTHER, []),
    ],
    ids=["for us", "for another server"],
)
def test_answers_are_passed_on_to_the_server_that_asked(target: ServerId, passed_on: list[object]) -> None:
    effects = dispatch(
        make_dispatcher(),
        DRAFTS.acknowledge(NSP, target, "1", ["yes"]),
        DRAFTS.session(NSP, target, "2", {"a": 1}),
        DRAFTS.released(NSP, SID, 3, target),
    )
    assert effects == passed_on
