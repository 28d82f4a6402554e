"""The store that needs nothing running: everything in this process, nothing durable.

`memory_state` says what is kept and what each command does; here are the two colours, which add what
a `Read` needs to wait: a thread that sleeps, or a task that an event loop wakes.
"""

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TypeVar

from recovery.channels import Hear
from recovery.commands import Command, Read
from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.memory_channels import MemoryChannels
from recovery.stores.memory_state import MemoryState

__all__ = ["AsyncMemoryStore", "MemoryState", "MemoryStore", "shared_state"]

R = TypeVar("R")


class MemoryStore:
    """`memory://` for synchronous servers; see `recovery.commands.Store`.

    >>> from recovery.commands import GetStream
    >>> store = MemoryStore()
    >>> store.execute(GetStream()) is None
    True
    """

    def __init__(self, state: MemoryState | None = None) -> None:
        self._state = MemoryState() if state is None else state
        self._closed = False
        self._waiting: set[threading.Event] = set()

    @property
    def state(self) -> MemoryState:
        """What the store keeps; other stores may be built on it."""
        return self._state

    def execute(self, command: Command[R]) -> R:
        """Carry out one command; a `Read` waits in this thread."""
        self._check_open()
        read = _waiting_read(command)
        if read is not None:
            self._wait(read)
        return self._state.execute(command)

    def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order; a `Read` among them does not wait."""
        if self._closed:
            return [_closed_error() for _ in commands]
        return _each(self._state, commands)

    def close(self) -> None:
        """Refuse further commands; the data stays with other stores of the same name."""
        self._closed = True
        for event in tuple(self._waiting):
            event.set()

    def _wait(self, command: Read) -> None:
        deadline = time.monotonic() + command.block_ms / 1000
        event = threading.Event()
        self._waiting.add(event)
        self._check_open()  # again: `close` may have looked for events before there was this one
        try:
            while self._state.wait_for(command.after, event.set):
                if not event.wait(deadline - time.monotonic()):
                    return
                event.clear()
                self._check_open()
        finally:
            self._waiting.discard(event)
            self._state.forget(event.set)

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()


class AsyncMemoryStore:
    """`memory://` for asyncio servers; see `recovery.commands.AsyncStore`. Waits without threads."""

    def __init__(self, state: MemoryState | None = None) -> None:
        self._state = MemoryState() if state is None else state
        self._closed = False
        self._waiting: set[asyncio.Event] = set()

    @property
    def state(self) -> MemoryState:
        """What the store keeps; other stores may be built on it."""
        return self._state

    def stream(self, name: str) -> "AsyncMemoryStore":
        """Open another stream; see `recovery.streams.HasStreams`."""
        return AsyncMemoryStore(self._state.stream(name))

    async def execute(self, command: Command[R]) -> R:
        """Carry out one command; only a `Read` that waits gives up control."""
        self._check_open()
        read = _waiting_read(command)
        if read is not None:
            await self._wait(read)
        return self._state.execute(command)

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order; a `Read` among them does not wait."""
        if self._closed:
            return [_closed_error() for _ in commands]
        return _each(self._state, commands)

    def open_channels(
        self,
        hear: Hear,
        *,
        sharded: bool,  # noqa: ARG002  # all servers are here
        silence: float,  # noqa: ARG002
        failed: Callable[[StoreError], None],  # noqa: ARG002
    ) -> MemoryChannels:
        """Open channels between servers of this process; see `recovery.channels.HasChannels`."""
        return MemoryChannels(self._state.hub, hear)

    async def close(self) -> None:
        """Refuse further commands; the data stays with other stores of the same name."""
        self._closed = True
        for event in self._waiting:
            event.set()

    async def _wait(self, command: Read) -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            # A loop that was closed under a read, without cancelling it, has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

        self._waiting.add(event)
        try:
            async with asyncio.timeout(command.block_ms / 1000):
                while self._state.wait_for(command.after, wake):
                    await event.wait()
                    event.clear()
                    self._check_open()
        except TimeoutError:
            return
        finally:
            self._waiting.discard(event)
            self._state.forget(wake)

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()


_named: "weakref.WeakValueDictionary[str, MemoryState]" = weakref.WeakValueDictionary()
_named_lock = threading.Lock()


def shared_state(name: str) -> MemoryState:
    """Return the state that all stores of one name in this process share.

    It lives as long as somebody holds it.

    >>> chat = shared_state("chat")
    >>> shared_state("chat") is chat
    True
    """
    with _named_lock:
        state = _named.get(name)
        if state is None:
            state = _named[name] = MemoryState()
        return state


def _each(state: MemoryState, commands: Sequence[Command[R]]) -> list[R | StoreError]:
    replies: list[R | StoreError] = []
    for command in commands:
        try:
            replies.append(state.execute(command))
        except StoreError as error:
            replies.append(error)
    return replies


def _waiting_read(command: object) -> Read | None:
    return command if isinstance(command, Read) and command.block_ms > 0 else None


def _closed_error() -> StoreUnavailableError:
    return StoreUnavailableError("the store was closed", maybe_applied=False)
