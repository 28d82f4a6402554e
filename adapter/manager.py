"""`RecoveryManager`: connection state recovery for `socketio.Server`, as its client manager.

It is to `AsyncRecoveryManager` what `socketio.Server` is to `socketio.AsyncServer`: the same operations,
settings and reasons, for threads, gevent and eventlet. What it does is written once, in `adapter.operations`;
here threads call that through a portal (`adapter.portal`).
"""

import contextlib
import inspect
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Unpack

from adapter import seams
from adapter.expiry import ExpiredHandler
from adapter.flask_queue import refuse_replacement
from adapter.gate import Identity, Predicate
from adapter.handlers import missed
from adapter.operations import Choices, Operations
from adapter.peers import can_use_offsets
from adapter.portal import Portal, PortalClosedError
from adapter.sync_host import SyncHost
from adapter.tables import LockedTables
from recovery.commands import AsyncStore
from recovery.entries import JsonModule
from recovery.errors import ConfigurationError, PublishError
from recovery.records import Recovery, Room
from recovery.settings import Settings, SettingsOptions
from recovery.stores import Client as StoreClient
from recovery.stores import open_async_store, renewed

__all__ = ["RecoveryManager"]


class RecoveryManager(LockedTables):
    """A client manager with connection state recovery, for a synchronous server.

    Args:
        url: the store: ``memory://`` (one process), ``redis://``, ``rediss://``, ``unix://``, the
            ``valkey`` spellings of these, ``embedded://[PATH]``; or a redis-py client, or a store of your
            own (`recovery.commands.AsyncStore`). Servers that share a store form a cluster.
        write_only: for a process without a server, that only emits, such as a Celery worker.
        logger: as of python-socketio's managers.
        json: the JSON module of a write-only manager; others use the server's.
        identity: ``identity(environ, auth)`` returns the user that a client proves to be, as text; a session
            is then recovered for the same user only.
        wants_offsets: ``wants_offsets(environ)`` tells whether a client can use offsets; by default all
            can but python-socketio's own clients, whose handlers an extra argument would break.
        volatile_events: names of events that are delivered to whoever is connected, and not recovered.
        session_expired: ``session_expired(session)`` is called with a `recovery.ExpiredSession` on one server
            of the cluster when a client has not returned in time.
        **settings: see `recovery.settings.Settings`.

    Raises:
        ConfigurationError: the URL or a setting does not fit; for a server with gevent or eventlet, also
            if the standard library is not patched.

    All methods may be called from any thread. They wait for the store, at most ``publish_timeout``.

    Example::

        manager = RecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
        sio = socketio.Server(async_mode="threading", client_manager=manager)
    """

    name = "recovery"

    def __init__(
        self,
        url: str | AsyncStore | StoreClient = "memory://",
        *,
        write_only: bool = False,
        logger: Any = None,
        json: JsonModule | None = None,
        identity: Identity | None = None,
        wants_offsets: Predicate = can_use_offsets,
        volatile_events: Collection[str] = (),
        session_expired: ExpiredHandler | None = None,
        **settings: Unpack[SettingsOptions],
    ) -> None:
        super().__init__()
        refuse_replacement(RecoveryManager)
        _refuse_coroutines(identity=identity, wants_offsets=wants_offsets, session_expired=session_expired)
        choices = Choices(
            write_only=write_only,
            identity=identity,
            wants_offsets=wants_offsets,
            volatile_events=volatile_events,
            session_expired=session_expired,
        )
        self.settings = Settings(**settings)
        self.write_only = write_only
        self.logger = logger
        if json is not None:
            self.json = json
        store = open_async_store(
            url, stream_name=self.settings.stream_name, session_key_prefix=self.settings.session_key_prefix
        )
        self._portal = Portal(self._spawn, forked=self._forked, last=self._let_go)
        self._host = SyncHost(self, self._portal)
        self._operations = Operations(self, self._host, store, self.settings, choices, self.json)
        self._closing = threading.Lock()

    # What python-socketio calls ------------------------------------------------------------------------

    def set_server(self, server: Any) -> None:
        """Take the server, and put the gate into its way; called by the server's constructor."""
        if self.write_only:
            raise ConfigurationError("a write-only manager cannot serve: leave out write_only=True")
        super().set_server(server)
        self._operations.take(server, self.json)
        self._stock_shutdown = server.shutdown
        server.shutdown = self._shutdown

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client its sid: the one that it had, or a fresh one."""
        sid: str | None = self._call(self._operations.pre_connect, eio_sid, namespace)
        return sid

    def connect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is connected, if it was not noted already when its CONNECT was sent.

        Before python-socketio 5.18 a server gives its transport, to begin with.
        """
        with self.tables:
            if self.is_pre_connected(sid, namespace):
                super().connect(sid, namespace)
                return sid
        return self.pre_connect(sid, namespace) if seams.BEGINS_WITH_CONNECT else sid

    def emit(
        self,
        event: str,
        data: Any = None,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        *,
        volatile: bool = False,
        ignore_queue: bool = False,
        **_kwargs: Any,
    ) -> None:
        """Emit an event to a client, to rooms, or to everyone in a namespace, as `Server.emit` does.

        Returns when the packet is in the stream, not when it was delivered.

        Args:
            event: its name.
            data: None for no argument, a tuple for several, anything else for one.
            namespace: "/" if left out.
            room: a sid, a room, or a list of rooms; everyone if left out.
            skip_sid: a sid, or a list of sids, to leave out.
            callback: called with the acknowledgement of a client; such a packet is not recovered.
            to: another name for `room`.
            volatile: deliver to whoever is connected; do not recover.
            ignore_queue: deliver to clients of this process only; do not recover.

        Raises:
            PublishError: the packet was not confirmed by the store; says whether it may be stored.
            EncodingError: the data cannot be sent; this is a `TypeError`, too.
        """
        target = room if to is None else to
        options = {"volatile": volatile, "ignore_queue": ignore_queue}
        arguments = (event, data, namespace, target, skip_sid, callback)
        if self._portal.is_inside or self.tables.is_mine:
            # The Admin UI emits from inside a change of rooms, which must not wait.
            self._portal.post(self._operations.emit_later, arguments, options)
        else:
            self._call(self._operations.emit, *arguments, **options)

    def can_disconnect(self, sid: str, namespace: str) -> bool:
        """End a client's session, and prepare to disconnect it after all that was emitted.

        When it returns, the session cannot be recovered. False if there is nothing to disconnect: the client
        is not here, or is to be disconnected when its connect handler returns.
        """
        return bool(self._keep_house("can_disconnect", sid, namespace))

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is on its way out; if it is still live, it or the server wants it so."""
        eio_sid: str | None = self._keep_house("pre_disconnect", sid, namespace)
        missed.set((namespace, sid) if eio_sid is None else None)
        return eio_sid

    def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a client from the tables, after its disconnect handler, or after it was refused."""
        if missed.get() == (namespace, sid):  # its sid may be somebody else's by now
            missed.set(None)
        else:
            self._keep_house("disconnect", sid, namespace, **kwargs)

    def enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put a client into a room, wherever it is; durable on return.

        Raises:
            LimitError: it is in ``max_rooms`` rooms already; nothing was changed.
            SaveError: it is in force, but the store did not confirm it.
            PublishError: for a client elsewhere: see `emit`.
        """
        self._call(self._operations.enter_room, sid, namespace, room, eio_sid)

    def leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take a client out of a room, wherever it is; durable on return; raises like `enter_room`.

        Within the client's own disconnect handler this is housekeeping, and does not count for its session:
        a client that comes back is in the rooms that it was in when its connection closed.
        """
        self._call(self._operations.leave_room, sid, namespace, room)

    def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room, on all servers, and those who are away; raises `PublishError`."""
        self._call(self._operations.close_room, room, namespace)

    # What applications call ----------------------------------------------------------------------------

    def recovery(self, sid: str, namespace: str | None = None) -> Recovery:
        """Tell whether a connected client was recovered, and if not, why not.

        The same record is in the connect handler's ``environ["socketio.recovery"]``.

        Raises:
            KeyError: no client of this process has this sid.

        Example::

            @sio.event
            def connect(sid, environ):
                if not sio.manager.recovery(sid).recovered:
                    sio.enter_room(sid, "lobby")
        """
        return self._operations.recovery(sid, namespace)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many clients that asked for recovery got it ("recovered"), and how many did not, by reason."""
        return self._operations.outcomes()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often this process has met what operators should know of, by the name of its log event.

        See `AsyncRecoveryManager.counters`.
        """
        return self._operations.counters()

    def close(self) -> None:
        """Close all connections, write what is left to write, and end all threads. Harmless when repeated.

        Handlers that are running have ``publish_timeout`` seconds for their end, and may emit in that time;
        no event gets its handler any more. The sessions stay recoverable, on other servers or on this one's
        successor. The manager cannot be used again.
        """
        if not self._closing.acquire(blocking=False):
            return  # another thread is at it, perhaps the one that waits for this one
        with contextlib.suppress(PortalClosedError):  # the process ends meanwhile, and closes it
            if self._portal.is_running:
                self._portal.call(self._operations.close)
        self._portal.close()

    # Inside --------------------------------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return self._portal.call(function, *args, **kwargs)
        except PortalClosedError as exc:
            outcome = "it is not known whether this was stored" if exc.begun else "nothing was stored"
            raise PublishError(f"{outcome}: {exc}", maybe_stored=exc.begun) from exc

    def _keep_house(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call an operation; once this manager is closed, all there is are python-socketio's tables."""
        try:
            return self._portal.call(getattr(self._operations, name), *args, **kwargs)
        except PortalClosedError:
            return getattr(super(), name)(*args, **kwargs)

    def _spawn(self, function: Callable[[], Any]) -> None:
        """Run a function in a thread of its own, whatever that is to the server."""
        if self.server is not None:
            self.server.start_background_task(function)
        else:
            threading.Thread(target=function, name="recovery.task", daemon=True).start()

    def _forked(self) -> None:
        """In a forked child: begin anew, with connections of our own, as nothing of the parent's is ours."""
        self.tables.forget()
        self._closing = threading.Lock()
        self._operations.renew(renewed)

    async def _let_go(self) -> None:
        """The process ends without a word to us: leave no open connection behind, which Python would tell."""
        await self._operations.process.let_go()

    def _shutdown(self) -> None:
        """In place of `Server.shutdown`: ends what is ours, too."""
        self._stock_shutdown()
        self.close()


def _refuse_coroutines(**functions: Any) -> None:
    for name, function in functions.items():
        if inspect.iscoroutinefunction(function):
            raise ConfigurationError(
                f"{name} is a coroutine function; a synchronous server calls plain functions"
            )
