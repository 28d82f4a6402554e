"""Calling ``session_expired`` under asyncio; when, and for whom, is said by `recovery.flows.expiring`."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from adapter.background import Background
from adapter.hosts import Host
from adapter.seams import EioPacket
from recovery.aio.runtime import Runtime
from recovery.commands import Command
from recovery.driver import run_async
from recovery.flows.expiring import Terms, keep_looking, see_off
from recovery.flows.steps import FreeHands, RunHandler, SeeOff
from recovery.records import ExpiredSession, Pid

__all__ = ["ExpiredHandler", "Expiry"]

logger = logging.getLogger("recovery.expiry")

ExpiredHandler = Callable[[ExpiredSession], Any]  # returns nothing, or an awaitable

_HANDS = 16
"""Handlers that run at a time on one server."""


class Expiry:
    """Sees sessions off that have expired, on one server.

    Args:
        handler: the application's.
        terms: when to look.
    """

    def __init__(
        self,
        runtime: Runtime[EioPacket],
        background: Background,
        host: Host,
        handler: ExpiredHandler,
        terms: Callable[[], Terms],
    ) -> None:
        self._runtime = runtime
        self._background = background
        self._host = host
        self._handler = handler
        self._terms = terms
        self._seen_off: set[asyncio.Task[None]] = set()
        self._calls: dict[Pid, asyncio.Task[bool]] = {}

    async def watch(self) -> None:
        """Look for sessions that have expired, for ever."""
        await run_async(keep_looking(self._terms, secrets.SystemRandom().random), self._perform)

    async def _perform(self, command: Command[Any]) -> Any:  # the reply's type is the command's parameter
        match command:
            case FreeHands():
                return await self._free_hands(command)
            case SeeOff():
                return self._see_off(command.pid)
            case RunHandler():
                return await self._run_handler(command)
            case _:
                return await self._runtime.perform(command)

    async def _free_hands(self, step: FreeHands) -> int:
        if len(self._seen_off) == _HANDS:
            await asyncio.wait(self._seen_off, timeout=step.timeout, return_when=asyncio.FIRST_COMPLETED)
        return _HANDS - len(self._seen_off)

    def _see_off(self, pid: Pid) -> None:
        flow = see_off(pid, server=self._runtime.server, nonce=secrets.token_hex(16), terms=self._terms())
        task = self._background.start(run_async(flow, self._perform))
        self._seen_off.add(task)
        task.add_done_callback(self._seen_off.discard)

    async def _run_handler(self, step: RunHandler) -> bool | None:
        call = self._calls.get(step.pid)
        if call is None:
            call = self._calls[step.pid] = self._background.start(self._call(step.session))
        await asyncio.wait([call], timeout=step.timeout)
        if not call.done():
            return None
        self._calls.pop(step.pid, None)  # two attempts may have waited for it, if the store was away for long
        return call.result()

    async def _call(self, session: ExpiredSession) -> bool:
        try:
            await self._host.call(self._handler, session)
        except Exception:
            logger.exception("session_expired failed", extra={"event": "handler.failed", "sid": session.sid})
            self._runtime.meters.expired["raised"] += 1
            return False
        self._runtime.meters.expired["returned"] += 1
        return True
