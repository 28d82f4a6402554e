"""What surrounds the handlers of the application, in the thread or task in which they run.

1. What a connect or disconnect handler does to its own client counts as done to it, although that is not
   connected: such a handler runs "for" its client.
2. A client that sends an event named "connect" or "disconnect" does not get to run these handlers.
3. A disconnect handler that raises is logged, and its client's sid is freed all the same.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from adapter.clients import Client, Clients
from recovery.core.connection import Phase

__all__ = ["handled_connect", "handled_disconnect", "handling"]

logger = logging.getLogger("recovery.gate")

handled_disconnect: ContextVar[Client | None] = ContextVar("handled_disconnect", default=None)
"""The client whose disconnect handler is running."""

handled_connect: ContextVar[Client | None] = ContextVar("handled_connect", default=None)
"""The client whose connect handler is running."""


@contextmanager
def handling(clients: Clients, event: Any, namespace: str, sid: str) -> Generator[bool, None, None]:
    """Surround a handler; tell whether it is to run.

    Args:
        event: its name, or whatever a client sent in place of one, which need not even have a hash.
    """
    if event == "connect":
        client = clients.find(namespace, sid)
        with _for(client, handled_connect):
            yield client is None or client.asking
    elif event == "disconnect":
        client = clients.find(namespace, sid)
        with _for(client, handled_disconnect), _logging_errors(sid):
            yield client is None or client.connection.phase is not Phase.LIVE
    else:
        yield True


@contextmanager
def _for(client: Client | None, handled: ContextVar[Client | None]) -> Generator[None, None, None]:
    token = handled.set(client)
    try:
        yield
    finally:
        handled.reset(token)


@contextmanager
def _logging_errors(sid: str) -> Generator[None, None, None]:
    try:
        yield
    except Exception:
        logger.exception("a disconnect handler failed", extra={"event": "handler.failed", "sid": sid})
