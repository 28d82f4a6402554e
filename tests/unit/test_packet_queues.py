"""A packet queue does what an `asyncio.Queue` does, where python-engineio uses one."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.packet_queues import PacketQueue

steps = st.lists(
    st.sampled_from(["put", "put None", "get", "take", "done", "wait", "cancel", "turn"]), max_size=40
)


@given(steps)
def test_it_does_what_a_queue_of_asyncio_does(played: list[str]) -> None:
    ours = asyncio.run(_played(PacketQueue, played))
    assert ours == asyncio.run(_played(_Reference, played))


class _Reference(asyncio.Queue[Any]):
    """With `take` as python-engineio's poll has it, but for a `None` that stays where it is."""

    def take(self) -> list[Any]:
        first = self.get_nowait()
        taken: list[Any] = [] if first is None else [first]
        while taken and self.qsize() and self._queue[0] is not None:  # type: ignore[attr-defined]
            taken.append(self.get_nowait())
        for _ in range(len(taken) or 1):
            self.task_done()
        return taken


async def _played(kind: Callable[[], Any], steps: list[str]) -> list[object]:
    """What is seen of a queue from outside, each step in a turn of the loop."""
    queue, player = kind(), _Player()
    for number, step in enumerate(steps):
        await player.play(queue, step, number)
    player.end()
    return player.seen


class _Player:
    """Plays steps, and notes what they show."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self._getting: asyncio.Task[Any] | None = None  # one: of several, ours serves the fastest
        self._joining: asyncio.Task[None] | None = None

    async def play(self, queue: Any, step: str, number: int) -> None:
        try:
            self._act(queue, step, number)
        except (asyncio.QueueEmpty, ValueError) as error:
            self.seen.append(type(error))
        self._joining = self._joining or asyncio.create_task(queue.join())
        for _ in range(4):
            await asyncio.sleep(0)
        if self._getting is not None and self._getting.done():
            self.seen.append(("waited for", self._getting.result()))
            self._getting = None
        self.seen.append((queue.empty(), queue.qsize(), self._joining.done()))
        if self._joining.done():
            self._joining = None

    def _act(self, queue: Any, step: str, number: int) -> None:
        match step:
            case "put" | "put None":
                queue.put_nowait(number if step == "put" else None)
            case "get":
                self.seen.append(queue.get_nowait())
            case "take":
                self.seen.append(queue.take())
            case "done":
                queue.task_done()
            case "wait" if self._getting is None:
                self._getting = asyncio.create_task(queue.get())
            case "cancel" if self._getting is not None:
                self._getting.cancel()
                self._getting = None
            case _:
                pass

    def end(self) -> None:
        for task in (self._getting, self._joining):
            if task is not None:
                task.cancel()


async def test_everybody_who_waits_gets_a_packet() -> None:
    queue = PacketQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for packet in range(3):
        queue.put_nowait(packet)
    assert sorted(await asyncio.gather(*waiting)) == [0, 1, 2]


async def test_a_packet_is_not_lost_with_one_who_was_cancelled_as_it_came() -> None:
    queue = PacketQueue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.put_nowait("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_ends_the_waiting() -> None:
    queue = PacketQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert queue.is_awaited()
    queue.end_waiting(TimeoutError("too late"))
    with pytest.raises(TimeoutError, match="too late"):
        await waiting
    assert not queue.is_awaited()
