"""The checker finds what a client got and should not have, not so, or not then."""

from recovery.records import Audience
from recovery.testing.checker import Kind, check
from tests.testing.stories import CHAT, NEWS, Story, at


class TestDoubled:
    def test_on_one_connection(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1)
        story.receive("ann", 1, 1, 1)
        assert story.found == [(Kind.DOUBLED, "ann", "p1")] * 2

    def test_on_two_connections(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1)
        story.receive("ann", 1)
        story.recover("ann", after=1)
        story.receive("ann", 1)
        assert story.found == [(Kind.DOUBLED, "ann", "p1")]

    def test_written_twice_though_not_heard(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1)
        story.receive("ann", 1)
        story.receive("ann", 1, heard=False)
        assert story.found == [(Kind.DOUBLED, "ann", "p1")]

    def test_one_that_is_not_recoverable(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, recoverable=False, offset=None)
        story.receive("ann", 1, 1, offset=None)
        assert story.found == [(Kind.DOUBLED, "ann", "p1")]

    def test_heard_once_of_two_connections_is_once(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1)
        story.receive("ann", 1, heard=False)
        story.recover("ann", after=1)
        story.receive("ann", 1)
        assert story.found == []


class TestReplayed:
    def test_a_volatile_packet_of_the_time_away(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, recoverable=False)
        story.recover("ann", after=1)
        story.receive("ann", 1)
        assert story.found == [(Kind.REPLAYED, "ann", "p1")]

    def test_a_volatile_packet_of_the_time_of_the_return_may_come(self) -> None:
        story = Story()
        story.connect("ann")
        story.recover("ann", after=1, by=2)
        story.emit(2, recoverable=False)
        story.receive("ann", 2)
        assert story.found == []


