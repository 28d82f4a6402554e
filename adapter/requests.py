"""Questions of this server that another server, or a client of one, answers through the stream."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from adapter.hosts import Host

__all__ = ["Requests"]

logger = logging.getLogger("recovery.requests")

_MOST_CALLBACKS = 100_000
"""Callbacks that may wait for a client; the oldest goes first, as no acknowledgement ever has a deadline."""


class Requests:
    """What this server waits for, by request id."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._callbacks: OrderedDict[str, Callable[..., Any]] = OrderedDict()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @contextmanager
    def expecting(self, callback: Callable[..., Any] | None) -> Generator[str | None, None, None]:
        """Remember the callback of an emit, unless that fails; the id under which it is acknowledged."""
        if callback is None:
            yield None
            return
        request_id = secrets.token_hex(8)
        self._callbacks[request_id] = callback
        if len(self._callbacks) > _MOST_CALLBACKS:
            self._callbacks.popitem(last=False)
        try:
            yield request_id
        except BaseException:
            self._callbacks.pop(request_id, None)
            raise

    async def acknowledge(self, request_id: str, args: Sequence[Any]) -> None:
        """Call the callback of an emit, once; later acknowledgements are ignored."""
        callback = self._callbacks.pop(request_id, None)
        if callback is None:
            logger.debug(
                "acknowledgement %s is not expected", request_id, extra={"event": "answer.unexpected"}
            )
            return
        await self._host.call(callback, *args)

    async def ask(
        self, request_id: str, sending: Awaitable[object], patience: float
    ) -> dict[str, Any] | None:
        """Send a question and wait for its answer; None after `patience` seconds."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        try:
            async with asyncio.timeout(patience):
                await sending
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._answers[request_id]

    def answer(self, request_id: str, data: dict[str, Any]) -> None:
        """Pass an answer to whoever waits for it, if anybody does."""
        waiting = self._answers.get(request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(data)
