"""What carries the WebSockets of an asyncio server: how one is ended, and how it leaves nothing behind.

Private names, checked on the releases that `adapter.seams` names:

- Engine.IO server: ``_async["websocket"]`` makes what carries a WebSocket, from the socket's bound method.
  It is called with the environ, and returns when the WebSocket has ended. One task of the socket, the writer,
  polls and calls its ``send``, others call its ``wait``; an exception ends either, and with it the socket.
  Only a handshake sends and waits in one task.
  ``_async["translate_request"]`` makes the environ of an ASGI request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import ref

from adapter.polls import keep_close_apart, use_packet_queues

__all__ = ["give_up", "watch_websockets"]

_CLOSE_PATIENCE = 5.0  # seconds for which the word to close may wait behind what the client does not take


class _WatchedWebSocket:
    """Mixed into what carries a WebSocket: it knows which tasks use it, and can end them."""

    def __init__(self, handler: Any, *args: Any) -> None:
        super().__init__(handler, *args)  # type: ignore[call-arg]  # of the class that this is mixed into
        self.given_up = False
        self.sender: asyncio.Task[Any] | None = None
        self.reader: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None
        keep_close_apart(handler.__self__)  # before its first poll, which would make a task
        handler.__self__.carrier = ref(self)  # a name of ours; as this holds the socket, it must be weak

    async def __call__(self, environ: Any) -> Any:
        """Serve the transport to its end, and leave nothing of it to the garbage collector.

        The error that ends it holds all frames that it came through, and a task in one of them holds it.
        """
        try:
            return await super().__call__(environ)  # type: ignore[misc]  # as above
        finally:
            self.sender = None
            if self.error is not None:
                self.error.__traceback__ = None

    def send(self, message: Any) -> Awaitable[None]:
        """Send a packet; waits while the client does not take it."""
        if self.sender is None:
            self.sender = asyncio.current_task()
        sending: Awaitable[None] = super().send(message)  # type: ignore[misc]  # as above
        return sending

    async def wait(self) -> Any:
        """Wait for the client's next packet."""
        self.reader = asyncio.current_task()
        if self.reader is self.sender:
            self.sender = None  # it sent for the handshake, before the writer began
        try:
            return await super().wait()  # type: ignore[misc]  # as above
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            self.reader = None

    async def close(self) -> None:
        """Say that it is closed, and be patient with the client, but not for ever."""
        if self.given_up:
            return
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await super().close()  # type: ignore[misc]  # as above
        except TimeoutError:
            self.end()

    def end(self) -> None:
        """End the tasks that are in it, and the connection, without a word to the client."""
        self.given_up = True
        for task in (self.sender, self.reader):
            if task is not None:
                task.cancel()
        _reset(self)


def watch_websockets(server: Any) -> None:
    """Have the WebSockets of a server be such that `give_up` can end them. Once, before it has sockets."""
    use_packet_queues(server.eio)
    base = server.eio._async["websocket"]
    if base is None:
        return
    watched = type("WatchedWebSocket", (_WatchedWebSocket, base), {})
    server.eio._async = {**server.eio._async, "websocket": watched}
    if server.eio.async_mode == "asgi":
        server.eio._async["translate_request"] = _without_bodies(server.eio._async["translate_request"])


class _NoBody:
    """The body of a request that has none."""

    async def read(self, _length: int | None = None) -> bytes:
        return b""


_NO_BODY = _NoBody()


def _without_bodies(translate: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Have the environ of a WebSocket hold no body.

    python-engineio (4.15.1) makes a class for the body of each request. It takes more memory than all that we
    keep of a client, and holds all that the ASGI server has of the connection, for the collector to find.
    """

    async def translated(scope: Any, receive: Any, send: Any) -> Any:
        environ = await translate(scope, receive, send)
        if scope["type"] == "websocket" and environ:
            environ["wsgi.input"] = _NO_BODY
        return environ

    return translated


def give_up(socket: Any) -> None:
    """End a WebSocket on which sending hangs, because its client does not read or its network is dead.

    python-engineio (4.15.1) waits for its writer without a limit, and the writer for the client: the tasks,
    and all packets that the writer took out of the queue, would stay for as long as TCP has patience, which
    is for ever with a client that answers and does not read.
    """
    carrier = getattr(socket, "carrier", None)
    websocket = None if carrier is None else carrier()
    if websocket is not None and websocket.sender is not None and not socket.queue.is_awaited():
        websocket.end()


def _reset(websocket: Any) -> None:
    """Reset the connection, where the ASGI server lets us: else what is in its buffer stays until TCP ends.

    uvicorn (0.54) does: what it hands out as ``send`` is a method of what has the transport.
    """
    owner = getattr(getattr(websocket, "asgi_send", None), "__self__", None)
    abort_transport = getattr(getattr(owner, "transport", None), "abort", None)
    if callable(abort_transport):
        abort_transport()