class TestOrder:
    def test_offsets_of_one_client_go_up(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, by="one")
        story.emit(2, by="two")
        story.receive("ann", 2, 1)
        assert story.found == [(Kind.OUT_OF_ORDER, "ann", "p1")]

    def test_across_connections_too(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, by="one")
        story.emit(2, by="two")
        story.receive("ann", 2)
        story.recover("ann", after=2)
        story.receive("ann", 1)
        assert story.found == [(Kind.OUT_OF_ORDER, "ann", "p1")]

    def test_what_is_written_to_a_dead_connection_goes_up_too(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 2, 1, heard=False)
        assert story.found == [(Kind.OUT_OF_ORDER, "ann", "p1")]

    def test_numbers_of_one_producer_go_up(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2, 3, offset=None)
        story.receive("ann", 3, 1, 2, offset=None)
        assert story.found == [(Kind.OUT_OF_ORDER, "ann", "p1"), (Kind.OUT_OF_ORDER, "ann", "p2")]

    def test_numbers_and_offsets_agree_though_nobody_sees_both(self) -> None:
        story = Story()
        story.emit(1, number=2)
        story.emit(2, number=1)
        assert story.found == [(Kind.OUT_OF_ORDER, "", "p1")]

    def test_a_local_packet_may_carry_the_offset_of_the_one_before(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, 3)
        story.emit(2, by="local", recoverable=False, offset=None)
        story.receive("ann", 1)
        story.receive("ann", 2, offset=at(1))
        story.receive("ann", 3)
        assert story.found == []

    def test_a_local_packet_must_not_put_the_client_back(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(3)
        story.emit(2, by="local", recoverable=False, offset=None)
        story.receive("ann", 3)
        story.receive("ann", 2, offset=at(1))
        assert story.found == [(Kind.OUT_OF_ORDER, "ann", "p2")]


class TestDisagreement:
    def test_one_packet_has_one_offset(self) -> None:
        story = Story()
        story.connect("ann")
        story.connect("bob")
        story.emit(1, offset=None)
        story.receive("ann", 1)
        story.receive("bob", 1, offset=at(2))
        assert story.found == [(Kind.DISAGREEMENT, "bob", "p1")]

    def test_one_offset_has_one_packet(self) -> None:
        story = Story()
        story.emit(1, 2, offset=at(1))
        assert story.found == [(Kind.DISAGREEMENT, "", "p2")]

    def test_two_clients_that_saw_the_opposite(self) -> None:
        story = Story()
        story.connect("ann")
        story.connect("bob")
        story.emit(1, by="one", offset=None)
        story.emit(2, by="two", offset=None)
        story.receive("ann", 1, 2, offset=None)
        story.receive("bob", 2, 1, offset=None)
        (violation,) = check(story.history)
        assert violation.kind is Kind.DISAGREEMENT
        assert "ann saw p1 before p2" in violation.detail
        assert "bob saw p2 before p1" in violation.detail

    def test_a_ring_of_three(self) -> None:
        story = Story()
        for place, producer in enumerate(["one", "two", "three"], start=1):
            story.emit(place, by=producer, offset=None)
        for client, seen in {"ann": (1, 2), "bob": (2, 3), "cat": (3, 1)}.items():
            story.connect(client)
            story.receive(client, *seen, offset=None)
        (violation,) = check(story.history)
        assert violation.kind is Kind.DISAGREEMENT
        for part in ("ann saw p1 before p2", "bob saw p2 before p3", "cat saw p3 before p1"):
            assert part in violation.detail

    def test_clients_agree_where_one_saw_less(self) -> None:
        story = Story()
        story.emit(1, 2, 3, offset=None, recoverable=True)
        for client, seen in {"ann": (1, 2, 3), "bob": (2, 3), "cat": (1, 2)}.items():
            story.connect(client, by=1)
            story.receive(client, *seen, offset=None)
        assert story.found == []


class TestStrangers:
    def test_not_a_member_yet_and_not_any_more(self) -> None:
        story = Story()
        story.connect("ann")
        story.enter("ann", "news", 1, 2)
        story.leave("ann", "news", 3, 4)
        story.emit(1, 2, 3, 4, 5, to=NEWS)
        story.receive("ann", 1, 2, 3, 4, 5)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p1"), (Kind.NOT_ADDRESSED, "ann", "p5")]

    def test_also_if_the_client_did_not_hear_it(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, to=NEWS)
        story.receive("ann", 1, heard=False)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p1")]

    def test_excluded(self) -> None:
        story = Story()
        story.connect("ann")
        story.enter("ann", "quiet", 0, 0)
        story.emit(1, to=Audience((), ("quiet",)))
        story.receive("ann", 1)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p1")]

    def test_rooms_end_with_the_session(self) -> None:
        story = Story()
        story.connect("ann")
        story.enter("ann", "news", 0, 0)
        story.connect("ann", after=1)
        story.emit(2, to=NEWS)
        story.receive("ann", 2)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p2")]

    def test_the_sid_of_an_earlier_session_is_somebody_else(self) -> None:
        story = Story()
        story.connect("ann")
        before = story.sid("ann")
        story.connect("ann", after=1)
        story.emit(2, to=Audience((before,)))
        story.receive("ann", 2)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p2")]

    def test_a_connect_handler_enters_rooms_of_the_session_to_come(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "news", 2, 2, sid="new")
        story.connect("ann", after=1, by=3, sid="new")
        story.emit(4, to=NEWS)
        assert story.found == [(Kind.LOST, "ann", "p4")]

    def test_another_namespace(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, namespace=CHAT)
        story.receive("ann", 1)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p1")]

    def test_a_client_that_was_not_named(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, clients=frozenset({"bob"}))
        story.receive("ann", 1)
        assert story.found == [(Kind.NOT_ADDRESSED, "ann", "p1")]

    def test_nobody_emitted_it(self) -> None:
        story = Story()
        story.connect("ann")
        story.receive("ann", 7)
        assert story.found == [(Kind.INVENTED, "ann", "p7")]

    def test_its_emit_said_that_it_was_not_stored(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, stored=False, offset=None)
        story.receive("ann", 1)
        assert story.found == [(Kind.INVENTED, "ann", "p1")]


class TestSessions:
    def test_a_fresh_session_gets_nothing_from_before_it_began(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2)
        story.connect("ann", after=2)
        story.receive("ann", 2)
        assert story.found == [(Kind.BEFORE_SESSION, "ann", "p2")]

    def test_nothing_is_written_to_a_connection_that_was_not_accepted(self) -> None:
        story = Story()
        story.emit(1)
        story.receive("ann", 1, on=5)
        assert story.found == [(Kind.BEFORE_SESSION, "ann", "p1")]

    def test_nothing_comes_after_the_end(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2, 3)
        story.end("ann", after=1, by=2)
        story.receive("ann", 1, 2, 3)
        assert story.found == [(Kind.AFTER_END, "ann", "p3")]

    def test_an_ended_session_is_not_recovered(self) -> None:
        story = Story()
        story.connect("ann")
        story.end("ann", after=1, by=2)
        story.recover("ann", after=2)
        assert story.found == [(Kind.AFTER_END, "ann", None)]

    def test_a_return_that_was_under_way_may_still_be_recovered(self) -> None:
        story = Story()
        story.connect("ann")
        story.end("ann", after=1, by=3)
        story.recover("ann", after=2, by=4)
        assert story.found == []

    def test_what_nobody_had_cannot_be_recovered(self) -> None:
        story = Story()
        story.recover("ann")
        assert story.found == [(Kind.NO_SESSION, "ann", None)]

    def test_another_client_may_recover_a_session(self) -> None:
        """It presented the pid; the promise is about the session."""
        story = Story("bob")
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 1)
        story.recover("bob", sid=story.sid("ann"), after=2)
        assert story.found == [(Kind.LOST, "bob", "p2")]

    def test_the_old_connection_gets_nothing_after_the_session_changed_hands(self) -> None:
        story = Story("ann")
        old = story.connect("ann")
        story.emit(1, 2, 3, 4)
        story.receive("ann", 1, 2)
        story.recover("ann", after=2, by=3)
        story.receive("ann", 3, on=old, heard=False)
        story.receive("ann", 4, on=old, heard=False)
        story.receive("ann", 3, 4)
        assert story.found == [(Kind.OLD_CONNECTION, "ann", "p4")]
