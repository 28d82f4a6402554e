"""Callbacks and `call`: across servers, across reconnections, never replayed, never misrouted."""

import asyncio
from typing import Any

import pytest
from socketio.exceptions import TimeoutError as NoAnswerError

from tests.interleavings.harness import World, settle, until


@pytest.mark.parametrize("local", [False, True], ids=["stream", "ignore_queue"])
async def test_call_on_the_same_server(world: World, local: bool) -> None:
    server = world.server()
    client = await world.connected(server)
    assert await server.sio.call("ask", 7, to=client.sid, timeout=5, ignore_queue=local) == ("ack", 7)
    assert client.got("ask") == [7]


async def test_call_to_a_client_of_another_server(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    assert await two.sio.call("ask", 7, to=client.sid, timeout=5) == ("ack", 7)
    assert client.got("ask") == [7]


async def test_a_question_is_not_asked_again_after_a_reconnection(world: World) -> None:
    one, two = world.server(), world.server()
    client = await world.connected(one)
    answers: list[Any] = []

    def answered(*args: Any) -> None:
        answers.append(args)

    client.cut()
    await settle()
    await one.sio.emit("ask", 1, to=client.sid, callback=answered)
    await one.sio.emit("n", 1)
    await world.connect(client, two)
    await settle()
    assert client.got("ask") == []
    assert client.got("n") == [1]
    assert answers == []


async def test_an_answer_that_comes_after_the_move_reaches_nobody_else(world: World) -> None:
    """The client answers on its new connection what it was asked on the old one."""
    one, two = world.server(), world.server()
    client = await world.connected(one)
    answers: list[tuple[str, tuple[Any, ...]]] = []

    def first(*args: Any) -> None:
        answers.append(("first", args))

    def second(*args: Any) -> None:
        answers.append(("second", args))

    client.held_back = []
    await one.sio.emit("ask", 1, to=client.sid, callback=first)
    await settle()
    late, client.held_back = client.held_back, None
    assert late
    client.cut()
    await world.connect(client, two)
    await two.sio.emit("ask", 2, to=client.sid, callback=second)
    for frame in late:
        client.transport.send(frame)
    await until(lambda: answers)
    await settle()
    assert [name for name, args in answers if args == ("ack", 2)] == ["second"]
    assert ("second", ("ack", 1)) not in answers


async def test_an_event_of_the_client_is_answered_while_it_recovers(world: World) -> None:
    server = world.server()
    got: list[Any] = []

    async def hello(sid: str, value: int) -> str:
        got.append(value)
        return "answer"

    server.sio.on("hello", hello)
    client = await world.connected(server)
    client.emit("hello", 1)
    await settle()
    client.cut()
    await world.connect(client, server)
    client.emit("hello", 2)
    await settle()
    assert got == [1, 2]


async def test_call_while_the_client_is_away_times_out(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.cut()
    await settle()
    with pytest.raises(NoAnswerError):
        await server.sio.call("ask", 1, to=client.sid, timeout=1)
    await asyncio.sleep(0)
