"""Emits that wait for the store: in order, each for its time, and not more than fit."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recovery.aio.publisher import Publisher
from recovery.commands import Append, Appended, Command
from recovery.errors import PublishError, StoreUnavailableError
from recovery.flows.steps import Clock, Pause
from recovery.records import Draft, Epoch, ServerId
from tests.contract.builders import draft
from tests.interleavings.clock import stopped_clock
from tests.interleavings.harness import settle
from tests.unit.builders import at


class Script:
    """A store that answers when the test lets it, and pauses of no length."""

    def __init__(self) -> None:
        self.appended: list[Draft] = []
        self.attempts = 0
        self.may_answer = asyncio.Event()
        self.error: StoreUnavailableError | None = None

    async def perform(self, command: Command[Any]) -> Any:
        match command:
            case Clock():
                return asyncio.get_running_loop().time()
            case Pause():
                return await asyncio.sleep(0)
            case Append():
                self.attempts += 1
                await self.may_answer.wait()
                if self.error is not None:
                    raise self.error
                self.appended += command.drafts
                offsets = tuple(at(command.sequence + number) for number in range(len(command.drafts)))
                return Appended(Epoch("e"), offsets, cut_into_window=False)
            case _:
                raise AssertionError(command)


def _publisher(script: Script, *, max_waiting_bytes: int = 1_000_000) -> Publisher:
    return Publisher(
        script.perform,
        ServerId("one"),
        new_epoch=lambda: Epoch("e"),
        retention_ms=lambda: 1000,
        max_len=None,
        timeout=5.0,
        max_waiting_bytes=max_waiting_bytes,
        on_appended=lambda _: None,
    )


async def _begun(*emits: Callable[[], Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(emit()) for emit in emits]
    await settle()
    return tasks


async def test_who_waited_too_long_for_a_turn_is_told_without_another_attempt() -> None:
    script = Script()
    publisher = _publisher(script)
    with stopped_clock() as clock:
        [first] = await _begun(lambda: publisher.publish(draft(b"1")))
        [second] = await _begun(lambda: publisher.publish(draft(b"2")))
        clock.advance(4.0)
        [third] = await _begun(lambda: publisher.publish(draft(b"3")))
        clock.advance(1.0)
        script.may_answer.set()
        assert await first == at(1)
        with pytest.raises(PublishError, match="was not stored") as caught:
            await second
        assert caught.value.maybe_stored is False
        assert await third == at(2)
    assert script.appended == [draft(b"1"), draft(b"3")]
    assert script.attempts == 2


async def test_more_than_fits_is_refused_at_once_and_later_accepted() -> None:
    script = Script()
    publisher = _publisher(script, max_waiting_bytes=10_000)
    waiting = await _begun(*[lambda: publisher.publish(draft(b"x" * 1000))] * 4)
    with pytest.raises(PublishError, match="max_waiting_bytes is 10000") as caught:
        await publisher.publish(draft(b"x" * 1000))
    assert caught.value.maybe_stored is False
    script.may_answer.set()
    assert await asyncio.gather(*waiting) == [at(number) for number in range(1, 5)]
    assert await publisher.publish(draft(b"x" * 1000)) == at(5)
    assert len(script.appended) == 5


async def test_what_failed_takes_no_room() -> None:
    script = Script()
    script.error = StoreUnavailableError("away", maybe_applied=False)
    script.may_answer.set()
    publisher = _publisher(script, max_waiting_bytes=3_000)
    with stopped_clock() as clock:
        for _ in range(3):
            [emit] = await _begun(lambda: publisher.publish(draft(b"x" * 1000)))
            clock.advance(6.0)
            with pytest.raises(PublishError):
                await emit
