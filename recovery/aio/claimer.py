"""Claiming sessions under asyncio: claims of one turn of the loop go out together, and wait for no others.

With each batch goes one question whether the stream still has what this server knows of it: a claim that is
granted by a store that lost writes must not be believed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recovery.commands import (
    AsyncStore,
    Claimed,
    ClaimRefused,
    ClaimSession,
    Command,
    GetStream,
    ReadBack,
)
from recovery.core.dispatcher import Dispatcher
from recovery.errors import StoreError
from recovery.flows.reading import is_lost
from recovery.flows.steps import Claim
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Entry, StreamState

__all__ = ["Claimer"]

_GONE = ClaimRefused(Reason.EPOCH_CHANGED, "the stream is gone")


@dataclass(frozen=True, slots=True)
class _Claim:
    command: ClaimSession
    outcome: asyncio.Future[Claimed | ClaimRefused]


class Claimer:
    """Claims sessions for one server.

    Args:
        dispatcher: says what this server knows of the stream.
    """

    def __init__(self, store: AsyncStore, dispatcher: Dispatcher[Any]) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._waiting: list[_Claim] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def claim(self, step: Claim) -> Claimed | ClaimRefused:
        """Claim a session; raises `StoreError`."""
        loop = asyncio.get_running_loop()
        claim = _Claim(step.command, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(claim)
        return await claim.outcome

    def _send(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.create_task(self._settle(batch), name="recovery.claims")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, batch: Sequence[_Claim]) -> None:
        try:
            await self._claim_together(batch)
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait are told
            error = exc if isinstance(exc, StoreError) else StoreError(f"the store failed: {exc!r}")
            for claim in batch:
                _tell(claim, error)
        finally:
            for claim in batch:
                claim.outcome.cancel()  # the event loop is shut down; else it is done

    async def _claim_together(self, batch: Sequence[_Claim]) -> None:
        known = sorted({self._dispatcher.position, self._dispatcher.edge})
        commands: list[Command[Any]] = [claim.command for claim in batch]
        commands += [ReadBack(offset, 1) for offset in known]  # after the claims
        replies = await self._store.execute_many(commands)
        doubt = _doubt(known, replies[len(batch) :])
        state: StreamState | None = None
        is_bare = not replies[-1]  # all that is known was trimmed, or all is gone
        if is_bare:
            state = await self._store.execute(GetStream())
        for claim, reply in zip(batch, replies, strict=False):
            outcome = reply
            if isinstance(reply, Claimed):
                is_gone = is_bare and (state is None or state.epoch != claim.command.epoch)
                outcome = doubt or (_GONE if is_gone else reply)
            _tell(claim, outcome)


def _doubt(
    known: Sequence[Offset], found: Sequence[tuple[Entry, ...] | StoreError]
) -> ClaimRefused | StoreError | None:
    """What is to be said in place of "claimed", unless the stream has what this server knows of it."""
    for offset, newest in zip(known, found, strict=True):
        if isinstance(newest, StoreError):
            return newest
        if is_lost(offset, newest):
            return ClaimRefused(Reason.EPOCH_CHANGED, f"the stream has lost the entry {offset}")
    return None


def _tell(claim: _Claim, outcome: Claimed | ClaimRefused | StoreError) -> None:
    if claim.outcome.done():
        return
    if isinstance(outcome, StoreError):
        claim.outcome.set_exception(outcome)
    else:
        claim.outcome.set_result(outcome)
