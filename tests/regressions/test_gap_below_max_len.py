"""Entries that a small ``max_len`` trimmed before they were read were lost without a word.

Continuity was proven only when a batch came back full. With ``max_len`` below ``read_count`` a batch can
never be full, so a burst longer than ``max_len`` between two reads left a gap that nobody saw.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from recovery.aio.runtime import Runtime
from recovery.commands import Append
from recovery.core.dispatcher import Dispatcher
from recovery.core.effects import Effect
from recovery.core.meters import Meters
from recovery.entries import PayloadCodec
from recovery.flows.steps import Vacate
from recovery.records import Epoch
from recovery.settings import Settings
from recovery.stores.memory import AsyncMemoryStore, MemoryState
from tests.unit.builders import HERE, THERE, Frame, Frames, event
from tests.waiting import async_wait_until


class _FrontEnd:
    def __init__(self) -> None:
        self.interrupted = 0

    def carry_out(self, effects: Sequence[Effect[Frame]]) -> None: ...

    async def vacate(self, step: Vacate) -> bool:
        return True

    def interrupt(self, dispatcher: Dispatcher[Frame]) -> None:
        self.interrupted += 1


@asynccontextmanager
async def _running(
    state: MemoryState, front_end: _FrontEnd, settings: Settings
) -> AsyncGenerator[Runtime[Frame]]:
    runtime: Runtime[Frame] = Runtime(
        store := AsyncMemoryStore(state),
        settings,
        PayloadCodec(),
        Frames(),
        front_end,
        server=HERE,
        retention_ms=lambda: 60_000,
        meters=Meters(),
    )
    await runtime.start()
    yield runtime
    await runtime.close()
    await store.close()


async def test_a_burst_longer_than_the_stream_may_be_is_noticed() -> None:
    state, front_end = MemoryState(), _FrontEnd()
    async with _running(state, front_end, Settings(max_len=10, read_count=1000)) as runtime:
        await asyncio.sleep(0)  # the reader waits for entries
        at_first = front_end.interrupted  # whoever was let in before the stream was open
        for number in range(100):
            state.execute(Append(THERE, number + 1, (event(f"e{number}"),), Epoch("e"), 60_000, 10))
        last = state.execute(Append(THERE, 101, (event("last"),), Epoch("e"), 60_000, 10)).offsets[0]

        async def caught_up() -> bool:
            return runtime.dispatcher.position == last

        await async_wait_until(caught_up)

    assert front_end.interrupted - at_first == 1
