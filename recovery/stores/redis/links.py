"""One connection of either colour, and the rounds that travel on it.

1. Nothing is ever sent twice: retrying is for the caller, who knows what may be repeated.
2. A connection on which anything went wrong is dropped; the next call makes a new one.
3. One call at a time; only `close` may come in between, from anywhere.
4. A connection that ended while nothing was under way is replaced unnoticed, and so is one to a server that
   is no primary any more. But who reads has to know of each interruption (`recovery.flows.reading`), so that
   the first call after one fails.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio import SSLConnection

from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis import faults
from recovery.stores.redis.connections import async_connection, can_read, sync_connection, to_the_end
from recovery.stores.redis.endpoints import Endpoint
from recovery.stores.redis.patience import Patience
from recovery.stores.redis.rounds import Exchange, Request, Wire, batch, wire_of
from recovery.stores.redis.scripts import ScriptName
from recovery.stores.redis.sentinels import async_connect, connect, leads_astray

__all__ = ["AsyncLink", "Link", "Replies", "interrupted_error", "run_rounds", "run_rounds_in_thread"]

R = TypeVar("R")

# What a round returns: replies of redis-py's parser, whose shapes only `protocol` knows.
Replies = list[Any]


async def run_rounds(
    exchanges: Sequence[Exchange[R]], send: Callable[[list[Request]], Awaitable[Replies]]
) -> list[R | StoreError]:
    """Run exchanges together; what failed has its error in its place.

    Args:
        send: sends requests, and returns as many replies, or the errors in their places.
    """
    rounds = batch(exchanges)
    try:
        requests = next(rounds)
        while True:
            requests = rounds.send(await send(requests))
    except StopIteration as done:
        results: list[R | StoreError] = done.value
        return results


def run_rounds_in_thread(
    exchanges: Sequence[Exchange[R]], send: Callable[[list[Request]], Replies]
) -> list[R | StoreError]:
    """Run exchanges together; see `run_rounds`."""
    rounds = batch(exchanges)
    try:
        requests = next(rounds)
        while True:
            requests = rounds.send(send(requests))
    except StopIteration as done:
        results: list[R | StoreError] = done.value
        return results


class AsyncLink:
    """A connection for asyncio.

    Args:
        wait: longest time in seconds that a read on this link may be let wait by the server.
    """

    def __init__(self, endpoint: Endpoint, *, wait: float = 0.0) -> None:
        self._endpoint = endpoint
        self._connection = async_connection(endpoint, wait=wait)
        self._is_encrypted = isinstance(self._connection, SSLConnection)
        self._reads = wait > 0
        self._patience = self._connection.socket_timeout
        self._known: set[ScriptName] = set()
        self._connected = False
        self._demoted = False
        self._closed = False

    async def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        return await run_rounds(exchanges, self.send)

    async def send(self, requests: Sequence[Request], *, asking: bool = False) -> Replies:
        """Send requests together; what has no reply has its error in its place.

        Args:
            asking: the server is a node that is getting their slot; see `recovery.stores.redis.routing`.
        """
        try:
            await self._connect()
        except StoreError as error:
            return [error for _ in requests]
        return await self._round(requests, asking=asking)

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
                raise interrupted_error()
        if self._connected:
            return
        self._known.clear()
        try:
            self._connection.socket_timeout = self._patience
            await to_the_end(async_connect(self._connection, self._endpoint))
            # redis-py (8.1) would have a timer for each reply, and a task for each thing it sends.
            self._connection.socket_timeout = None
        except Exception as error:
            await self._drop(wait=self._is_encrypted)  # see `close`: there may be no other attempt
            raise faults.not_sent(error, self._endpoint.place) from error
        except BaseException:
            await self._drop()
            raise
        self._connected = True
        if self._closed:  # while it connected
            await self._drop()
            self._check_open()

    async def _is_stale(self) -> bool:
        """Tell whether the server hung up while nothing was under way, or is no primary: nothing was lost."""
        if self._demoted or leads_astray(self._connection, self._endpoint):
            return True
        try:
            return await can_read(self._connection)
        except faults.LOST:
            return True

    async def _round(self, requests: Sequence[Request], *, asking: bool) -> Replies:
        replies: Replies = []
        try:
            async with Patience(self._patience) as patience:
                await self._send(_wires(requests, self._known, asking=asking))
                while len(replies) < len(requests):
                    if asking:
                        await self._reply()
                    replies.append(await self._reply())
                    patience.renew()
        except faults.LOST as error:
            await self._drop()
            lost = _closed_error() if self._closed else faults.sent(error, self._endpoint.place)
            replies.extend(lost for _ in range(len(requests) - len(replies)))
        except BaseException:
            await self._drop()  # replies may still be on their way
            raise
        return replies

    async def _send(self, wires: list[Wire]) -> None:
        packed = self._connection.pack_commands(wires)
        await to_the_end(self._connection.send_packed_command(packed, check_health=False))

    async def _reply(self) -> Any:  # see Replies
        try:
            return await self._connection.read_response()
        except exceptions.ResponseError as error:
            self._demoted |= faults.is_demoted(error)
            return faults.answered(error)

    async def _drop(self, *, wait: bool = False) -> None:
        self._connected = self._demoted = False
        with contextlib.suppress(*faults.LOST):
            await self._connection.disconnect(nowait=not wait)

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()


class Link:
    """A connection for threads; see `AsyncLink`. Calls need a lock around them, `close` does not."""

    def __init__(self, endpoint: Endpoint, *, wait: float = 0.0) -> None:
        self._endpoint = endpoint
        self._connection = sync_connection(endpoint, wait=wait)
        self._reads = wait > 0
        self._known: set[ScriptName] = set()
        self._connected = False
        self._demoted = False
        self._closed = False

    def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        return run_rounds_in_thread(exchanges, self.send)

    def send(self, requests: Sequence[Request], *, asking: bool = False) -> Replies:
        """Send requests together; see `AsyncLink.send`."""
        try:
            self._connect()
        except StoreError as error:
            return [error for _ in requests]
        return self._round(requests, asking=asking)

    def each(self) -> "list[Link]":
        """A link to each server that has keys: this one; see `recovery.stores.redis.cluster_links`."""
        return [self]

    def close(self) -> None:
        """Drop the connection, at once, and make no other; a call under way ends with an error."""
        self._closed = True
        self._drop()

    def _connect(self) -> None:
        self._check_open()
        if self._connected and self._is_stale():
            self._drop()
            if self._reads:
                raise interrupted_error()
        if self._connected:
            return
        self._known.clear()
        try:
            connect(self._connection, self._endpoint)
        except Exception as error:
            self._drop()
            raise faults.not_sent(error, self._endpoint.place) from error
        except BaseException:
            self._drop()
            raise
        self._connected = True
        if self._closed:  # while it connected
            self._drop()
            self._check_open()

    def _is_stale(self) -> bool:
        """Tell whether the server hung up while nothing was under way, or is no primary: nothing was lost."""
        if self._demoted or leads_astray(self._connection, self._endpoint):
            return True
        try:
            return self._connection.can_read(timeout=0)
        except faults.LOST:
            return True

    def _round(self, requests: Sequence[Request], *, asking: bool) -> Replies:
        replies: Replies = []
        try:
            packed = self._connection.pack_commands(_wires(requests, self._known, asking=asking))
            self._connection.send_packed_command(packed, check_health=False)
            while len(replies) < len(requests):
                if asking:
                    self._reply()
                replies.append(self._reply())
        except Exception as error:
            self._drop()
            # `close` takes the socket from under redis-py's parser, which may then raise anything.
            if not (self._closed or isinstance(error, faults.LOST)):
                raise
            lost = _closed_error() if self._closed else faults.sent(error, self._endpoint.place)
            replies.extend(lost for _ in range(len(requests) - len(replies)))
        except BaseException:
            self._drop()  # replies may still be on their way
            raise
        return replies

    def _reply(self) -> Any:  # see Replies
        try:
            return self._connection.read_response()
        except exceptions.ResponseError as error:
            self._demoted |= faults.is_demoted(error)
            return faults.answered(error)

    def _drop(self) -> None:
        self._connected = self._demoted = False
        with contextlib.suppress(*faults.LOST):
            self._connection.disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store was closed", maybe_applied=False)


def _wires(requests: Sequence[Request], known: set[ScriptName], *, asking: bool) -> list[Wire]:
    wires = [wire_of(request, known) for request in requests]
    return [each for wire in wires for each in (("ASKING",), wire)] if asking else wires


def interrupted_error() -> StoreUnavailableError:
    """What a reader is told when it may have missed something; see law 4."""
    return StoreUnavailableError("the store hung up while nothing was under way", maybe_applied=False)


def _closed_error() -> StoreUnavailableError:
    return StoreUnavailableError("the store was closed while it waited for an answer", maybe_applied=True)
