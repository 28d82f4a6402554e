"""What a store lost: who may lack it, until when, and what else a failover undoes. No less, and no more."""

from typing import Any

import pytest

from recovery.testing.checker import Kind
from tests.testing.stories import Story, at


def _story_of_a_lost_packet(**loss: Any) -> Story:
    """ann was away when 5 was emitted and lost; she comes back, and hears 7."""
    story = Story()
    story.connect("ann")
    story.emit(1)
    story.receive("ann", 1)
    story.emit(5)
    story.lose_writes(after=1, **loss)
    story.recover("ann", after=6)
    story.emit(7)
    story.receive("ann", 7)
    return story


@pytest.mark.parametrize("told", [None, at(7), at(8)])
def test_a_lost_packet_is_not_owed_as_long_as_nobody_is_told(told: Any) -> None:
    assert _story_of_a_lost_packet(upto=at(5), told=told).found == []


def test_a_lost_packet_is_owed_if_it_has_to_be_told_at_once() -> None:
    assert _story_of_a_lost_packet(upto=at(5)).found == [(Kind.LOST, "ann", "p5")]


@pytest.mark.parametrize("upto", [at(2), at(4)])
def test_a_packet_that_the_store_kept_is_owed_all_the_same(upto: Any) -> None:
    assert _story_of_a_lost_packet(upto=upto, told=None).found == [(Kind.LOST, "ann", "p5")]


def test_a_packet_emitted_after_the_loss_is_owed() -> None:
    story = Story()
    story.connect("ann")
    story.emit(1)
    story.lose_writes(after=1, upto=at(9), told=None)
    story.emit(5, 7)
    story.receive("ann", 1, 7)
    assert story.found == [(Kind.LOST, "ann", "p5")]


def test_a_session_does_not_outlast_the_word_of_a_loss() -> None:
    """It lacks nothing that is owed to it: the epoch alone ends it."""
    story = Story()
    story.connect("ann", after=0, by=1)
    story.emit(5, clients=frozenset({"bob"}))
    story.lose_writes(after=1, upto=at(5), told=at(6))
    story.recover("ann", after=6)
    story.emit(7)
    story.receive("ann", 7)
    assert story.found == [(Kind.AFTER_END, "ann", "p7")]


def test_nobody_recovers_a_session_after_the_word_of_a_loss() -> None:
    story = Story()
    story.connect("ann", after=0, by=1)
    story.lose_writes(after=1, upto=at(5), told=at(6))
    story.recover("ann", after=7)
    assert story.found == [(Kind.AFTER_END, "ann", None)]


@pytest.mark.parametrize("by", [6, 9])
def test_a_session_that_begins_with_the_new_epoch_goes_on(by: int) -> None:
    story = Story()
    story.emit(5)
    story.lose_writes(after=1, upto=at(5), told=at(6))
    story.connect("ann", after=6, by=by)
    story.emit(10)
    story.receive("ann", 10)
    story.recover("ann", after=10)
    assert story.found == []


def _story_of_a_lost_end(end_of: str, **loss: Any) -> Story:
    """ann and bob were disconnected; the store lost the end of one of them; ann comes back, and hears 7."""
    story = Story()
    for client in ("ann", "bob"):
        story.connect(client, after=0, by=1)
    for client in ("ann", "bob"):
        story.end(client, after=1, by=2)
    story.lose_writes(after=2, upto=at(2), ends=frozenset({story.sid(end_of)}), **loss)
    story.recover("ann", after=3)
    story.emit(7)
    story.receive("ann", 7)
    return story


@pytest.mark.parametrize("told", [None, at(8)])
def test_an_end_that_the_store_lost_is_undone_as_long_as_nobody_is_told(told: Any) -> None:
    assert _story_of_a_lost_end("ann", told=told).found == []


def test_a_lost_end_of_another_session_undoes_nothing() -> None:
    found = _story_of_a_lost_end("bob", told=None).found
    assert found == [(Kind.AFTER_END, "ann", None), (Kind.AFTER_END, "ann", "p7")]


def test_a_lost_end_is_in_force_again_when_the_loss_is_told() -> None:
    assert _story_of_a_lost_end("ann", told=at(5)).found == [(Kind.AFTER_END, "ann", "p7")]


def test_a_lost_end_does_not_excuse_what_came_before_it_was_lost() -> None:
    story = Story()
    story.connect("ann", after=0, by=1)
    story.end("ann", after=1, by=2)
    story.recover("ann", after=3)
    story.lose_writes(after=2, upto=at(2), ends=frozenset({story.sid("ann")}), told=None)
    assert story.found == [(Kind.AFTER_END, "ann", None)]


def test_a_lost_end_does_not_open_the_old_connection() -> None:
    story = Story()
    story.connect("ann", after=0, by=1)
    story.end("ann", after=1, by=2)
    story.lose_writes(after=2, upto=at(2), ends=frozenset({story.sid("ann")}), told=None)
    story.emit(7)
    story.receive("ann", 7)
    assert story.found == [(Kind.AFTER_END, "ann", "p7")]


def test_a_session_that_ends_once_more_has_ended() -> None:
    story = _story_of_a_lost_end("ann", told=None)
    story.end("ann", after=7, by=8)
    story.recover("ann", after=9)
    assert story.found == [(Kind.AFTER_END, "ann", None)]


def _story_of_a_lost_move(who: str, **receipt: Any) -> Story:
    """The store forgets that one of two recovered; ann comes back once more; 7 is written to the old one."""
    story = Story()
    for client in ("ann", "bob"):
        story.connect(client, after=0, by=1)
    old = story.recover("ann", after=2)
    story.lose_writes(after=2, upto=at(2), moves=frozenset({story.sid(who)}), told=None)
    story.recover("ann", after=3)
    story.emit(7)
    story.receive("ann", 7, on=old, **receipt)
    return story


