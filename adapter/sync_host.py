"""The host of a synchronous server: our coroutines run in a portal, and its threads wait for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from adapter import seams, sync_seams
from adapter.greenlets import check_patched
from adapter.handlers import ending
from adapter.hosts import Around, AsyncMethod
from adapter.portal import Portal, PortalClosedError
from adapter.releases import check
from adapter.request_seams import explain_unknown_sessions
from adapter.tables import LockedTables

__all__ = ["SyncHost"]


class SyncHost:
    """A synchronous server; see `adapter.hosts.Host`.

    Args:
        manager: ours, of this server.
        portal: where our coroutines run.
    """

    def __init__(self, manager: LockedTables, portal: Portal) -> None:
        self.server: Any = None
        self.base: Any = LockedTables
        self.tables = manager.tables
        self._manager = manager
        self._portal = portal

    def take(self, server: Any) -> None:
        """Take the server, and prepare its WebSockets.

        Raises:
            ConfigurationError: it lacks something that we need, or its greenlets would wait for each other.
        """
        check(server, is_async=False)
        check_patched(server.eio.async_mode)
        sync_seams.watch_websockets(server, self._portal.later)
        explain_unknown_sessions(server)
        self.server = server
        self._client_left = sync_seams.hook(server, seams.CLIENT_LEFT, self._note_ending)

    def expose(self, replacement: AsyncMethod) -> Callable[..., Any]:
        """Return a function that runs the coroutine in the portal, and waits."""
        return partial(self._portal.call, replacement)

    def hook(self, name: str, replacement: AsyncMethod) -> AsyncMethod:
        """Replace a method; without a loop, once the manager is closed, the original is all there is."""

        def hooked(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._portal.call(replacement, *args, **kwargs)
            except PortalClosedError as exc:
                if name == seams.HANDLE_CONNECT:  # its client tries again, and finds another server
                    return sync_seams.abort(self.server, *args[:1])
                return None if exc.begun and name == seams.TRANSPORT_CLOSED else original(*args, **kwargs)

        original = sync_seams.hook(self.server, name, hooked)
        return partial(self.call, original)

    def surround(self, name: str, around: Around) -> None:
        """Surround a method, in the thread that calls it."""

        def surrounded(*args: Any) -> Any:
            result = None
            with around(*args) as wanted:
                result = original(*args) if wanted else self.server.not_handled
            return result  # noqa: RET504  # `around` may have swallowed an error

        original = sync_seams.hook(self.server, name, surrounded)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the thread that waits for us, or in one of its own."""
        return await self._portal.outside(partial(function, *args, **kwargs))

    async def stock(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of `Manager`, here: it does not wait."""
        with self.tables:
            return getattr(self.base, name)(self._manager, *args, **kwargs)

    async def abort(self, eio_sid: str) -> None:
        """Close a transport: nothing goes out any more from now on, and its handlers run in their own thread.

        In the waiting thread, the handlers of many transports would run one after the other.
        """
        socket = sync_seams.cut(self.server, eio_sid)
        if socket is not None:
            await self._portal.outside(partial(sync_seams.abort, self.server, eio_sid), alone=True)

    def give_up(self, socket: Any) -> None:
        """End a WebSocket; see `adapter.hosts.Host.give_up`."""
        sync_seams.give_up(socket)

    def watch(self, socket: Any, on_ping: Callable[[], None], on_pong: Callable[[], None]) -> None:
        """Watch a socket; see `adapter.hosts.Host.watch`."""
        sync_seams.close_once(socket)
        sync_seams.keep_close_apart(socket)
        sync_seams.watch_heartbeat(socket, self._portal.post, on_ping, on_pong)

    def _note_ending(self, eio_sid: str, namespace: str | None, *reason: str) -> None:
        """In place of what handles the end of a client: so that this thread ends no later one of its sid."""
        name = namespace or "/"
        sid = self._manager.sid_from_eio_sid(eio_sid, name)
        token = ending.set(None if sid is None else (name, sid, eio_sid))
        try:
            self._client_left(eio_sid, namespace, *reason)
        finally:
            ending.reset(token)

    def accepted(self, sid: str, namespace: str) -> None:
        """Note in the tables that a client is connected; the server does so when its thread gets to it."""
        with self.tables:
            if self._manager.is_pre_connected(sid, namespace):
                self.base.connect(self._manager, sid, namespace)
