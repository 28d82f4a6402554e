"""A portal: an event loop in a thread of its own, into which the threads of a synchronous server call.

All our state of such a server lives in that loop, so it needs no locks, and what many threads want at once
goes out together.

1. A thread that calls waits. Meanwhile the coroutine may have functions run in that very thread
   (`Portal.outside`): methods of the server and handlers of the application, which block.
2. Such a function may call into the portal again; then the thread waits for that, and the first coroutine for
   the function. The loop itself never waits for a thread.
3. A task that nobody waits for has no thread: what it wants to have run gets a thread of its own. It must
   not borrow that of the call in which it was begun, which may be busy with a function that waits for this
   very task. `alone` makes the context of such a task.
4. A thread that stops waiting, because of Ctrl-C for one, cancels its coroutine. What that wants to have run
   from then on gets threads of its own.
5. The thread is started when first needed, again in a forked child, and ends with `Portal.close`, with the
   process, or by Ctrl-C, which any greenlet may get. Whatever ends it, no call waits on: those that have
   begun get a short time for their end, and then, as the others at once, `PortalClosedError`.
"""

import asyncio
import atexit
import contextlib
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from inspect import isawaitable
from typing import Any
from weakref import WeakSet

from adapter.greenlets import new_event_loop
from recovery.aio.tasks import end_tasks

__all__ = ["Portal", "PortalClosedError", "alone"]

Function = Callable[[], Any]

_LAST_SECONDS = 1.0
"""How long calls that have begun may go on in a portal that ends; those that are stuck may not hold it up."""

_CLOSE_PATIENCE = 10.0
"""Seconds after which `Portal.close` does not wait for the loop's last tasks any longer."""


class PortalClosedError(RuntimeError):
    """The portal was closed.

    Attributes:
        begun: whether what was called had begun by then.
    """

    def __init__(self, *, begun: bool) -> None:
        super().__init__("this manager was closed" + (" meanwhile" if begun else ""))
        self.begun = begun


