"""Answers are complete when all that were asked have answered, in whatever order words come."""

import asyncio

from adapter.gathering import ClientGathering, Gathering
from recovery.records import Namespace, ServerId, Sid

ROOT = Namespace("/")
A, B, C = ServerId("a"), ServerId("b"), ServerId("c")


async def test_nobody_was_asked() -> None:
    gathering = Gathering(ROOT)
    assert not gathering.done.done()
    gathering.expect(0)
    assert gathering.done.done()


async def test_answers_may_come_before_their_number_is_known() -> None:
    gathering = Gathering(ROOT)
    gathering.answer(A, 1)
    gathering.answer(A, "again")
    gathering.answer(B, None)
    gathering.expect(2)
    await asyncio.wait_for(gathering.done, 1)
    assert gathering.answers == {A: 1, B: None}


async def test_a_server_that_hears_its_own_question_was_counted() -> None:
    gathering = Gathering(ROOT)
    gathering.expect(2)
    gathering.answer(A, 1)
    assert not gathering.done.done()
    gathering.came_back()
    assert gathering.done.done()


async def test_a_server_that_has_lost_its_connection_was_not_counted() -> None:
    """It asks one other server, and does not take itself for that one."""
    gathering = Gathering(ROOT)
    gathering.expect(1)
    assert not gathering.done.done()
    assert gathering.missing(()) == ((), 1)


async def test_who_leaves_is_not_waited_for() -> None:
    gathering = Gathering(ROOT)
    gathering.expect(2)
    gathering.answer(A, 1)
    gathering.left(A)
    assert not gathering.done.done()
    gathering.left(B)
    assert gathering.done.done()


async def test_the_missing_are_named_as_far_as_they_are_known() -> None:
    gathering = Gathering(ROOT)
    gathering.expect(4)
    gathering.answer(A, 1)
    assert gathering.missing((A, B)) == ((B,), 2)
    assert gathering.missing((A, B, C, ServerId("d"), ServerId("e")))[1] == 0


async def test_clients_are_waited_for_besides_servers() -> None:
    gathering = ClientGathering(ROOT)
    gathering.here([Sid("1")])
    gathering.expect(2)
    gathering.answer(A, [Sid("2"), Sid("3")])
    gathering.acknowledged("one", Sid("1"))
    gathering.acknowledged("two", Sid("2"))
    gathering.acknowledged("of Node's")
    gathering.answer(B, 2)
    assert not gathering.done.done()
    found = gathering.result((A, B))
    assert (found.silent, found.unknown, found.servers, found.complete) == ((Sid("3"),), 1, (), False)
    gathering.acknowledged("three", Sid("3"))
    assert not gathering.done.done()
    gathering.acknowledged("of Node's, too")
    assert gathering.done.done()
    assert gathering.result((A, B)).complete


async def test_a_server_that_does_not_say_how_many_it_asked_is_missing() -> None:
    gathering = ClientGathering(ROOT)
    gathering.here([])
    gathering.expect(3)
    gathering.answer(A, 0)
    found = gathering.result((A, B))
    assert (found.servers, found.unknown_servers, found.complete) == ((B,), 1, False)
