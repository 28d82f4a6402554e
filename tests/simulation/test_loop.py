"""The event loop of the simulation: time that jumps, processes that stop."""

import asyncio
import secrets
import time

import pytest

from recovery.testing.loop import Deadlock, VirtualLoop


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop.make(seed=1)


def test_time_passes_without_waiting(loop: VirtualLoop) -> None:
    started = time.monotonic()

    assert loop.run_until_complete(asyncio.sleep(86_400, "tomorrow")) == "tomorrow"

    assert loop.time() == 86_400
    assert time.monotonic() - started < 60


def test_callbacks_run_in_the_order_in_which_they_are_due(loop: VirtualLoop) -> None:
    seen: list[str] = []
    loop.call_later(2, seen.append, "second")
    loop.call_later(1, seen.append, "first")
    loop.call_later(2, seen.append, "third")

    loop.run_for(3)

    assert seen == ["first", "second", "third"]


def test_what_is_cancelled_is_not_called(loop: VirtualLoop) -> None:
    seen: list[str] = []
    loop.call_later(1, seen.append, "no").cancel()

    loop.run_for(2)

    assert seen == []


def test_a_wait_for_nothing_is_found(loop: VirtualLoop) -> None:
    with pytest.raises(Deadlock, match=r"Event\.wait"):
        loop.run_until_complete(asyncio.Event().wait())


def test_timeouts_are_virtual(loop: VirtualLoop) -> None:
    async def wait_in_vain() -> None:
        async with asyncio.timeout(45):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(wait_in_vain())
    assert loop.time() == 45


def test_what_nobody_catches_is_noted(loop: VirtualLoop) -> None:
    loop.call_soon(int, "x")

    loop.run_for(1)

    assert len(loop.errors) == 1
    assert "ValueError" in loop.errors[0]


class Ticks:
    """A task that notes the time once a second."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.seen: list[float] = []
        self._loop = loop

    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.seen.append(self._loop.time())


def test_a_frozen_process_runs_nothing_until_it_is_thawed(loop: VirtualLoop) -> None:
    frozen, other = Ticks(loop), Ticks(loop)
    process = loop.process("frozen")
    loop.start(process, frozen.run())
    loop.start(loop.process("other"), other.run())
    loop.run_for(2.5)

    loop.freeze(process)
    loop.run_for(10)
    assert frozen.seen == [1, 2]
    assert len(other.seen) == 12

    loop.thaw(process)
    loop.run_for(1)
    assert frozen.seen == [1, 2, 12.5, 13.5], "what was due comes late, and once"


def test_a_killed_process_never_runs_again_and_cleans_nothing_up(loop: VirtualLoop) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("cleaned up")

    process = loop.process("killed")
    loop.start(process, work())
    loop.run_for(0.5)

    loop.kill(process)
    loop.run_for(100)

    assert seen == []


def test_a_task_belongs_to_the_process_that_starts_it(loop: VirtualLoop) -> None:
    ticks = Ticks(loop)

    async def start_another() -> None:
        loop.create_task(ticks.run(), name="child")

    process = loop.process("parent")
    loop.start(process, start_another())
    loop.run_for(1.5)
    loop.kill(process)
    loop.run_for(5)

    assert ticks.seen == [1]


def test_randomness_is_the_loops_inside_and_real_outside(loop: VirtualLoop) -> None:
    async def draw() -> str:
        return secrets.token_hex(8) + secrets.token_urlsafe(8)

    def drawn(seed: int) -> str:
        result: str = VirtualLoop.make(seed=seed).run_until_complete(draw())
        return result

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert secrets.token_hex(8) != secrets.token_hex(8)


def test_ending_a_loop_leaves_no_task(loop: VirtualLoop) -> None:
    killed, frozen = loop.process("killed"), loop.process("frozen")
    for process in (killed, frozen, loop.process("running")):
        loop.start(process, Ticks(loop).run())
    loop.run_for(1.5)
    loop.kill(killed)
    loop.freeze(frozen)

    loop.end()

    assert asyncio.all_tasks(loop) == set()
    assert loop.errors == []