class Portal:
    """Runs coroutines for threads.

    Args:
        spawn: runs a function in a thread of its own, whatever a thread is to the server.
        forked: called in a forked child, in which nothing of the loop is left, before anything else.
        last: run at the end of the loop, when all its tasks have ended.
    """

    def __init__(
        self,
        spawn: Callable[[Function], Any],
        *,
        forked: Callable[[], None],
        last: Callable[[], Awaitable[None]],
    ) -> None:
        self._spawn = spawn
        self._forked = forked
        self._last = last
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ident = -1
        self._callers: set[_Caller] = set()
        self._closed = False
        _portals.add(self)

    @property
    def is_inside(self) -> bool:
        """Whether the caller is the loop's own thread, which must never wait for the loop."""
        return threading.get_ident() == self._ident

    @property
    def is_running(self) -> bool:
        """Whether there is a loop."""
        return self._loop is not None and not self._closed

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function, or a coroutine function to its end, in the loop, and return what it returns.

        It sees the context variables of the caller.

        Raises:
            PortalClosedError: there is no loop any more.
            RuntimeError: the caller is in the loop already; waiting would never end.
        """
        if self.is_inside:
            raise RuntimeError(
                "this blocks, and was called from the loop of the recovery manager, which it would wait for"
            )
        caller = _Caller(self._spawn)
        context = copy_context()
        context.run(_caller.set, caller)
        try:
            with self._lock:
                self.post(self._begin, caller, partial(function, *args, **kwargs), context)
                self._callers.add(caller)
            return caller.wait()
        except BaseException:
            if not caller.has_told and (caller.task is None or not caller.task.done()):
                with contextlib.suppress(PortalClosedError):
                    self.post(caller.cancel)
            raise
        finally:
            if caller.task is None:
                self._callers.discard(caller)
            caller.leave()

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function in the loop soon, after whatever was posted before; do not wait.

        Raises:
            PortalClosedError: there is no loop any more.
        """
        with self._lock:
            if self._closed:
                raise PortalClosedError(begun=False)
            if self._loop is None:
                self._start()
            assert self._loop is not None, "it was just started"
            self._loop.call_soon_threadsafe(function, *args)

    def later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Run a function in the loop after some time, if there is a loop by then."""
        with contextlib.suppress(PortalClosedError):
            self.post(lambda: asyncio.get_running_loop().call_later(seconds, function))

    async def outside(self, function: Function, *, alone: bool = False) -> Any:
        """Called in the loop: run a function in the thread that waits for us, or in one of its own.

        Args:
            alone: in one of its own in any case.
        """
        job = _Job(function, asyncio.get_running_loop())
        caller = None if alone else _caller.get()
        if caller is None or not caller.take(job):
            self._spawn(job.run)
        return await job.outcome

    def close(self) -> None:
        """End the loop and its thread; calls that wait end with `PortalClosedError`, later ones, too.

        Harmless when repeated.
        """
        if self.is_inside:
            raise RuntimeError("a portal cannot be closed from its own loop, whose end it would wait for")
        with self._lock:
            ends, self._closed = not self._closed, True
            if self._loop is None or self._thread is None:
                return
            if ends:  # else it has ended, or is about to
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_PATIENCE)

    def _start(self) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop,), name="recovery.portal", daemon=True
        )
        self._thread.start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ident = threading.get_ident()
        try:
            loop.run_forever()
        finally:
            with self._lock:  # whoever was let in before is among the callers
                self._closed = True
            try:
                loop.run_until_complete(self._end())
            finally:
                self._ident = -1
                for caller in list(self._callers):
                    caller.give_up()
                loop.close()

    async def _end(self) -> None:
        current = asyncio.current_task()
        begun = [caller.task for caller in list(self._callers) if caller.task is not None]
        if begun:
            await asyncio.wait(begun, timeout=_LAST_SECONDS)
        await end_tasks(task for task in asyncio.all_tasks() if task is not current)
        await self._last()
        await asyncio.get_running_loop().shutdown_asyncgens()

    def _begin(self, caller: "_Caller", function: Function, context: Context) -> None:
        if self._closed:
            caller.give_up()
            return
        caller.task = asyncio.get_running_loop().create_task(_run(function), context=context)
        self._callers.add(caller)  # and with it the task, which the loop does not keep
        caller.task.add_done_callback(caller.tell)
        caller.task.add_done_callback(lambda _: self._callers.discard(caller))

    def forget(self) -> None:
        """In a forked child: the loop's thread is not here, and its sockets are the parent's."""
        self._lock = threading.RLock()  # somebody may have held it
        if self._loop is not None:
            _inherited.append((self._loop, self._thread, self._callers))
            self._loop = self._thread = None
            self._ident = -1
            self._callers = set()
            self._forked()


class _Caller:
    """A thread that waits for a coroutine.

    Attributes:
        task: runs the coroutine; None until it has begun.
        has_told: the coroutine knows that this thread was interrupted.
    """

    def __init__(self, spawn: Callable[[Function], Any]) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.has_told = False
        self._spawn = spawn
        # Of all queues in the standard library, only this one is made of nothing but locks, which gevent and
        # eventlet replace.
        self._inbox: queue.Queue[_Job | asyncio.Task[Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._left = False

    def wait(self) -> Any:
        """Wait for the end of the coroutine, run what it sends meanwhile, and return what it returns.

        Raises:
            PortalClosedError: there will be no end.
        """
        while True:
            item = self._inbox.get()
            if item is None or (isinstance(item, asyncio.Task) and item.cancelled()):
                raise PortalClosedError(begun=self.task is not None)
            if isinstance(item, asyncio.Task):
                return item.result()
            try:
                item.run()
            except BaseException:
                self.has_told = True  # once is enough: it may be cleaning up by now
                raise

    def take(self, job: "_Job") -> bool:
        """Called in the loop: take a job; False if this thread does not wait any more."""
        with self._lock:
            if not self._left:
                self._inbox.put(job)
            return not self._left

    def tell(self, task: asyncio.Task[Any]) -> None:
        """Called in the loop: the coroutine has ended."""
        self._inbox.put(task)

    def give_up(self) -> None:
        """Called in the loop: there is nothing to wait for."""
        self._inbox.put(None)

    def cancel(self) -> None:
        """Called in the loop: nobody waits for the coroutine any more."""
        if self.task is not None:
            self.task.cancel()

    def leave(self) -> None:
        """Wait no longer; what was not run yet gets a thread of its own."""
        with self._lock:
            self._left = True
        while not self._inbox.empty():
            item = self._inbox.get_nowait()
            if isinstance(item, _Job):
                self._spawn(item.run)


class _Job:
    """A function that a coroutine has run in a thread.

    Attributes:
        outcome: what it returned or raised; cancelled if it was ended by something that is no `Exception`.
    """

    def __init__(self, function: Function, loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: asyncio.Future[Any] = loop.create_future()
        self._function = function
        self._loop = loop

    def run(self) -> None:
        """Run it, unless nobody waits for it any more."""
        if self.outcome.cancelled():
            return
        try:
            result = self._function()
        except StopIteration as exc:  # a future cannot hold it, and a coroutine not raise it
            error = RuntimeError("a function raised StopIteration")
            error.__cause__ = exc
            self._tell(self.outcome.set_exception, error)
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the coroutine
            self._tell(self.outcome.set_exception, exc)
        except BaseException:
            self._tell(self.outcome.cancel)
            raise
        else:
            self._tell(self.outcome.set_result, result)

    def _tell(self, settle: Callable[..., Any], *args: Any) -> None:
        def in_loop() -> None:
            if not self.outcome.done():
                settle(*args)

        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
            self._loop.call_soon_threadsafe(in_loop)


_caller: ContextVar[_Caller | None] = ContextVar("recovery_caller", default=None)
"""The thread that waits for the coroutine that is running."""


def alone() -> Context:
    """A copy of the context, for a task that no thread waits for."""
    context = copy_context()
    context.run(_caller.set, None)
    return context


async def _run(function: Function) -> Any:
    result = function()
    return await result if isawaitable(result) else result


_portals: WeakSet[Portal] = WeakSet()
_inherited: list[object] = []
"""Loops of the parent: to collect one would close descriptors, which would be felt there."""


def _forget_all() -> None:
    for portal in list(_portals):
        portal.forget()


def _close_all() -> None:
    for portal in list(_portals):
        portal.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
