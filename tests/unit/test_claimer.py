"""Claims of one turn go out together, and each is answered for itself."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from recovery.aio.claimer import Claimer
from recovery.commands import Claimed, ClaimRefused, ClaimSession, GetStream, ReadBack
from recovery.errors import StoreError, StoreUnavailableError
from recovery.flows.steps import Claim
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Entry, Epoch, HolderState, Pid, ServerId, StreamState
from tests.contract.builders import claim
from tests.interleavings.harness import settle
from tests.unit.builders import make_dispatcher

HERE = Offset(5, 0)
GRANTED = Claimed(2, b"", ORIGIN, ServerId("other"), HolderState.AWAY, 0)
Answer = Callable[[ClaimSession], Claimed | ClaimRefused | StoreError]


class Store:
    """Answers claims as it is told, and has what it is told of the stream."""

    def __init__(self, answer: Answer = lambda _command: GRANTED) -> None:
        self.answer = answer
        self.newest: tuple[Entry, ...] | StoreError = (Entry(HERE, {}),)
        self.state: StreamState | None = None
        self.batches: list[list[Any]] = []

    async def execute(self, command: Any) -> Any:
        assert isinstance(command, GetStream)
        return self.state

    async def execute_many(self, commands: Sequence[Any]) -> list[Any]:
        self.batches.append(list(commands))
        return [self.newest if isinstance(each, ReadBack) else self.answer(each) for each in commands]

    async def close(self) -> None:
        pass


def _claimer(store: Store) -> Claimer:
    dispatcher = make_dispatcher()
    dispatcher.skip_to(HERE, Epoch("e"))
    return Claimer(store, dispatcher)


def _step(pid: str = "pid") -> Claim:
    return Claim(claim(pid=Pid(pid)))


async def test_claims_of_one_turn_share_a_round_trip_and_one_look_at_the_stream() -> None:
    store = Store()
    claimer = _claimer(store)
    await asyncio.gather(*(claimer.claim(_step(f"pid-{number}")) for number in range(3)))
    assert [[type(each) for each in batch] for batch in store.batches] == [[ClaimSession] * 3 + [ReadBack]]


async def test_a_claim_that_the_store_does_not_answer_holds_up_no_later_one() -> None:
    store = Store()
    claimer, answered = _claimer(store), asyncio.Event()
    execute_many = store.execute_many

    async def hang_once(commands: Sequence[Any]) -> list[Any]:
        store.execute_many = execute_many  # type: ignore[method-assign]
        await answered.wait()
        return await execute_many(commands)

    store.execute_many = hang_once  # type: ignore[method-assign]
    first = asyncio.create_task(claimer.claim(_step()))
    await settle()
    assert await claimer.claim(_step()) == GRANTED
    answered.set()
    assert await first == GRANTED


async def test_each_claim_has_its_own_answer() -> None:
    lost = StoreUnavailableError("away", maybe_applied=True)
    refused = ClaimRefused(Reason.DISCONNECTED)
    answers: dict[str, Claimed | ClaimRefused | StoreError] = {"a": GRANTED, "b": refused, "c": lost}
    claimer = _claimer(Store(lambda command: answers[command.pid]))
    claims = (claimer.claim(_step(pid)) for pid in answers)
    assert await asyncio.gather(*claims, return_exceptions=True) == list(answers.values())


async def test_a_store_that_lost_what_is_known_grants_nothing() -> None:
    store = Store(lambda command: GRANTED if command.pid == "a" else ClaimRefused(Reason.SESSION_EXPIRED))
    store.newest = (Entry(Offset(4, 0), {}),)
    claimer = _claimer(store)
    granted, refused = await asyncio.gather(claimer.claim(_step("a")), claimer.claim(_step("b")))
    assert granted == ClaimRefused(Reason.EPOCH_CHANGED, "the stream has lost the entry 5-0")
    assert refused == ClaimRefused(Reason.SESSION_EXPIRED)


@pytest.mark.parametrize(("epoch", "is_granted"), [(None, False), ("another", False), ("e", True)])
async def test_where_all_is_trimmed_the_epoch_decides(epoch: str | None, is_granted: bool) -> None:
    store = Store()
    store.newest = ()
    store.state = None if epoch is None else StreamState(Epoch(epoch), HERE, HERE, 0)
    outcome = await _claimer(store).claim(_step())
    assert outcome == (GRANTED if is_granted else ClaimRefused(Reason.EPOCH_CHANGED, "the stream is gone"))


async def test_a_claim_counts_for_nothing_while_the_stream_cannot_be_looked_at() -> None:
    store = Store()
    store.newest = StoreUnavailableError("away", maybe_applied=False)
    with pytest.raises(StoreUnavailableError):
        await _claimer(store).claim(_step())


async def test_a_defect_of_a_store_is_told_to_all_who_wait() -> None:
    def fail(_command: ClaimSession) -> Claimed:
        raise ValueError("a defect")

    claimer = _claimer(Store(fail))
    outcomes = await asyncio.gather(*(claimer.claim(_step()) for _ in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
