"""An event loop whose time is virtual, and whose callbacks belong to processes that can be stopped.

1. Nothing waits: when nothing can run, the clock jumps to the next timer. A wait for something that can never
   happen is found at once, and raised as `Deadlock`.
2. What runs in a `Process` was started in its context, and so is everything that it starts in turn. A frozen
   process runs none of its callbacks until it is thawed; a killed one never runs any again. Nothing else
   notices.
3. The same program with the same seed does the same: time, order and (in here) randomness are the loop's own.
"""

import asyncio
import contextvars
import heapq
import itertools
import random
from asyncio import (  # documented for those who implement a loop
    _get_running_loop,  # pyright: ignore[reportPrivateUsage]
    _set_running_loop,  # pyright: ignore[reportPrivateUsage]
)
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Self, TypeVar

from recovery.testing.surroundings import Surroundings

__all__ = ["Deadlock", "Process", "Runaway", "State", "VirtualLoop"]

T = TypeVar("T")

_MOST_CALLBACKS = 5_000_000
"""In one run: more than a day of virtual time with a few servers; a loop that never ends is found so."""


_EPOCH = 1_800_000_000.0
"""Seconds since 1970 at which every simulation begins."""


class Deadlock(RuntimeError):  # noqa: N818 - it is no error of the caller, but what was found
    """Somebody waits for what can never happen: nothing is running, and no timer is set."""


class Runaway(RuntimeError):  # noqa: N818 - as above
    """Something runs on and on while no time passes, or what is waited for does not happen in time."""


class State(Enum):
    """What a process does."""

    RUNNING = auto()
    FROZEN = auto()
    KILLED = auto()


