"""What surrounds the handlers of the application, in the thread or task in which they run.

1. What a connect or disconnect handler does to its own client counts as done to it, although that is not
   connected: such a handler runs "for" its client.
2. A client that sends an event named "connect" or "disconnect" does not get to run these handlers.
3. Python's own `ConnectionRefusedError` refuses a client, on every release of python-socketio.
4. A disconnect handler runs once for a client, even if two threads are at its end.
5. A disconnect handler that raises is logged, and its client's sid is freed all the same.
6. A manager that closes waits for the handlers that are running, so that they can emit to their end. Once it
   has begun to close, no event gets its handler any more: such a handler could not emit.
"""

import asyncio
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from socketio.exceptions import ConnectionRefusedError as RefusedError

from adapter.clients import Client, Clients
from recovery.core.connection import Connection, Phase

__all__ = [
    "Ending",
    "Handlers",
    "ending",
    "handled_connect",
    "handled_disconnect",
    "handling",
    "is_another",
    "missed",
]

logger = logging.getLogger("recovery.gate")

_LOOK_EVERY = 0.01  # seconds; handlers end in any thread, and only who closes wants to know

handled_disconnect: ContextVar[Client | None] = ContextVar("handled_disconnect", default=None)
"""The client whose disconnect handler is running."""

handled_connect: ContextVar[Client | None] = ContextVar("handled_connect", default=None)
"""The client whose connect handler is running."""

Ending = tuple[str, str, str]

ending: ContextVar[Ending | None] = ContextVar("ending", default=None)
"""The namespace, sid and transport whose end this thread is at. The sid may be another transport's by now."""

missed: ContextVar[tuple[str, str] | None] = ContextVar("missed", default=None)
"""The namespace and sid of a client to whose end this thread came too late: another one has seen to it."""

_mine: ContextVar[object] = ContextVar("mine", default=None)
"""The handler that this code is part of; see `Handlers`."""


class Handlers:
    """Which handlers are running in this process; safe from any thread."""

    def __init__(self) -> None:
        self._running: set[object] = set()  # changed in single steps

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """Surround a handler."""
        handler = object()
        token = _mine.set(handler)
        self._running.add(handler)
        try:
            yield
        finally:
            self._running.discard(handler)
            _mine.reset(token)

    async def end(self) -> None:
        """Wait until all have ended, but for the one that waits here."""
        while self._running - {_mine.get()}:  # noqa: ASYNC110 - threads, too, end them, which set no such event
            await asyncio.sleep(_LOOK_EVERY)


@contextmanager
def handling(clients: Clients, event: Any, namespace: str, sid: str) -> Generator[bool, None, None]:
    """Surround a handler; tell whether it is to run.

    Args:
        event: its name, or whatever a client sent in place of one, which need not even have a hash.
    """
    if event == "connect":
        client = clients.find(namespace, sid)
        with _for(client, handled_connect), _refusing():
            yield client is None or client.asking
    elif event == "disconnect" and missed.get() == (namespace, sid):
        yield False
    elif event == "disconnect":
        client = clients.find(namespace, sid)
        with _for(client, handled_disconnect), _logging_errors(sid):
            yield client is None or (client.connection.phase is not Phase.LIVE and _first(client))
    else:
        yield True


_farewell = threading.Lock()


def _first(client: Client) -> bool:
    with _farewell:
        first, client.seen_off = not client.seen_off, True
    return first


def is_another(connection: Connection[Any]) -> bool:
    """Whether the end at which this thread is was that of an earlier connection with the same sid."""
    end = ending.get()
    if end is None or end[:2] != (connection.namespace, connection.sid):
        return False
    return end[2] != connection.transport


@contextmanager
def _for(client: Client | None, handled: ContextVar[Client | None]) -> Generator[None, None, None]:
    token = handled.set(client)
    try:
        yield
    finally:
        handled.reset(token)


@contextmanager
def _refusing() -> Generator[None, None, None]:
    try:
        yield
    except ConnectionRefusedError as exc:  # a refusal, in these words, from 5.14.3 on; before, an error
        raise RefusedError("Connection refused by server") from exc


@contextmanager
def _logging_errors(sid: str) -> Generator[None, None, None]:
    try:
        yield
    except Exception:
        logger.exception("a disconnect handler failed", extra={"event": "handler.failed", "sid": sid})
