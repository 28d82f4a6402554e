"""Emits while the store fails: the error says what may have happened, and the order holds all the same."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recovery.commands import Append, Command
from recovery.errors import EncodingError, PublishError, StoreUnavailableError
from tests.interleavings.harness import HeldStore, Server, World, settle, until


class _Failing:
    """Makes appends of one server fail, some after they were carried out."""

    def __init__(self, store: HeldStore) -> None:
        self.plan: Callable[[int], str] = lambda _: "works"
        self.attempts = 0
        self._execute = store.execute
        store.execute = self.execute  # type: ignore[method-assign]  # that is the point

    async def execute(self, command: Command[Any]) -> Any:
        if not isinstance(command, Append):
            return await self._execute(command)
        self.attempts += 1
        fate = self.plan(self.attempts)
        if fate == "lost":
            raise StoreUnavailableError("it did not arrive", maybe_applied=False)
        reply = await self._execute(command)
        if fate == "reply lost":
            raise StoreUnavailableError("no reply", maybe_applied=True)
        return reply


def _failing(world: World, **options: Any) -> tuple[Server, _Failing]:
    server = world.server(**options)
    return server, _Failing(server.store)


def _nobody(*_args: Any) -> None:
    pass


@pytest.mark.parametrize("fate", ["lost", "reply lost"])
async def test_an_emit_is_tried_again_and_stored_once(world: World, fate: str) -> None:
    server, failing = _failing(world)
    client = await world.connected(server)
    failing.plan = lambda attempt: fate if attempt <= 3 else "works"
    await asyncio.gather(*(server.sio.emit("n", number) for number in range(5)))
    await server.sio.emit("n", 5)
    await settle()
    assert client.got("n") == list(range(6))


@pytest.mark.parametrize(
    ("fates", "maybe"),
    [
        (["lost"], False),
        (["reply lost"], True),
        (["lost", "reply lost"], True),
        (["reply lost", "lost"], True),
    ],
    ids=str,
)
async def test_an_emit_that_is_given_up(world: World, fates: list[str], maybe: bool) -> None:
    server, failing = _failing(world, publish_timeout=0.1)
    client = await world.connected(server)
    await server.sio.emit("n", 0)
    failing.attempts = 0
    failing.plan = lambda attempt: fates[min(attempt, len(fates)) - 1]
    results = await asyncio.gather(
        *(server.sio.emit("n", number) for number in (1, 2)), return_exceptions=True
    )
    for result in results:
        assert isinstance(result, PublishError)
        assert result.maybe_stored is maybe
    failing.plan = lambda _: "works"
    for number in (3, 4):
        await server.sio.emit("n", number)
    await settle()
    assert client.got("n") == ([0, 1, 2, 3, 4] if maybe else [0, 3, 4])
    client.cut()
    await settle()
    await server.sio.emit("n", 5)
    await world.connect(client, server)
    assert client.got("n")[-3:] == [3, 4, 5]
    assert len(client.got("n")) == len(set(client.got("n")))


async def test_a_batch_that_arrives_after_it_was_given_up(world: World) -> None:
    """Later emits are in the stream already: it must not come behind them."""
    server = world.server(publish_timeout=0.05)
    client = await world.connected(server)
    late: list[Append] = []
    execute = server.store.execute

    async def lose(command: Command[Any]) -> Any:
        if isinstance(command, Append):
            late.append(command)
            raise StoreUnavailableError("no reply", maybe_applied=True)
        return await execute(command)

    server.store.execute = lose  # type: ignore[method-assign]  # that is the point
    with pytest.raises(PublishError) as raised:
        await server.sio.emit("n", 1)
    assert raised.value.maybe_stored
    server.store.execute = execute  # type: ignore[method-assign]  # that is the point
    await server.sio.emit("n", 2)
    with pytest.raises(Exception, match="nothing was stored"):
        world.state.execute(late[0])
    await server.sio.emit("n", 3)
    await settle()
    assert client.got("n") == [2, 3]


async def test_an_emitter_that_is_cancelled_takes_no_other_with_it(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    gate = server.store.hold(Append)
    tasks = [asyncio.create_task(server.sio.emit("n", number)) for number in range(3)]
    await until(lambda: gate.waiting)
    tasks[1].cancel()
    gate.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.sio.emit("n", 3)
    await settle()
    assert [number for number in client.got("n") if number != 1] == [0, 2, 3]
    assert client.got("n") == sorted(set(client.got("n")))


@pytest.mark.parametrize(
    "data",
    [float("nan"), float("inf"), {"a": [1, float("-inf")]}, (1, float("nan")), [b"", float("nan")], object()],
    ids=["nan", "inf", "inf in a map", "nan among arguments", "nan beside binary", "an object"],
)
@pytest.mark.parametrize("how", ["all", "room", "volatile", "callback"])
async def test_what_cannot_be_sent_is_refused_and_not_stored(world: World, data: Any, how: str) -> None:
    server = world.server()
    client = await world.connected(server)
    before = len(world.state._stream.entries)
    choices: dict[str, dict[str, Any]] = {
        "all": {},
        "room": {"room": "r"},
        "volatile": {"volatile": True},
        "callback": {"to": client.sid, "callback": _nobody},
    }
    with pytest.raises(EncodingError):
        await server.manager.emit("n", data, **choices[how])
    assert len(world.state._stream.entries) == before
    assert not server.manager._process.requests._callbacks
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [1]


@pytest.mark.parametrize("data", ["NaN", {"Infinity": "-Infinity"}, {"a": 1.5}], ids=repr)
async def test_words_that_look_like_no_numbers_are_fine(world: World, data: Any) -> None:
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", data)
    await settle()
    assert client.got("n") == [data]
