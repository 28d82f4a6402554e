"""Greenlets in place of threads: what gevent and eventlet, which replace the standard library's, need.

Once they have, `threading.Thread` makes greenlets, all in one thread of the operating system, and each runs
until it waits. An event loop of asyncio runs in a greenlet as well, over their selector; but asyncio keeps
which loop is running for each thread of the operating system, so that all other greenlets would seem to run
in ours. `PoliteEventLoop` puts that right.
"""

import asyncio
import os
import selectors
import sys
import threading
from collections.abc import Mapping
from typing import Any

from recovery.errors import ConfigurationError

__all__ = ["PoliteEventLoop", "PoliteSelector", "are_threads", "check_patched", "new_event_loop"]

_ADVICE = {
    "gevent": "call gevent.monkey.patch_all() before anything else is imported",
    "eventlet": "call eventlet.monkey_patch() before anything else is imported",
}
_PATCHERS = {
    "gevent": ("gevent.monkey", "is_module_patched"),
    "eventlet": ("eventlet.patcher", "is_monkey_patched"),
}
_THREAD = {"gevent": "threading", "eventlet": "thread"}


def check_patched(async_mode: str) -> None:
    """Refuse a server whose greenlets would all wait whenever one of ours waits.

    Raises:
        ConfigurationError: its library has not replaced what it must.

    >>> check_patched("threading")
    """
    library = next((name for name in _ADVICE if name in async_mode), None)
    if library is None:
        return
    missing = [name for name in ("socket", "select", _THREAD[library]) if not _is_patched(library, name)]
    if missing:
        raise ConfigurationError(
            f"async_mode is {async_mode!r}, but {library} has not patched {', '.join(missing)}:"
            f" {_ADVICE[library]}"
        )


def are_threads() -> bool:
    """Whether `threading.Thread` makes greenlets in this process.

    >>> are_threads()
    False
    """
    return any(_is_patched(library, module) for library, module in _THREAD.items())


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop for a thread, or for a greenlet in place of one."""
    selector = selectors.DefaultSelector()
    return PoliteEventLoop(selector) if are_threads() else asyncio.SelectorEventLoop(selector)


def _is_patched(library: str, module: str) -> bool:
    name, function = _PATCHERS[library]
    patcher = sys.modules.get(name)
    return patcher is not None and bool(getattr(patcher, function)(module))


class PoliteEventLoop(asyncio.SelectorEventLoop):
    """An event loop in a greenlet."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._polite = PoliteSelector(selector)
        super().__init__(self._polite)

    def run_forever(self) -> None:
        """Run until stopped, and leave behind what was there before."""
        self._polite.enter()
        try:
            super().run_forever()
        finally:
            self._polite.leave()


class PoliteSelector(selectors.BaseSelector):
    """A selector that says that our loop is not running while it waits, because then other greenlets run.

    They get back what they had: the loop that is running for them, and hooks for asynchronous generators.
    In a forked child it waits for ever: the loop's sockets are the parent's.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._process = os.getpid()
        self._others = _Running()

    def enter(self) -> None:
        """Our loop begins to run."""
        self._others = _Running()
        _Running.clear()

    def leave(self) -> None:
        """Our loop has ended."""
        self._others.restore()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events."""
        ours = _Running()
        self._others.restore()
        try:
            return self._selector.select(timeout)
        finally:
            self._others = _Running()
            if os.getpid() != self._process:  # a fork copies greenlets, unlike threads, and they go on
                threading.Event().wait()
            ours.restore()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a file, as the real selector does."""
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a file, as the real selector does."""
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is waited for, as the real selector does."""
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is registered with the real selector."""
        return self._selector.get_map()

    def close(self) -> None:
        """Close the real selector."""
        self._selector.close()


class _Running:
    """What asyncio and the interpreter keep for each thread of the operating system, as it is now."""

    def __init__(self) -> None:
        # Exported for implementations of event loops, of which this is one.
        self._loop = asyncio._get_running_loop()  # noqa: SLF001
        self._hooks = sys.get_asyncgen_hooks()

    def restore(self) -> None:
        """Make it so again."""
        asyncio._set_running_loop(self._loop)  # noqa: SLF001
        sys.set_asyncgen_hooks(*self._hooks)

    @staticmethod
    def clear() -> None:
        """No loop is running."""
        asyncio._set_running_loop(None)  # noqa: SLF001
        sys.set_asyncgen_hooks(None, None)