def test_a_connection_that_the_store_forgot_is_not_asked_to_stop() -> None:
    assert _story_of_a_lost_move("ann", heard=False).found == []


def test_a_connection_that_the_store_did_not_forget_is() -> None:
    found = _story_of_a_lost_move("bob", heard=False).found
    assert found == [(Kind.OLD_CONNECTION, "ann", "p7")]


def test_nobody_hears_a_connection_that_the_store_forgot() -> None:
    found = _story_of_a_lost_move("ann", heard=True).found
    assert found == [(Kind.OLD_CONNECTION, "ann", "p7")]


def test_an_older_connection_stays_closed_though_the_store_forgot_a_newer_one() -> None:
    story = Story()
    first = story.connect("ann", after=0, by=1)
    story.recover("ann", after=2)
    story.lose_writes(after=2, upto=at(2), moves=frozenset({story.sid("ann")}), told=None)
    story.emit(7)
    story.receive("ann", 7, on=first, heard=False)
    assert story.found == [(Kind.OLD_CONNECTION, "ann", "p7")]


def _story_of_a_repeated_emit(earlier: frozenset[Any], told: Any) -> Story:
    """Packet 9 stood at 5 first; ann received it there, bob, whose session is new, at 9."""
    story = Story("bob")
    story.connect("ann", after=0, by=1)
    story.emit(9, earlier=earlier)
    story.receive("ann", 9, offset=at(5))
    story.lose_writes(after=1, upto=at(5), told=told)
    story.connect("bob", after=8)
    story.receive("bob", 9)
    return story


def test_a_packet_may_come_at_a_place_that_the_store_lost() -> None:
    assert _story_of_a_repeated_emit(frozenset({at(5)}), told=at(8)).found == []


def test_a_packet_may_come_at_no_other_place() -> None:
    story = _story_of_a_repeated_emit(frozenset({at(4)}), told=None)
    assert story.found == [(Kind.DISAGREEMENT, "ann", "p9")]


def test_a_repeated_emit_is_owed_to_whoever_comes_after_the_loss() -> None:
    story = Story("bob")
    story.emit(9, earlier=frozenset({at(5)}))
    story.lose_writes(after=1, upto=at(5), told=at(8))
    story.connect("bob", after=8)
    assert story.found == [(Kind.LOST, "bob", "p9")]


def test_nobody_gets_a_repeated_emit_at_both_places() -> None:
    story = Story()
    story.connect("ann", after=0, by=1)
    story.emit(9, earlier=frozenset({at(5)}))
    story.receive("ann", 9, offset=at(5))
    story.lose_writes(after=1, upto=at(5), told=None)
    story.recover("ann", after=6)
    story.receive("ann", 9)
    assert story.found == [(Kind.DOUBLED, "ann", "p9")]


def _story_of_an_end_that_was_not_heard(end_of: str, **loss: Any) -> Story:
    """ann and bob were ended by entries; one of these was lost before it was read; 7 reaches ann."""
    story = Story()
    for client in ("ann", "bob"):
        story.connect(client, after=0, by=1)
    for client in ("ann", "bob"):
        story.end(client, after=1, by=2)
    sids = frozenset({story.sid(end_of)})
    story.lose_writes(after=1, upto=at(2), ends=sids, unheard=sids, **loss)
    story.emit(7)
    story.receive("ann", 7)
    return story


@pytest.mark.parametrize("told", [None, at(7)])
def test_a_connection_whose_end_nobody_heard_of_goes_on_as_long_as_nobody_is_told(told: Any) -> None:
    assert _story_of_an_end_that_was_not_heard("ann", told=told).found == []


def test_it_does_not_go_on_when_everybody_is_told() -> None:
    found = _story_of_an_end_that_was_not_heard("ann", told=at(5)).found
    assert found == [(Kind.AFTER_END, "ann", "p7")]


def test_an_end_of_another_that_nobody_heard_of_opens_nothing() -> None:
    found = _story_of_an_end_that_was_not_heard("bob", told=None).found
    assert found == [(Kind.AFTER_END, "ann", "p7")]


def test_an_older_connection_does_not_go_on_with_it() -> None:
    story = Story()
    first = story.connect("ann", after=0, by=1)
    story.recover("ann", after=1)
    story.end("ann", after=1, by=2)
    sids = frozenset({story.sid("ann")})
    story.lose_writes(after=1, upto=at(2), ends=sids, unheard=sids, told=None)
    story.emit(7)
    story.receive("ann", 7, on=first, heard=False)
    assert story.found == [(Kind.OLD_CONNECTION, "ann", "p7")]


def _story_of_a_lost_word(until: Any, *, lost: bool = True) -> Story:
    """All were told of a loss, at 3; the store lost that, too, and nobody told it again; ann comes back."""
    story = Story()
    story.connect("ann", after=0, by=1)
    story.lose_writes(after=1, upto=at(2), told=at(3), until=until)
    if lost:
        story.lose_writes(after=1, upto=at(4), told=None)
    story.recover("ann", after=4)
    story.emit(7)
    story.receive("ann", 7)
    return story


def test_a_word_that_the_store_lost_ends_no_session_any_more() -> None:
    assert _story_of_a_lost_word(at(4)).found == []


def test_a_word_that_the_store_kept_does() -> None:
    assert _story_of_a_lost_word(None).found == [(Kind.AFTER_END, "ann", None), (Kind.AFTER_END, "ann", "p7")]


def test_a_word_that_the_store_loses_later_ended_the_sessions_until_then() -> None:
    found = _story_of_a_lost_word(at(4), lost=False).found
    assert found == [(Kind.AFTER_END, "ann", None)], "she came back before"
