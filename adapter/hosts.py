"""What colour a server has: how our coroutines get at it, and how it calls them.

All of our own logic is written once, as coroutines. A host stands between it and python-socketio, whose
servers exist in two colours, and between it and the functions of the application:

1. What the server is to call in place of its own methods goes through `Host.hook` and `Host.surround`.
2. Methods of the server that may take time, and every function of the application, go through `Host.call`.
3. What does not wait, such as a look at a table, needs no host.

This file has the host of an asyncio server; that of a synchronous one is in `adapter.sync_host`.
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from adapter import seams
from adapter.releases import AsyncManager, check
from adapter.request_seams import explain_unknown_sessions

__all__ = ["Around", "AsyncHost", "AsyncMethod", "Host"]

AsyncMethod = Callable[..., Awaitable[Any]]
"""A coroutine function with the parameters of the server's method that it stands for."""

Around = Callable[..., AbstractContextManager[bool, bool | None]]
"""Called with the arguments of a method; tells whether that is to run, and may swallow what it raises."""


class Host(Protocol):
    """A server of either colour, or a process without one.

    Attributes:
        server: None in a process that only emits.
        base: the manager that ours inherits from.
    """

    server: Any  # python-socketio ships no types
    base: Any

    @property
    def tables(self) -> AbstractContextManager[Any, bool | None]:
        """To be held while python-socketio's tables are changed, and never while waiting."""
        ...

    def take(self, server: Any) -> None:
        """Take the server, and prepare its WebSockets.

        Raises:
            ConfigurationError: it lacks something that we need.
        """

    def expose(self, replacement: AsyncMethod) -> Callable[..., Any]:
        """Return what a server of this colour calls in order to run a coroutine function of ours."""
        ...

    def hook(self, name: str, replacement: AsyncMethod) -> AsyncMethod:
        """Put a coroutine function in place of a method of the server; return the original as one."""
        ...

    def surround(self, name: str, around: Around) -> None:
        """Run a method of the server inside `around`, in the thread or task of its caller."""

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the server, or a function of the application, and wait for its end."""
        ...

    async def stock(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that our manager overrides, as its base class has it; one that does not wait."""
        ...

    def give_up(self, socket: Any) -> None:
        """End a WebSocket on which sending hangs."""

    async def abort(self, eio_sid: str) -> None:
        """Close a transport at once, as if the network had; returns when its handlers have finished."""

    def watch(self, socket: Any, on_ping: Callable[[], None], on_pong: Callable[[], None]) -> None:
        """Call back where our coroutines run when a PING is put into a socket's queue, and for each PONG.

        From then on, too, it is closed once, and its CLOSE shares no payload. When a PING is noted, all that
        was sent before is in the queue before it, and nothing else is.
        """

    def accepted(self, sid: str, namespace: str) -> None:
        """A client's CONNECT is in the queue: it is connected now, whatever comes in between."""


class AsyncHost:
    """An asyncio server: our coroutines run in its loop, and take each other's place as they are.

    Args:
        manager: ours, of this server.
    """

    def __init__(self, manager: Any) -> None:
        self.server: Any = None
        self.base: Any = AsyncManager
        self.tables: AbstractContextManager[Any, bool | None] = nullcontext()  # all is in one loop
        self._manager = manager

    def take(self, server: Any) -> None:
        """Take the server; see `Host.take`."""
        check(server, is_async=True)
        seams.watch_websockets(server)
        explain_unknown_sessions(server)
        self.server = server

    def expose(self, replacement: AsyncMethod) -> Callable[..., Any]:
        """Return the coroutine function itself."""
        return replacement

    def hook(self, name: str, replacement: AsyncMethod) -> AsyncMethod:
        """Replace a method; see `Host.hook`."""
        return seams.hook(self.server, name, replacement)

    def surround(self, name: str, around: Around) -> None:
        """Surround a method; see `Host.surround`."""

        async def surrounded(*args: Any) -> Any:
            result = None
            with around(*args) as wanted:
                result = await original(*args) if wanted else self.server.not_handled
            return result  # noqa: RET504  # `around` may have swallowed an error

        original = seams.hook(self.server, name, surrounded)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function, and await its result if it has to be."""
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def stock(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of `AsyncManager`."""
        return await self.call(getattr(self.base, name), self._manager, *args, **kwargs)

    async def abort(self, eio_sid: str) -> None:
        """Close a transport; see `Host.abort`."""
        await seams.abort(self.server, eio_sid)

    def give_up(self, socket: Any) -> None:
        """End a WebSocket; see `Host.give_up`."""
        seams.give_up(socket)

    def watch(self, socket: Any, on_ping: Callable[[], None], on_pong: Callable[[], None]) -> None:
        """Watch a socket; between a PING and its note nothing else can happen in one loop."""
        seams.keep_close_apart(socket)
        seams.watch_heartbeat(socket, on_ping, on_pong)

    def accepted(self, sid: str, namespace: str) -> None:
        """Note it, where the server does not; since 5.18 it does, in the same turn of the loop."""
        if seams.BEGINS_WITH_CONNECT:
            seams.connected(self._manager, sid, namespace)
