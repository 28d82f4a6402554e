"""What differs between an asyncio and a synchronous server for the application under test.

The application is written once, in coroutines. For a synchronous server they are driven to their end in the
thread that called them: nothing in them waits for an event loop, because what would is made by the colour.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import socketio

__all__ = ["AsyncColour", "Colour", "Event", "Journal", "SyncColour", "Work", "drive"]


class Event(Protocol):
    """Something that happens once."""

    def set(self) -> None: ...

    def is_set(self) -> bool: ...

    async def wait(self) -> Any: ...


class Journal(Protocol):
    """Lines that somebody may wait for."""

    @property
    def lines(self) -> list[Any]: ...

    async def append(self, line: Any) -> None: ...

    async def after(self, count: int, seconds: float) -> list[Any]:
        """The lines from this number on, as soon as there are any, or after some seconds."""
        ...


class Work(Protocol):
    """Something that runs beside the rest."""

    async def result(self) -> Any: ...


class Colour(Protocol):
    """A colour of python-socketio's server."""

    namespace_class: Any

    def server(self, manager: Any, options: Mapping[str, Any]) -> Any: ...

    def manager(self, options: Mapping[str, Any]) -> Any: ...

    def handler(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What the server calls in order to run a coroutine function."""
        ...

    async def finished(self, result: Any) -> Any:
        """What a method of the server has returned, when it is there."""
        ...

    def session(self, sio: Any, sid: str, namespace: str) -> Any: ...

    def event(self) -> Event: ...

    def journal(self) -> Journal: ...

    def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Work: ...

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> None: ...

    async def sleep(self, seconds: float) -> None: ...


class _AsyncJournal:
    def __init__(self) -> None:
        self.lines: list[Any] = []
        self._changed = asyncio.Condition()

    async def append(self, line: Any) -> None:
        async with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    async def after(self, count: int, seconds: float) -> list[Any]:
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: len(self.lines) > count)
            except TimeoutError:
                pass
            return self.lines[count:]


class _Task:
    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    async def result(self) -> Any:
        return await self._task


class AsyncColour:
    """`socketio.AsyncServer`."""

    namespace_class: Any = socketio.AsyncNamespace

    def server(self, manager: Any, options: Mapping[str, Any]) -> Any:
        return socketio.AsyncServer(async_mode="asgi", client_manager=manager, **options)

    def manager(self, options: Mapping[str, Any]) -> Any:
        from adapter import AsyncRecoveryManager  # noqa: PLC0415 - a stock server must not need it

        return AsyncRecoveryManager(**options)

    def handler(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    async def finished(self, result: Any) -> Any:
        return await result if asyncio.iscoroutine(result) else result

    def session(self, sio: Any, sid: str, namespace: str) -> Any:
        return sio.session(sid, namespace=namespace)

    def event(self) -> Event:
        return asyncio.Event()

    def journal(self) -> Journal:
        return _AsyncJournal()

    def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Work:
        return _Task(asyncio.create_task(work()))

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> None:
        await asyncio.gather(*works)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in this thread; what it waits for must block."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("the coroutine waits for an event loop, and there is none")


class _BlockingEvent:
    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> Any:
        return self._event.wait()


class _BlockingJournal:
    def __init__(self) -> None:
        self.lines: list[Any] = []
        self._changed = threading.Condition()

    async def append(self, line: Any) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    async def after(self, count: int, seconds: float) -> list[Any]:
        with self._changed:
            self._changed.wait_for(lambda: len(self.lines) > count, seconds)
            return self.lines[count:]


class _Thread:
    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._work = work
        self._outcome: list[Any] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(drive(self._work()))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            self._error = error

    async def result(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._outcome[0]


class SyncColour:
    """`socketio.Server`."""

    namespace_class: Any = socketio.Namespace

    def __init__(self, async_mode: str) -> None:
        self._async_mode = async_mode

    def server(self, manager: Any, options: Mapping[str, Any]) -> Any:
        return socketio.Server(async_mode=self._async_mode, client_manager=manager, **options)

    def manager(self, options: Mapping[str, Any]) -> Any:
        from adapter import RecoveryManager  # noqa: PLC0415 - a stock server must not need it

        return RecoveryManager(**options)

    def handler(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def handle(*args: Any) -> Any:
            return drive(function(*args))

        return handle

    async def finished(self, result: Any) -> Any:
        return result

    @asynccontextmanager
    async def session(self, sio: Any, sid: str, namespace: str) -> AsyncGenerator[Any, None]:
        with sio.session(sid, namespace=namespace) as session:
            yield session

    def event(self) -> Event:
        return _BlockingEvent()

    def journal(self) -> Journal:
        return _BlockingJournal()

    def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Work:
        return _Thread(work)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> None:
        for thread in [_Thread(partial(_same, work)) for work in works]:
            await thread.result()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this coroutine blocks its thread, as all of this colour do


def _same(work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    return work
