"""The checker finds what a client lacks and is owed, and nothing else; and says so."""

import pytest

from recovery.records import Audience
from recovery.testing.checker import Kind, Promise, check, explain
from tests.testing.stories import CHAT, NEWS, Story


def test_everything_once_and_in_order_keeps_the_promise() -> None:
    story = Story("ann", "bob")
    story.connect("ann")
    story.connect("bob")
    story.emit(1, 2, 3)
    story.receive("ann", 1, 2)
    story.recover("ann", after=3)
    story.receive("ann", 3)
    story.receive("bob", 1, 2, 3)
    assert story.found == []
    assert explain([]).startswith("nothing")


class TestLost:
    def test_a_settled_client_must_have_the_last_packet(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 1)
        assert story.found == [(Kind.LOST, "ann", "p2")]

    def test_a_settled_client_that_got_nothing_lost_everything(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, 2)
        assert story.found == [(Kind.LOST, "ann", "p1"), (Kind.LOST, "ann", "p2")]

    def test_others_may_lack_what_comes_last(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 1)
        assert story.found == []

    def test_nobody_may_lack_what_comes_between(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2, 3)
        story.receive("ann", 1, 3)
        assert story.found == [(Kind.LOST, "ann", "p2")]

    def test_what_was_written_and_not_heard_is_lost_unless_it_comes_again(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 1, 2, heard=False)
        story.recover("ann", after=2)
        story.receive("ann", 2)
        assert story.found == [(Kind.LOST, "ann", "p1")]

    def test_a_member_is_owed_what_is_for_its_room(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "news", 2, 2)
        story.leave("ann", "news", 4, 4)
        story.emit(1, 2, 3, 4, 5, to=NEWS)
        story.receive("ann", 4)
        assert story.found == [(Kind.LOST, "ann", "p3")]

    def test_rooms_go_on_with_the_session(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "news", 0, 0)
        story.recover("ann", after=1)
        story.emit(2, to=NEWS)
        assert story.found == [(Kind.LOST, "ann", "p2")]

    def test_the_own_sid_is_a_room(self) -> None:
        story = Story("ann", "bob")
        story.connect("ann")
        story.connect("bob")
        story.emit(1, to=Audience((story.sid("ann"),)))
        story.emit(2, to=Audience((), (story.sid("ann"),)))
        assert story.found == [(Kind.LOST, "ann", "p1"), (Kind.LOST, "bob", "p2")]

    def test_a_packet_that_may_have_been_stored_is_owed_to_all_once_one_got_it(self) -> None:
        story = Story("ann", "bob")
        story.connect("ann")
        story.connect("bob")
        story.emit(1, stored=None, offset=None)
        story.receive("ann", 1)
        assert story.found == [(Kind.LOST, "bob", "p1")]

    def test_names_are_enough_of_an_audience(self) -> None:
        story = Story("ann", "bob")
        story.connect("ann")
        story.connect("bob")
        story.emit(1, offset=None, clients=frozenset({"ann"}))
        assert story.found == [(Kind.LOST, "ann", "p1")]

    def test_without_offsets_numbers_tell_what_comes_between(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2, 3, offset=None)
        story.receive("ann", 1, 3, offset=None)
        assert story.found == [(Kind.LOST, "ann", "p2")]

    def test_a_packet_without_an_offset_stands_between_its_neighbours(self) -> None:
        story = Story()
        story.connect("ann", after=1)
        story.emit(3, 7)
        story.emit(5, offset=None)
        story.emit(8, by="other")
        story.receive("ann", 3, 7, 8)
        assert story.found == [(Kind.LOST, "ann", "p5")]

    def test_a_session_has_one_beginning(self) -> None:
        """It began before the first packet that it got, so it was there for the next."""
        story = Story("ann")
        story.connect("ann", after=1, by=9)
        story.emit(1, 3, 5)
        story.receive("ann", 3)
        assert story.found == [(Kind.LOST, "ann", "p5")]

    def test_the_text_says_what_came_before_and_after(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "news", 0, 0)
        story.emit(1, 2, 3, to=NEWS)
        story.receive("ann", 1, 3)
        (violation,) = check(story.history)
        assert str(violation) == (
            "ann: packet p2 at 2-0 lost: number 2 of server, for rooms news; "
            "before came p1 at 1-0; then came p3 at 3-0"
        )
        assert violation.promise is Promise.P1