class Process:
    """Callbacks that are stopped and go on together, as those of an operating system's process.

    Attributes:
        name: for humans.
        clock_shift: seconds by which its wall clock is ahead.
        backlog: what it would have run since it was stopped.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock_shift = 0.0
        self.state = State.RUNNING
        self.backlog: list[_Callback] = []
        self.context = contextvars.Context()
        self.context.run(_process.set, self)


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Callback:
    """A call that is due at some time, in a context that says whose it is: an `asyncio.TimerHandle`."""

    __slots__ = ("args", "callback", "context", "loop", "process", "time")

    def __init__(
        self,
        time: float,
        loop: "VirtualLoop",
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.time = time
        self.loop = loop
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = contextvars.copy_context() if context is None else context
        self.process = self.context.get(_process)

    def cancel(self) -> None:
        """Do not call; the loop finds that out when it comes to it."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Whether it is not to be called."""
        return self.callback is None

    def when(self) -> float:
        """When it is due."""
        return self.time

    def run(self) -> None:
        """Call, unless the process is stopped: then it is called when that goes on, or never."""
        if self.callback is None:
            return
        if self.process is not None and self.process.state is not State.RUNNING:
            self.process.backlog.append(self)
            return
        try:
            self.context.run(self.callback, *self.args)
        except Exception as exc:  # noqa: BLE001 - as in asyncio, it must not end the loop
            self.loop.call_exception_handler({"message": f"in {self.callback!r}", "exception": exc})


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order in which they are due; time passes in jumps.

    It can be run for a while, left, and run again, from code that is not asynchronous.

    Args:
        seed: of all randomness inside.

    Attributes:
        random: the randomness of what runs here.
        epoch: seconds since 1970 when it was made.
        errors: what would have been logged as "exception was never retrieved" and the like.

    >>> loop = VirtualLoop.make(seed=1)
    >>> loop.run_until_complete(asyncio.sleep(3600, "an hour later"))
    'an hour later'
    >>> loop.time()
    3600.0
    """

    def __init__(self, *, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - it has to repeat itself; nothing real is made of it
        self.errors: list[str] = []
        self.epoch = _EPOCH
        self._now = 0.0
        self._order = itertools.count()
        self._ready: deque[_Callback] = deque()
        self._timers: list[tuple[float, int, _Callback]] = []
        self._processes: list[Process] = []
        self._surroundings = Surroundings(self.random, self.wall_clock)
        self._running = False
        self._silent = False

    @classmethod
    def make(cls, *, seed: int) -> Self:
        """Make a loop.

        To a type checker the class itself is abstract: what asyncio says of networks is not in it.
        """
        return cls(seed=seed)

    # Running -------------------------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Run everything that is due within so many seconds, and let them pass."""
        end = self._now + seconds
        with self._entered():
            self._run(until=end, done=None)
        self._now = max(self._now, end)

    def run_until(self, done: Callable[[], bool], *, patience: float) -> bool:
        """Run until something is so; False if it is not within `patience` seconds."""
        end = self._now + patience
        with self._entered():
            self._run(until=end, done=done)
        if done():
            return True
        self._now = max(self._now, end)
        return False

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine or future is done, and return its result; raises `Deadlock`."""
        with self._entered():
            task = asyncio.ensure_future(future, loop=self)
            self._run(until=None, done=task.done)
        return task.result()

    def end(self) -> None:
        """Cancel all that is left, and let it end, killed processes included; nothing is told to anybody."""
        self._silent = True
        for process in self._processes:
            process.state = State.RUNNING
            self._ready.extend(process.backlog)
        for _ in range(3):  # a task may begin another one in its last breath, or swallow a cancellation
            for task in asyncio.all_tasks(self):
                task.cancel()
            with self._entered():
                self._run(until=self._now, done=None)
        self._ready.clear()
        self._timers.clear()

    # Processes -----------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """Make a process that runs nothing yet; see `start`."""
        process = Process(name)
        self._processes.append(process)
        return process

    def freeze(self, process: Process) -> None:
        """Stop a process; its callbacks wait."""
        if process.state is State.RUNNING:
            process.state = State.FROZEN

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on, with everything that became due meanwhile."""
        if process.state is State.FROZEN:
            process.state = State.RUNNING
            backlog, process.backlog = process.backlog, []
            self._ready.extend(backlog)

    def kill(self, process: Process) -> None:
        """End a process: none of its callbacks runs ever again, not even to clean up."""
        process.state = State.KILLED

    def start(
        self, process: Process | None, coroutine: Coroutine[Any, Any, T], name: str | None = None
    ) -> asyncio.Task[T]:
        """Run a coroutine in a process (None: outside of all)."""
        context = contextvars.Context() if process is None else process.context
        return context.copy().run(self.create_task, coroutine, name=name)

    def call_outside(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Call at a time, outside of all processes: what the network does, or fate."""
        self.call_at(when, callback, *args, context=contextvars.Context())

    # What asyncio asks of a loop -----------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def wall_clock(self) -> float:
        """What the clock on the wall shows to whoever runs now: seconds since 1970."""
        process = _process.get()
        return self.epoch + self._now + (process.clock_shift if process is not None else 0.0)

    def call_soon(  # type: ignore[override]  # typeshed says TypeVarTuple, which adds nothing here
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Call when all that is due already was called."""
        handle = _Callback(self._now, self, callback, args, context)
        self._ready.append(handle)
        return handle  # type: ignore[return-value]  # it does all that anybody asks of one

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there is one thread

    def call_later(  # type: ignore[override]  # as above
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call in `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a time."""
        handle = _Callback(when, self, callback, args, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle  # type: ignore[return-value]  # as above

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # typeshed has one for each Python version
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Run a coroutine."""
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        """Never: it is slow, and looks at the real clock."""
        return False

    def is_running(self) -> bool:
        """Whether callbacks are being run."""
        return self._running

    def is_closed(self) -> bool:
        """Never: a loop holds nothing that would have to be released."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what nobody caught."""
        if not self._silent:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    # Inside --------------------------------------------------------------------------------------------

    def _run(self, *, until: float | None, done: Callable[[], bool] | None) -> None:
        ready, timers = self._ready, self._timers
        for _ in range(_MOST_CALLBACKS):
            if done is not None and done():
                return
            if not ready and not self._jump(until):
                return
            while timers and timers[0][0] <= self._now:
                ready.append(heapq.heappop(timers)[2])
            ready.popleft().run()
        raise Runaway(f"{_MOST_CALLBACKS} callbacks, at {self._now:.3f} s; these wait: {self._waiting()}")

    def _jump(self, until: float | None) -> bool:
        """Move the clock to the next timer; False if that is too far."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers and until is None:
            raise Deadlock(f"nothing is left to happen, and these wait: {self._waiting()}")
        if not timers or (until is not None and timers[0][0] > until):
            return False
        self._now = max(self._now, timers[0][0])
        return True

    def _waiting(self) -> str:
        return ", ".join(sorted(repr(task.get_coro()) for task in asyncio.all_tasks(self)))

    @contextmanager
    def _entered(self) -> Generator[None]:
        """Be the running loop, with time and randomness as they are in here."""
        outer = _get_running_loop()
        _set_running_loop(self)
        self._running = True
        try:
            with self._surroundings.in_force():
                yield
        finally:
            self._running = False
            _set_running_loop(outer)
