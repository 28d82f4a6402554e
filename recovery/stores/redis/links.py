"""One connection of either colour, and the rounds that travel on it.

1. Nothing is ever sent twice: retrying is for the caller, who knows what may be repeated.
2. A connection on which anything went wrong is dropped; the next call makes a new one.
3. One call at a time; only `close` may come in between, from anywhere.
4. A connection that ended while nothing was under way is replaced unnoticed. But who reads has to know of
   each interruption (`recovery.flows.reading`), so that the first call after one fails.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio import SSLConnection

from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis import faults
from recovery.stores.redis.connections import (
    ANSWER_TIMEOUT,
    Endpoint,
    async_connection,
    can_read,
    connect,
    sync_connection,
)
from recovery.stores.redis.protocol import Exchange, Wire, batch
from recovery.stores.redis.scripts import ScriptName
from recovery.stores.redis.wire import packed

__all__ = ["AsyncLink", "Link"]

R = TypeVar("R")

# What a round returns: replies of redis-py's parser, whose shapes only `protocol` knows.
Replies = list[Any]


class AsyncLink:
    """A connection for asyncio.

    Args:
        wait: longest time in seconds that a read on this link may be let wait by the server.
    """

    def __init__(self, endpoint: Endpoint, *, wait: float = 0.0) -> None:
        self._place = endpoint.place
        self._connection = async_connection(endpoint, wait=wait)
        self._is_encrypted = isinstance(self._connection, SSLConnection)
        self._reads = wait > 0
        self._patience = ANSWER_TIMEOUT + wait
        self._known: set[ScriptName] = set()
        self._connected = False
        self._closed = False

    async def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        try:
            await self._connect()
        except StoreError as error:
            return [error for _ in exchanges]
        rounds = batch(exchanges, self._known)
        try:
            requests = next(rounds)
            while True:
                requests = rounds.send(await self._round(requests))
        except StopIteration as done:
            results: list[R | StoreError] = done.value
            return results

    async def close(self) -> None:
        """Drop the connection, at once, and make no other; a call under way ends with an error.

        TLS ends with a word and an answer, for which this waits, within bounds: asyncio keeps the socket
        until then, and would complain of it if the event loop ended before.
        """
        self._closed = True
        await self._drop(wait=self._is_encrypted)

    async def _connect(self) -> None:
        self._check_open()
        if self._connected and await self._is_stale():
            await self._drop()
            if self._reads:
                raise _interrupted_error()
        if self._connected:
            return
        self._known.clear()
        try:
            await connect(self._connection, self._patience)
        except Exception as error:
            await self._drop()
            raise faults.not_sent(error, self._place) from error
        except BaseException:
            await self._drop()
            raise
        self._connected = True
        if self._closed:  # while it connected
            await self._drop()
            self._check_open()

    async def _is_stale(self) -> bool:
        """Tell whether the server hung up while nothing was under way: then nothing was lost."""
        try:
            return await can_read(self._connection)
        except faults.LOST:
            return True

    async def _round(self, requests: list[Wire]) -> Replies:
        replies: Replies = []
        try:
            async with asyncio.timeout(self._patience) as answer:
                await self._send(requests)
                while len(replies) < len(requests):
                    replies.append(await self._reply())
                    self._be_patient_again(answer)
        except faults.LOST as error:
            await self._drop()
            lost = _closed_error() if self._closed else faults.sent(error, self._place)
            replies.extend(lost for _ in range(len(requests) - len(replies)))
        except BaseException:
            await self._drop()  # replies may still be on their way
            raise
        return replies

    def _be_patient_again(self, answer: asyncio.Timeout) -> None:
        """Let the next answer have its time, too; not for each of many that come at once."""
        deadline, now = answer.when(), asyncio.get_running_loop().time()
        if deadline is not None and not answer.expired() and deadline - now < self._patience * 0.9:
            answer.reschedule(now + self._patience)

    async def _send(self, requests: list[Wire]) -> None:
        """Send requests, and end as a cancelled task must.

        redis-py (8.1) may send through `asyncio.wait_for`, which on Python 3.11 swallows a cancellation that
        comes just as the inner call completes (https://github.com/python/cpython/issues/86296). The task
        would go on, and `asyncio.run`, which cancels once, wait for it for ever. The test
        ``tests/regressions/test_exit_hangs.py`` shows when this can go.
        """
        cancellations = _cancellations()
        await self._connection.send_packed_command([packed(requests)], check_health=False)
        if _cancellations() > cancellations:
            raise asyncio.CancelledError

    async def _reply(self) -> Any:  # see Replies
        try:
            return await self._connection.read_response()
        except exceptions.ResponseError as error:
            return faults.answered(error)

    async def _drop(self, *, wait: bool = False) -> None:
        self._connected = False
        with contextlib.suppress(*faults.LOST):
            await self._connection.disconnect(nowait=not wait)

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()


class Link:
    """A connection for threads; see `AsyncLink`. Calls need a lock around them, `close` does not."""

    def __init__(self, endpoint: Endpoint, *, wait: float = 0.0) -> None:
        self._place = endpoint.place
        self._connection = sync_connection(endpoint, wait=wait)
        self._reads = wait > 0
        self._known: set[ScriptName] = set()
        self._connected = False
        self._closed = False

    def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        try:
            self._connect()
        except StoreError as error:
            return [error for _ in exchanges]
        rounds = batch(exchanges, self._known)
        try:
            requests = next(rounds)
            while True:
                requests = rounds.send(self._round(requests))
        except StopIteration as done:
            results: list[R | StoreError] = done.value
            return results

    def close(self) -> None:
        """Drop the connection, at once, and make no other; a call under way ends with an error."""
        self._closed = True
        self._drop()

    def _connect(self) -> None:
        self._check_open()
        if self._connected and self._is_stale():
            self._drop()
            if self._reads:
                raise _interrupted_error()
        if self._connected:
            return
        self._known.clear()
        try:
            self._connection.connect()
        except Exception as error:
            self._drop()
            raise faults.not_sent(error, self._place) from error
        except BaseException:
            self._drop()
            raise
        self._connected = True
        if self._closed:  # while it connected
            self._drop()
            self._check_open()

    def _is_stale(self) -> bool:
        """Tell whether the server hung up while nothing was under way: then nothing was lost."""
        try:
            return self._connection.can_read(timeout=0)
        except faults.LOST:
            return True

    def _round(self, requests: list[Wire]) -> Replies:
        replies: Replies = []
        try:
            self._connection.send_packed_command([packed(requests)], check_health=False)
            while len(replies) < len(requests):
                replies.append(self._reply())
        except Exception as error:
            self._drop()
            # `close` takes the socket from under redis-py's parser, which may then raise anything.
            if not (self._closed or isinstance(error, faults.LOST)):
                raise
            lost = _closed_error() if self._closed else faults.sent(error, self._place)
            replies.extend(lost for _ in range(len(requests) - len(replies)))
        except BaseException:
            self._drop()  # replies may still be on their way
            raise
        return replies

    def _reply(self) -> Any:  # see Replies
        try:
            return self._connection.read_response()
        except exceptions.ResponseError as error:
            return faults.answered(error)

    def _drop(self) -> None:
        self._connected = False
        with contextlib.suppress(*faults.LOST):
            self._connection.disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store was closed", maybe_applied=False)


def _cancellations() -> int:
    """How often this task was cancelled; what it did about that does not matter."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _interrupted_error() -> StoreUnavailableError:
    return StoreUnavailableError("the store hung up while nothing was under way", maybe_applied=False)


def _closed_error() -> StoreUnavailableError:
    return StoreUnavailableError("the store was closed while it waited for an answer", maybe_applied=True)
