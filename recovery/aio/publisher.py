"""Publishing under asyncio: emits of one turn of the loop go out together, one batch at a time, in order.

While the store is away they wait, in order, each for its time; how much may wait is bounded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from recovery.aio.flusher import Flusher
from recovery.commands import Append, Appended, Command
from recovery.driver import run_async
from recovery.errors import PublishError
from recovery.flows.publishing import publish
from recovery.offsets import Offset
from recovery.records import Draft, Epoch, ServerId

__all__ = ["Publisher"]

_LARGEST_BATCH = 500  # entries; keeps one script call well under a millisecond of the store's time
_COST = 1024  # bytes that a waiting emit takes besides its data, about


@dataclass(slots=True)
class _Emit:
    """An entry that waits.

    Attributes:
        size: bytes of memory.
        since: when it was emitted, on the loop's clock.
    """

    draft: Draft
    confirmed: asyncio.Future[Offset]
    size: int
    since: float


class Publisher:
    """Appends the entries of one process.

    Args:
        perform: carries out commands (the runtime, which says what is `known` in an `Append`).
        producer: identity of this process; not shared across a fork.
        new_epoch: makes a random epoch, in case that the stream has vanished.
        retention_ms: see `Append`.
        max_len: see `Append`.
        timeout: seconds after which an unconfirmed entry fails.
        max_waiting_bytes: bytes of memory that unconfirmed entries may take.
        on_appended: told of every batch that was stored, before its emitters are.

    Attributes:
        waiting_bytes: of memory that unconfirmed entries take now.
    """

    def __init__(
        self,
        perform: Callable[[Command[Any]], Awaitable[Any]],
        producer: ServerId,
        *,
        new_epoch: Callable[[], Epoch],
        retention_ms: Callable[[], int],
        max_len: int | None,
        timeout: float,
        max_waiting_bytes: int,
        on_appended: Callable[[Appended], None],
    ) -> None:
        self._perform = perform
        self._producer = producer
        self._new_epoch = new_epoch
        self._retention_ms = retention_ms
        self._max_len = max_len
        self._timeout = timeout
        self._max_waiting_bytes = max_waiting_bytes
        self._on_appended = on_appended
        self._waiting: deque[_Emit] = deque()
        self.waiting_bytes = 0
        self._sequence = 1
        self._flusher = Flusher(self._flush, "recovery.publisher")

    async def publish(self, draft: Draft) -> Offset:
        """Append an entry after all earlier ones; return its offset once it is stored.

        Raises:
            PublishError: it was not confirmed, or too much is waiting already.
        """
        loop = asyncio.get_running_loop()
        emit = _Emit(draft, loop.create_future(), draft.size() + _COST, loop.time())
        if self.waiting_bytes + emit.size > self._max_waiting_bytes:
            raise PublishError(
                f"the packet was not stored: {self.waiting_bytes} bytes wait for the store already"
                f" (max_waiting_bytes is {self._max_waiting_bytes})",
                maybe_stored=False,
            )
        self.waiting_bytes += emit.size
        self._waiting.append(emit)
        self._flusher.start()
        return await emit.confirmed

    async def drain(self) -> None:
        """Wait until nothing is left to append."""
        await self._flusher.finish()

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            try:
                await self._append_in_time(batch)
            finally:
                self.waiting_bytes -= sum(emit.size for emit in batch)

    async def _append_in_time(self, batch: list[_Emit]) -> None:
        """Append what has not waited too long for its turn; the rest certainly was not stored."""
        now = asyncio.get_running_loop().time()
        late = [emit for emit in batch if now - emit.since >= self._timeout]
        error = PublishError(
            f"the packet was not stored: the store did not answer for {self._timeout} s", maybe_stored=False
        )
        _fail(late, error)
        if len(late) < len(batch):
            in_time = batch[len(late) :]  # they are in the order of their age
            await self._append(in_time, patience=self._timeout - (now - in_time[0].since))

    async def _append(self, batch: list[_Emit], *, patience: float) -> None:
        command = Append(
            self._producer,
            self._sequence,
            tuple(emit.draft for emit in batch),
            self._new_epoch(),
            self._retention_ms(),
            self._max_len,
        )
        self._sequence += len(batch)
        try:
            appended = await run_async(publish(command, timeout=patience), self._perform)
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait are told
            _fail(batch, exc)
            return
        self._on_appended(appended)
        for offset, emit in zip(appended.offsets, batch, strict=True):
            if not emit.confirmed.done():
                emit.confirmed.set_result(offset)


def _fail(batch: list[_Emit], error: Exception) -> None:
    for emit in batch:
        if not emit.confirmed.done():
            emit.confirmed.set_exception(error)
