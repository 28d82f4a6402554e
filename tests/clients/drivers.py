"""The two colours of the recovering client behind one face, so that each test is written once.

A handler of a test is a plain function. The asyncio client calls it in the loop of the test, the other one in
a thread of its own.
"""

import asyncio
import functools
import gc
import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from socketio.base_client import reconnecting_clients

from adapter import AsyncRecoveryClient, RecoveryClient
from tests.waiting import async_wait_until

__all__ = ["COLOURS", "Driver", "Gate", "driving", "quiet_engineio"]

_QUICK = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.2, "randomization_factor": 0}
COLOURS = ("asyncio", "threads")


class Driver:
    """A client, and what its handlers saw.

    Attributes:
        client: the client; call its methods through `do`.
        seen: ``(namespace, event, args)`` of each call of a handler, in the order of their beginnings.
    """

    def __init__(self, colour: str, **options: Any) -> None:
        self.asynchronous = colour == "asyncio"
        settings = {**_QUICK, "handle_sigint": False, **options}
        make: Any = AsyncRecoveryClient if self.asynchronous else RecoveryClient
        self.client: Any = make(**settings)
        self.seen: list[tuple[str, str, tuple[Any, ...]]] = []
        self._lock = threading.Lock()

    async def do(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client that waits."""
        bound = getattr(self.client, method)
        if self.asynchronous:
            return await bound(*args, **kwargs)
        return await asyncio.to_thread(bound, *args, **kwargs)

    async def connect(self, url: str, **options: Any) -> None:
        """Connect by WebSocket, unless told otherwise."""
        await self.do("connect", url, **{"transports": ["websocket"], **options})

    def listen(self, *events: str, namespace: str = "/", then: Callable[..., Any] | None = None) -> None:
        """Note each event, with what `recovery` says in a connect handler, and then do something."""
        for event in events:
            self.client.on(event, self._handler(event, namespace, then), namespace=namespace)

    def listen_and_call(
        self, event: str, method: str, *args: Any, namespace: str = "/", **kwargs: Any
    ) -> None:
        """Have the handler of an event call a method of the client that waits; note what it returned."""
        bound = functools.partial(getattr(self.client, method), *args, **kwargs)

        async def call_and_wait(*given: Any) -> None:
            self.note(namespace, event, *given)
            self.note(namespace, f"{method} returned", await bound())

        def call(*given: Any) -> None:
            self.note(namespace, event, *given)
            self.note(namespace, f"{method} returned", bound())

        self.client.on(event, call_and_wait if self.asynchronous else call, namespace=namespace)

    def note(self, namespace: str, event: str, *args: Any) -> None:
        """Append to `seen`."""
        with self._lock:
            self.seen.append((namespace, event, args))

    def got(self, event: str, namespace: str = "/") -> list[Any]:
        """What came with an event: its only argument, or a tuple of all."""
        with self._lock:
            found = [args for place, name, args in self.seen if (place, name) == (namespace, event)]
        return [args[0] if len(args) == 1 else args for args in found]

    def names(self) -> list[str]:
        """The names of all events, in order."""
        with self._lock:
            return [name for _, name, _ in self.seen]

    async def until(self, predicate: Callable[[], Any], what: str = "") -> None:
        """Wait until something is so."""

        async def so() -> bool:
            return bool(predicate())

        try:
            await async_wait_until(so, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {self.seen[-30:]}") from None

    async def until_got(self, event: str, count: int, namespace: str = "/") -> list[Any]:
        """Wait for so many of an event."""
        await self.until(lambda: len(self.got(event, namespace)) >= count, f"{count} x {event}")
        return self.got(event, namespace)

    def _handler(self, event: str, namespace: str, then: Callable[..., Any] | None) -> Callable[..., Any]:
        def handle(*args: Any) -> Any:
            if event == "connect":
                args = (self.client.recovery(namespace),)
            self.note(namespace, event, *args)
            return None if then is None else then(*args)

        return handle


class Gate:
    """A handler that waits, in either colour, until the test lets it go on."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._open = threading.Event()

    def handler(self, name: str, namespace: str = "/") -> None:
        """Register a handler that waits at the gate."""

        async def wait_in_loop(*args: Any) -> None:
            self._driver.note(namespace, name, *args)
            while not self._open.is_set():
                await asyncio.sleep(0.005)
            self._driver.note(namespace, f"{name} done", *args)

        def wait_in_thread(*args: Any) -> None:
            self._driver.note(namespace, name, *args)
            self._open.wait(10)
            self._driver.note(namespace, f"{name} done", *args)

        chosen: Callable[..., Any] = wait_in_loop if self._driver.asynchronous else wait_in_thread
        self._driver.client.on(name, chosen, namespace=namespace)

    def open(self) -> None:
        """Let everybody go on."""
        self._open.set()


@asynccontextmanager
async def driving(colour: str, **options: Any) -> AsyncGenerator[Driver]:
    """A client that is disconnected in the end."""
    driver = Driver(colour, **options)
    try:
        yield driver
    finally:
        await driver.do("suspend")
        await driver.do("disconnect")
        assert driver.client not in reconnecting_clients


@contextmanager
def quiet_engineio() -> Generator[None]:
    """Collect quietly the responses of aborted polls, which python-engineio leaves open (4.15.1)."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
