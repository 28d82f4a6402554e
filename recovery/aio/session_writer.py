"""Saving sessions under asyncio: writes are sent in order, many in one round trip.

Only the newest write of a session under one claim is sent when several wait, and all who wait are told its
outcome. Writes under different claims are never merged: an old connection's last word may come after the
new one's first, and each has an outcome of its own. Nor is anything merged into a session's end.

Before a session goes the note when to look whether it has expired, if there is one: a note without a session
does no harm.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import cast

from recovery.aio.flusher import Flusher
from recovery.commands import AsyncStore, Command, Overtaken, Saved, SaveSession
from recovery.core.meters import Meters
from recovery.core.saving import deadline_note
from recovery.errors import SaveError, StoreError, StoreUnavailableError
from recovery.records import HolderState, Pid

__all__ = ["SessionWriter"]

logger = logging.getLogger("recovery.sessions")

_LARGEST_BATCH = 500  # sessions a round trip
_PAUSE = 0.05  # seconds between two attempts


@dataclass(slots=True)
class _Write:
    """A session that waits to be written.

    Attributes:
        waiters: who is told the outcome.
        since: when the last of them began to wait, on the loop's clock.
    """

    command: SaveSession
    waiters: list[asyncio.Future[Saved | Overtaken]]
    since: float


class SessionWriter:
    """Writes the sessions of one process.

    Args:
        store: where to.
        timeout: seconds after which a write that the store has not confirmed fails.
        meters: count the outcomes.
    """

    def __init__(self, store: AsyncStore, *, timeout: float, meters: Meters | None = None) -> None:
        self._store = store
        self._timeout = timeout
        self._meters = Meters() if meters is None else meters
        self._waiting: dict[tuple[Pid, int, str, bool], _Write] = {}
        self._flusher = Flusher(self._flush, "recovery.sessions")

    async def write(self, command: SaveSession) -> Saved | Overtaken:
        """Write a session; return once it is durable, or refused because of its claim number.

        Raises:
            SaveError: the store did not confirm it; it may be in force all the same.
        """
        return await self.begin(command)

    def begin(self, command: SaveSession) -> asyncio.Future[Saved | Overtaken]:
        """Begin to write a session; the future has what `write` returns or raises."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Saved | Overtaken] = loop.create_future()
        key = (command.pid, command.number, command.nonce, command.state is HolderState.ENDED)
        write = self._waiting.get(key)
        if write is None:
            write = self._waiting[key] = _Write(command, [], loop.time())
        else:
            write.command, write.since = _newest(write.command, command), loop.time()
        write.waiters.append(outcome)
        self._flusher.start()
        return outcome

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        await self._flusher.finish()

    async def _flush(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:_LARGEST_BATCH]
            await self._send([self._waiting.pop(key) for key in keys])

    async def _send(self, writes: list[_Write]) -> None:
        """Send writes until each has an outcome, or is late; repeating one is harmless."""
        loop = asyncio.get_running_loop()
        while writes:
            outcomes = await self._execute([write.command for write in writes])
            oldest = loop.time() + _PAUSE - self._timeout
            again: list[_Write] = []
            for write, outcome in zip(writes, outcomes, strict=True):
                if isinstance(outcome, StoreUnavailableError) and write.since >= oldest:
                    again.append(write)
                else:
                    self._meters.saves[_word_for(outcome)] += 1
                    _tell(write, outcome)
            writes = again
            if writes:
                await asyncio.sleep(_PAUSE)

    async def _execute(self, commands: list[SaveSession]) -> list[Saved | Overtaken | StoreError]:
        notes = [note for note in map(deadline_note, commands) if note is not None]
        everything: list[Command[Saved | Overtaken | None]] = [*notes, *commands]
        try:
            outcomes = await self._store.execute_many(everything)
        except Exception as exc:  # noqa: BLE001 - a defect of the store; those who wait are told
            error = StoreError(f"the store failed: {exc!r}")
            error.__cause__ = exc
            return [error] * len(commands)
        for outcome in outcomes[: len(notes)]:
            if isinstance(outcome, StoreError):
                logger.warning("a deadline is not noted: %s", outcome, extra={"event": "expiry.failed"})
                break  # the others failed for the same reason
        # A reply's type is its command's parameter: after the notes come those of saves.
        return cast(list[Saved | Overtaken | StoreError], outcomes[len(notes) :])


def _newest(older: SaveSession, newer: SaveSession) -> SaveSession:
    """One command that does what both do, in order."""
    return replace(
        newer,
        value=older.value if newer.value is None else newer.value,
        create=older.create or newer.create,
    )


def _word_for(outcome: Saved | Overtaken | StoreError) -> str:
    if isinstance(outcome, StoreError):
        return "failed"
    return "saved" if isinstance(outcome, Saved) else "overtaken"


def _tell(write: _Write, outcome: Saved | Overtaken | StoreError) -> None:
    for waiter in write.waiters:
        if waiter.done():
            continue
        if isinstance(outcome, StoreError):
            error = SaveError(f"the store did not confirm the session: {outcome}")
            error.__cause__ = outcome
            waiter.set_exception(error)
        else:
            waiter.set_result(outcome)