class TestNotOwed:
    """What a client may lack."""

    def test_a_fresh_session_is_owed_nothing_from_before(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "news", 0, 0)
        story.emit(1, 2)
        story.receive("ann", 1)
        story.connect("ann", after=2)
        story.emit(3)
        story.emit(4, to=NEWS)
        story.receive("ann", 3)
        assert story.found == []

    def test_it_may_begin_anywhere_while_it_is_being_accepted(self) -> None:
        story = Story("ann", "bob")
        story.emit(1, 2, 3)
        story.connect("ann", after=1, by=3)
        story.connect("bob", after=1, by=3)
        story.receive("ann", 2, 3)
        assert story.found == []

    def test_an_uncertain_change_leaves_it_open(self) -> None:
        story = Story("ann", "bob")
        for client in ("ann", "bob"):
            story.connect(client)
            story.enter(client, "news", 1, 3)
        story.emit(2, to=NEWS)
        story.receive("ann", 2)
        assert story.found == []

    def test_a_change_that_raised_is_never_certain(self) -> None:
        story = Story("ann", "bob")
        for client in ("ann", "bob"):
            story.connect(client)
            story.enter(client, "news", 1, None)
        story.emit(9, to=NEWS)
        story.receive("ann", 9)
        assert story.found == []

    def test_an_excluded_member_is_owed_nothing(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.enter("ann", "quiet", 0, 0)
        story.emit(1, to=Audience((), ("quiet",)))
        assert story.found == []

    def test_packets_that_are_not_recoverable_may_be_missing(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, recoverable=False)
        story.emit(2)
        story.receive("ann", 2)
        assert story.found == []

    def test_what_may_have_been_stored_may_be_seen_by_nobody(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, stored=None, offset=None)
        assert story.found == []

    def test_an_ended_session_is_owed_nothing_later(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, 2)
        story.receive("ann", 1)
        story.end("ann", after=1)
        assert story.found == []

    def test_an_ended_session_is_owed_no_packet_behind_its_end_though_it_got_a_later_one(self) -> None:
        story = Story()
        story.connect("ann")
        story.emit(1, 2, 3)
        story.receive("ann", 1, 3)
        story.end("ann", after=1)
        assert story.found == []

    def test_a_session_that_began_after_writes_were_lost_is_owed_none_of_them(self) -> None:
        story = Story("ann", "bob")
        story.connect("bob")
        story.emit(5)
        story.lose_writes(after=4)
        story.connect("ann", after=4)
        assert story.found == [(Kind.LOST, "bob", "p5")]

    def test_other_namespaces_are_none_of_its_business(self) -> None:
        story = Story("ann")
        story.connect("ann")
        story.emit(1, namespace=CHAT)
        assert story.found == []


@pytest.mark.parametrize("count", [1, 50])
def test_the_explanation_counts_and_names_examples(count: int) -> None:
    story = Story("ann")
    story.connect("ann")
    story.emit(*range(1, count + 1))
    text = explain(check(story.history))
    assert text.startswith(f"{count} x lost (P1 exactly once)\n  ann: packet p1 at 1-0 lost: ")
    assert len(text.splitlines()) <= 12


def test_two_packets_of_one_name_are_an_error_of_the_recorder() -> None:
    story = Story()
    story.emit(1)
    story.emit(1)
    with pytest.raises(ValueError, match="'p1' was emitted twice"):
        check(story.history)


def test_two_connections_of_one_number_are_an_error_of_the_recorder() -> None:
    story = Story()
    story.connect("ann")
    story.history.events *= 2
    with pytest.raises(ValueError, match="connection 1 in / was accepted twice"):
        check(story.history)


def test_every_kind_breaks_one_promise() -> None:
    assert {kind.promise for kind in Kind} == set(Promise)
