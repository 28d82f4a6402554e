"""Sessions that wait for a store that is away: each for its time, however long the queue is."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from recovery.aio import session_writer
from recovery.aio.session_writer import SessionWriter
from recovery.commands import Saved
from recovery.errors import SaveError, StoreError, StoreUnavailableError
from recovery.records import Pid
from tests.contract.builders import save
from tests.interleavings.clock import stopped_clock
from tests.interleavings.harness import settle


class Away:
    """A store that refuses until it is back; counts how often each session was sent."""

    def __init__(self) -> None:
        self.is_back = False
        self.sent: dict[Pid, int] = {}

    async def execute(self, command: Any) -> Any:
        raise AssertionError("sessions are written many at a time")

    async def execute_many(self, commands: Sequence[Any]) -> list[Any | StoreError]:
        for command in commands:
            self.sent[command.pid] = self.sent.get(command.pid, 0) + 1
        error = StoreUnavailableError("away", maybe_applied=False)
        return [Saved() if self.is_back else error for _ in commands]

    async def close(self) -> None:
        pass


async def test_who_waits_behind_a_batch_that_fails_does_not_wait_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_writer, "_LARGEST_BATCH", 1)
    store = Away()
    writer = SessionWriter(store, timeout=5.0)
    with stopped_clock() as clock:
        pids = [Pid("first"), Pid("second"), Pid("third")]
        writes = [asyncio.create_task(writer.write(save(pid=pid))) for pid in pids]
        await settle()
        assert set(store.sent) == {"first"}
        clock.advance(5.0)
        await settle()
        for write in writes:
            assert isinstance(write.exception(), SaveError)
        assert store.sent[pids[1]] == store.sent[pids[2]] == 1
        store.is_back = True
        assert await writer.write(save(pid=Pid("first"))) == Saved()
