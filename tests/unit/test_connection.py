"""A connection's phases, what it holds back until it is live, and what a PONG proves."""

from itertools import product

import pytest

from recovery.core.connection import TRANSITIONS, Phase
from tests.unit.builders import NSP, Client, Frame, at, make_connection

WAYS = {Phase.HELD: (), Phase.LIVE: (Phase.LIVE,), Phase.ENDED: (Phase.ENDED,)}
"""How a connection gets into each phase."""


def _frame(name: str) -> Frame:
    return Frame(NSP, (name,))


def test_the_table_names_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_only_what_the_table_allows_can_happen(before: Phase, after: Phase) -> None:
    connection = make_connection(live=False)
    for phase in WAYS[before]:
        connection.change(phase)
    if after in TRANSITIONS[before]:
        connection.change(after)
        assert connection.phase is after
    else:
        with pytest.raises(RuntimeError, match=f"{before.name} cannot become {after.name}"):
            connection.change(after)
        assert connection.phase is before


def test_an_end_is_final() -> None:
    assert not TRANSITIONS[Phase.ENDED]


def test_a_held_connection_sends_nothing_until_it_is_live_and_then_all_in_order() -> None:
    client = Client()
    connection = make_connection(client, live=False)
    connection.hold([_frame("missed")])
    assert connection.deliver([_frame("one")]) == 2
    assert connection.deliver([_frame("two")]) == 3
    assert client.frames == []
    connection.go_live()
    connection.deliver([_frame("three")])
    assert client.events == ["missed", "one", "two", "three"]


def test_a_live_connection_tells_how_many_frames_wait_in_its_transport() -> None:
    connection = make_connection(Client([_frame("waiting")]))
    assert connection.deliver([_frame("one")]) == 2


@pytest.mark.parametrize("live", [True, False])
def test_an_ended_connection_sends_nothing_and_keeps_nothing(live: bool) -> None:
    client = Client()
    connection = make_connection(client, live=live)
    connection.deliver([_frame("before")])
    sent = len(client.frames)
    connection.change(Phase.ENDED)
    assert connection.deliver([_frame("after")]) == 0
    assert len(client.frames) == sent


def test_a_pong_proves_the_position_that_was_noted_at_its_ping() -> None:
    connection = make_connection(start=at(1))
    connection.note(at(5))
    assert connection.proven == at(1)
    assert connection.prove()
    assert connection.proven == at(5)


def test_a_pong_without_a_ping_proves_nothing() -> None:
    connection = make_connection(start=at(1))
    assert not connection.prove()
    assert connection.proven == at(1)


def test_a_second_pong_proves_nothing_new() -> None:
    connection = make_connection(start=at(1))
    connection.note(at(5))
    connection.prove()
    assert not connection.prove()


def test_a_position_is_never_taken_back() -> None:
    connection = make_connection(start=at(9))
    connection.note(at(5))
    assert not connection.prove()
    assert connection.proven == at(9)


def test_a_ping_during_the_connect_handler_proves_nothing() -> None:
    connection = make_connection(live=False, start=at(1))
    connection.note(at(5))
    assert not connection.prove()
