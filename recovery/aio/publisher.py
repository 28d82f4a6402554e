"""Publishing under asyncio: emits of one turn of the loop go out together, one batch at a time, in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from recovery.aio.flusher import Flusher
from recovery.commands import Append, Appended, Command
from recovery.driver import run_async
from recovery.flows.publishing import publish
from recovery.offsets import Offset
from recovery.records import Draft, Epoch, ServerId

__all__ = ["Publisher"]

_LARGEST_BATCH = 500  # entries; keeps one script call well under a millisecond of the store's time


class Publisher:
    """Appends the entries of one process.

    Args:
        perform: carries out commands (the runtime).
        producer: identity of this process; not shared across a fork.
        new_epoch: makes a random epoch, in case that the stream has vanished.
        retention_ms: see `Append`.
        max_len: see `Append`.
        timeout: seconds after which an unconfirmed batch fails.
        on_appended: told of every batch that was stored, before its emitters are.
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
        on_appended: Callable[[Appended], None],
    ) -> None:
        self._perform = perform
        self._producer = producer
        self._new_epoch = new_epoch
        self._retention_ms = retention_ms
        self._max_len = max_len
        self._timeout = timeout
        self._on_appended = on_appended
        self._waiting: deque[tuple[Draft, asyncio.Future[Offset]]] = deque()
        self._sequence = 1
        self._flusher = Flusher(self._flush, "recovery.publisher")

    async def publish(self, draft: Draft) -> Offset:
        """Append an entry after all earlier ones; return its offset once it is stored.

        Raises:
            PublishError: it was not confirmed.
        """
        confirmed: asyncio.Future[Offset] = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, confirmed))
        self._flusher.start()
        return await confirmed

    async def drain(self) -> None:
        """Wait until nothing is left to append."""
        await self._flusher.finish()

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            await self._append(batch)

    async def _append(self, batch: list[tuple[Draft, asyncio.Future[Offset]]]) -> None:
        command = Append(
            self._producer,
            self._sequence,
            tuple(draft for draft, _ in batch),
            self._new_epoch(),
            self._retention_ms(),
            self._max_len,
        )
        self._sequence += len(batch)
        try:
            appended = await run_async(publish(command, timeout=self._timeout), self._perform)
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait are told
            for _, confirmed in batch:
                if not confirmed.done():
                    confirmed.set_exception(exc)
            return
        self._on_appended(appended)
        for offset, (_, confirmed) in zip(appended.offsets, batch, strict=True):
            if not confirmed.done():
                confirmed.set_result(offset)
