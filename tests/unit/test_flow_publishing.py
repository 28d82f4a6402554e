"""A batch is in the stream when `publish` returns, or it raises and says whether it may be (promise P7)."""

from collections.abc import Callable
from typing import Any

import pytest

from recovery.commands import Append, Appended, Command
from recovery.driver import run, run_async
from recovery.errors import PublishError, StoreError, StoreUnavailableError
from recovery.flows.publishing import publish
from recovery.flows.steps import Clock, Pause
from recovery.records import Epoch
from tests.contract.builders import append
from tests.unit.builders import at

BATCH = append(b"one")
DONE = Appended(Epoch("e"), (at(1),), cut_into_window=False)
NEVER_SENT = StoreUnavailableError("refused", maybe_applied=False)
NO_REPLY = StoreUnavailableError("cut off", maybe_applied=True)


class Script:
    """A store that answers as written, and a clock that only pauses move."""

    def __init__(self, *answers: Appended | Exception, call_seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.call_seconds = call_seconds
        self.now = 100.0
        self.asked: list[Append] = []
        self.pauses: list[float] = []

    def perform(self, command: Command[Any]) -> Any:
        match command:
            case Clock():
                return self.now
            case Pause():
                self.pauses.append(command.seconds)
                self.now += command.seconds
                return None
            case Append():
                self.asked.append(command)
                self.now += self.call_seconds
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, Exception):
                    raise answer
                return answer
            case _:
                raise AssertionError(command)

    async def perform_async(self, command: Command[Any]) -> Any:
        return self.perform(command)


def _run(script: Script, timeout: float = 5.0) -> Appended:
    return run(publish(BATCH, timeout=timeout), script.perform)


def test_a_store_that_answers_is_asked_once() -> None:
    script = Script(DONE)
    assert _run(script) == DONE
    assert (script.asked, script.pauses) == ([BATCH], [])


@pytest.mark.parametrize("error", [NEVER_SENT, NO_REPLY])
def test_the_same_batch_is_repeated_until_it_is_confirmed(error: StoreUnavailableError) -> None:
    script = Script(error, error, error, DONE)
    assert _run(script) == DONE
    assert script.asked == [BATCH] * 4


def test_pauses_grow_and_stay_short() -> None:
    script = Script(*[NEVER_SENT] * 20, DONE)
    _run(script, timeout=60.0)
    assert script.pauses[:5] == [0.02, 0.04, 0.08, 0.16, 0.32]
    assert set(script.pauses[5:]) == {0.5}


@pytest.mark.parametrize(
    ("answers", "maybe_stored"),
    [
        ([NEVER_SENT], False),
        ([NO_REPLY], True),
        ([NO_REPLY, NEVER_SENT], True),  # one attempt that may have got through is enough
        ([NEVER_SENT, NO_REPLY, NEVER_SENT], True),
    ],
)
def test_after_the_timeout_the_emitter_is_told_whether_it_may_be_stored(
    answers: list[Exception], maybe_stored: bool
) -> None:
    script = Script(*answers)
    with pytest.raises(PublishError) as caught:
        _run(script, timeout=2.0)
    assert caught.value.maybe_stored is maybe_stored
    assert ("may have been stored" in str(caught.value)) is maybe_stored
    assert "within 2.0 s" in str(caught.value)
    assert isinstance(caught.value.__cause__, StoreUnavailableError)


def test_the_timeout_holds() -> None:
    script = Script(NEVER_SENT)
    with pytest.raises(PublishError):
        _run(script, timeout=2.0)
    assert 1.4 < script.now - 100.0 <= 2.0


def test_a_store_that_is_slow_to_fail_is_not_asked_beyond_the_timeout() -> None:
    script = Script(NO_REPLY, call_seconds=3.0)
    with pytest.raises(PublishError):
        _run(script, timeout=5.0)
    assert len(script.asked) == 2


@pytest.mark.parametrize("before", [[], [NEVER_SENT], [NO_REPLY]], ids=["first", "never sent", "no reply"])
def test_a_refusal_is_final_and_remembers_what_came_before(before: list[Exception]) -> None:
    script = Script(*before, StoreError("out of memory"), DONE)
    with pytest.raises(PublishError, match="out of memory") as caught:
        _run(script)
    assert caught.value.maybe_stored is (before == [NO_REPLY])
    assert len(script.asked) == len(before) + 1


async def test_it_is_the_same_under_asyncio() -> None:
    script = Script(NO_REPLY, DONE)
    assert await run_async(publish(BATCH, timeout=5.0), script.perform_async) == DONE
    assert script.asked == [BATCH] * 2


def _failing(error: Exception) -> Callable[[Command[Any]], Any]:
    def perform(command: Command[Any]) -> Any:
        raise error

    return perform


def test_a_driver_throws_what_it_cannot_perform_into_the_flow() -> None:
    with pytest.raises(LookupError):
        run(publish(BATCH, timeout=1.0), _failing(LookupError()))


async def test_so_does_the_other_driver() -> None:
    async def perform(command: Command[Any]) -> Any:
        raise LookupError

    with pytest.raises(LookupError):
        await run_async(publish(BATCH, timeout=1.0), perform)
