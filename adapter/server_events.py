"""Events for the servers themselves, and the application's handlers for them."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from adapter.hosts import Host
from recovery.core.control import ServerEvent
from recovery.records import Namespace

__all__ = ["ServerEventHandler", "ServerEvents", "Unanswered"]

logger = logging.getLogger("recovery.servers")

ServerEventHandler = Callable[..., Any]
"""Called with the arguments of the event; what it returns (or an awaitable of it) is this server's answer."""


class Unanswered(Exception):  # noqa: N818  # no error: there is nobody to answer
    """This server has no answer: no handler, or one that failed."""


class ServerEvents:
    """The handlers of one manager; they stay when a process forks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._handlers: dict[tuple[Namespace, str], ServerEventHandler] = {}

    def on(self, event: str, handler: ServerEventHandler, namespace: Namespace) -> None:
        """Have a handler called, in place of any other for this event."""
        self._handlers[namespace, event] = handler

    def namespaces(self) -> set[Namespace]:
        """The namespaces that have handlers."""
        return {namespace for namespace, _ in self._handlers}

    async def take(self, event: ServerEvent) -> None:
        """Call the handler of an event that came through the stream: nobody waits for an answer."""
        with contextlib.suppress(Unanswered):
            await self.run(event.namespace, event.args)

    async def run(self, namespace: Namespace, args: Sequence[Any]) -> Any:
        """Call the handler of an event, and return its answer.

        Raises:
            Unanswered: there is no answer.
        """
        handler = self._handlers.get((namespace, args[0]))
        if handler is None:
            raise Unanswered
        try:
            return await self._host.call(handler, *args[1:])
        except Exception as exc:
            logger.exception(
                "the handler of server event %r failed", args[0], extra={"event": "handler.failed"}
            )
            raise Unanswered from exc
