"""A client of the demo: an `AsyncRecoveryClient` that knows several ways to lose its connection.

It never reconnects by itself: the demo says when, and to which server.
"""

import asyncio
import contextlib
import socket as sockets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from socketio.exceptions import ConnectionError as SocketIOConnectionError

from adapter.async_client import AsyncRecoveryClient
from adapter.demo.server import EVENT

__all__ = ["Accepted", "ConnectRefusedError", "DemoClient", "ProtocolError"]


class ProtocolError(Exception):
    """The server sent something that the demo cannot read."""


class ConnectRefusedError(Exception):
    """The server cannot be reached, does not want this client, or closed the connection at once."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server's answer to CONNECT.

    Attributes:
        recovered: the session of before goes on.
    """

    sid: str
    recovered: bool


@dataclass(slots=True)
class DemoClient:
    """One client; call `connect`, lose the connection in one of four ways, call `connect` again.

    Attributes:
        auth: sent with every CONNECT, beside pid and offset.
        on_event: called with the arguments of each event of the demo, and with its offset or None. It must
            not block, and what it raises ends the connection.
        sid: public id of the session; None before the first CONNECT.
    """

    auth: Mapping[str, Any]
    on_event: Callable[[tuple[Any, ...], str | None], None]
    sid: str | None = None
    _sio: Any = None  # python-socketio is untyped
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _error: Exception | None = None
    _abandoned: list[Any] = field(default_factory=list[Any])

    async def connect(self, url: str, *, timeout: float = 10.0) -> Accepted:  # noqa: ASYNC109 - as websockets has it
        """Open a connection to ``http://host:port`` and join the main namespace.

        Args:
            url: of the server, without a path.
            timeout: seconds for all of it.

        Raises:
            ConnectRefusedError: no connection, or not with this client.
        """
        if self._sio is None:
            self._sio = self._client()
        self._gone.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._sio.connect(
                    url, auth=dict(self.auth), transports=["websocket"], wait_timeout=timeout
                )
        except (SocketIOConnectionError, TimeoutError) as exc:
            raise ConnectRefusedError(f"{type(exc).__name__}: {exc}") from exc
        self.sid = self._sio.get_sid()
        return Accepted(str(self.sid), self._sio.recovered())

    async def lost(self) -> None:
        """Wait until the server, or the network, ends the connection; raise what went wrong in `on_event`.

        Returns at once if there is no connection.
        """
        if self._sio is not None and self._sio.connected:
            await self._gone.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def cut(self) -> None:
        """Cut the TCP connection without a word, as when a network breaks and says so."""
        if self._sio is not None and self._sio.connected:
            _cut(self._sio)
            await self._gone.wait()

    async def hang_up(self) -> None:
        """Close the transport in good order (Engine.IO CLOSE), as a browser's tab does that goes away."""
        if self._sio is not None:
            await self._sio.suspend()

    async def abandon(self) -> None:
        """Stop reading and answering, but leave the connection open, as when a network dies silently.

        Another client goes on with the state of this one, as after a restart of its process.
        """
        if self._sio is None or not self._sio.connected:
            return
        deaf, self._sio = self._sio, self._client()
        tasks = {deaf.eio.read_loop_task, deaf.eio.write_loop_task}
        while tasks:  # `asyncio.wait_for` of Python 3.11 may lose a cancellation to a packet that arrives
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=0.05)  # handlers, which never wait, run meanwhile
        self._sio.import_state(deaf.export_state())
        self._abandoned.append(deaf)

    async def disconnect(self) -> None:
        """Say goodbye (Socket.IO DISCONNECT), which ends the session, and forget abandoned connections."""
        if self._sio is not None:
            await self._sio.disconnect()
        await self.forget()

    async def forget(self) -> None:
        """Close every abandoned connection."""
        while self._abandoned:
            deaf = self._abandoned.pop()
            _cut(deaf)
            await deaf.eio.disconnect(abort=True)
            await deaf.eio.ws.close()  # in case that its reader had noticed the end of its writer

    def _client(self) -> Any:
        """A client that notes what happens to it, as long as it is the one in use."""
        sio = AsyncRecoveryClient(reconnection=False, handle_sigint=False)

        async def handle(*arguments: Any) -> None:
            session = sio.export_state()["namespaces"].get("/", {"offset": None})
            try:
                self.on_event(arguments, session["offset"])
            except Exception as exc:  # noqa: BLE001 - `lost` raises it
                self._error = exc
                await sio.disconnect()

        def note_end(*_reason: str) -> None:
            if sio is self._sio:
                self._gone.set()

        sio.on(EVENT, handle)
        sio.on("disconnect", note_end)
        return sio


def _cut(sio: Any) -> None:
    """Close a client's TCP connection under it."""
    socket = sio.eio.ws.get_extra_info("socket")
    if socket is not None:
        with contextlib.suppress(OSError):
            socket.shutdown(sockets.SHUT_RDWR)
