"""The Redis stores, one of either colour.

Both keep two connections (to each node that is needed, in a cluster). Commands of concurrent callers travel
together on the first: while one round is under way, what arrives meanwhile forms the next, so that a burst of
claims costs a few round trips. A `Read` that waits has the second one to itself.

Law: a `Read` waits at most `MAX_WAIT` seconds, so that a dead connection is noticed.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from recovery.channels import Channels, Hear
from recovery.commands import Command, Read
from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis.bridging import exchange
from recovery.stores.redis.channels import RedisChannels
from recovery.stores.redis.cluster_channels import ClusterChannels
from recovery.stores.redis.cluster_links import async_link_to, link_to, slots_of
from recovery.stores.redis.endpoints import Endpoint
from recovery.stores.redis.keys import Keys

__all__ = ["MAX_WAIT", "AsyncRedisStore", "RedisStore"]

R = TypeVar("R")

MAX_WAIT = 5.0
"""Seconds. A `Read` that asks for more waits as long as this."""

_JOBS_PER_ROUND = 256
"""Calls that travel together; bounds how long the first of them waits for the last."""


class AsyncRedisStore:
    """Redis or Valkey for asyncio servers; see `recovery.commands.AsyncStore`.

    It connects when first used. Use it on one event loop only.

    Args:
        on_close: called at the end of `close`.
    """

    def __init__(
        self, endpoint: Endpoint, keys: Keys, *, on_close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._slots = slots_of(endpoint, keys)
        self._link = async_link_to(endpoint, self._slots)
        self._reading_link = async_link_to(endpoint, self._slots, wait=MAX_WAIT)
        self._reading = asyncio.Lock()
        self._jobs: deque[_AsyncJob] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        self._on_close = on_close

    def renewed(self) -> "AsyncRedisStore":
        """The same store with connections of its own, for a forked process; this one is not closed."""
        return AsyncRedisStore(self._endpoint, self._keys)

    def stream(self, name: str) -> "AsyncRedisStore":
        """Open another stream on the same server; see `recovery.streams.HasStreams`."""
        return AsyncRedisStore(self._endpoint, Keys(name, self._keys.session_key_prefix))

    async def execute(self, command: Command[R]) -> R:
        """Carry out one command. Cancelling leaves open whether it was."""
        if not _waits(command):
            return _unwrap((await self.execute_many([command]))[0])
        asked = exchange(command, self._keys, most_wait_ms=int(MAX_WAIT * 1000))
        async with self._reading:
            return _unwrap((await self._reading_link.run([asked]))[0])

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order; a `Read` among them does not wait."""
        job = _AsyncJob(commands)
        self._jobs.append(job)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return cast(list[R | StoreError], await job.done)  # the job forgot the type of its commands

    def open_channels(
        self, hear: Hear, *, sharded: bool, silence: float, failed: Callable[[StoreError], None]
    ) -> Channels:
        """Open channels on the same server; see `recovery.channels.HasChannels`. Close them yourself."""
        if self._slots is None:
            return RedisChannels(self._endpoint, hear, sharded=sharded, silence=silence, failed=failed)
        return ClusterChannels(
            self._endpoint, self._slots, hear, sharded=sharded, silence=silence, failed=failed
        )

    async def close(self) -> None:
        """Close the connections; whatever is under way ends with `StoreUnavailableError`."""
        self._closed = True
        await self._link.close()
        await self._reading_link.close()
        if self._runner is not None:
            self._runner.cancel()  # it may be connecting, which closing does not end
            await asyncio.wait([self._runner])
        if self._on_close is not None:
            await self._on_close()

    async def _run(self) -> None:
        """Carry out jobs until there are none; in a task of its own, which no caller cancels."""
        try:
            while self._jobs:
                await self._run_together(_taken(self._jobs))
        finally:
            self._runner = None
            self._abandon(_taken(self._jobs, most=len(self._jobs)))

    async def _run_together(self, jobs: "list[_AsyncJob]") -> None:
        wanted = [job for job in jobs if not job.done.cancelled()]
        asked = [exchange(command, self._keys) for job in wanted for command in job.commands]
        try:
            results = iter(await self._link.run(asked))
        except Exception as error:  # noqa: BLE001  # a bug; each caller gets to see it
            for job in wanted:
                job.fail(error)
            return
        except BaseException:
            self._abandon(wanted)
            raise
        for job in wanted:
            job.finish([next(results) for _ in job.commands])

    def _abandon(self, jobs: "list[_AsyncJob]") -> None:
        """End the waiting of callers: the store is being closed, or the event loop shut down."""
        for job in jobs:
            if self._closed:
                job.fail(StoreUnavailableError("the store was closed meanwhile", maybe_applied=True))
            else:
                job.done.cancel()


class RedisStore:
    """Redis or Valkey for synchronous servers; see `recovery.commands.Store`.

    It connects when first used. The thread that gets a turn carries the others' commands along.

    Args:
        on_close: called at the end of `close`.
    """

    def __init__(self, endpoint: Endpoint, keys: Keys, *, on_close: Callable[[], None] | None = None) -> None:
        self._keys = keys
        slots = slots_of(endpoint, keys)
        self._link = link_to(endpoint, slots)
        self._reading_link = link_to(endpoint, slots, wait=MAX_WAIT)
        self._reading = threading.Lock()
        self._turn = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._on_close = on_close

    def execute(self, command: Command[R]) -> R:
        """Carry out one command; a `Read` waits in this thread."""
        if not _waits(command):
            return _unwrap(self.execute_many([command])[0])
        asked = exchange(command, self._keys, most_wait_ms=int(MAX_WAIT * 1000))
        with self._reading:
            return _unwrap(self._reading_link.run([asked])[0])

    def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order; a `Read` among them does not wait."""
        job = _Job(commands)
        self._jobs.append(job)
        with self._turn:
            while job.results is None:
                self._run_together(_taken(self._jobs))
        return cast(list[R | StoreError], job.results)  # the job forgot the type of its commands

    def close(self) -> None:
        """Close the connections; whatever is under way ends with `StoreUnavailableError`."""
        self._link.close()
        self._reading_link.close()
        if self._on_close is not None:
            self._on_close()

    def _run_together(self, jobs: "list[_Job]") -> None:
        asked = [exchange(command, self._keys) for job in jobs for command in job.commands]
        try:
            results = iter(self._link.run(asked))
        except BaseException:
            lost = StoreUnavailableError("another thread was interrupted at its turn", maybe_applied=True)
            for job in jobs:
                job.results = [lost for _ in job.commands]
            raise
        for job in jobs:
            job.results = [next(results) for _ in job.commands]


class _AsyncJob:
    """One call of `execute_many`: its commands, and a future of their results."""

    def __init__(self, commands: Sequence[Command[Any]]) -> None:  # of any reply: jobs queue together
        self.commands = tuple(commands)
        self.done: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

    def finish(self, results: list[object]) -> None:
        if not self.done.done():
            self.done.set_result(results)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Job:
    """One call of `execute_many`: its commands, and their results once there are any."""

    def __init__(self, commands: Sequence[Command[Any]]) -> None:  # of any reply: jobs queue together
        self.commands = tuple(commands)
        self.results: list[object] | None = None


_J = TypeVar("_J")


def _taken(jobs: deque[_J], *, most: int = _JOBS_PER_ROUND) -> list[_J]:
    return [jobs.popleft() for _ in range(min(len(jobs), most))]


def _waits(command: object) -> bool:
    return isinstance(command, Read) and command.block_ms > 0


def _unwrap(result: R | StoreError) -> R:
    if isinstance(result, StoreError):
        raise result
    return result
