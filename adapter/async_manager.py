"""`AsyncRecoveryManager`: connection state recovery for `socketio.AsyncServer`, as its client manager.

It replaces `socketio.AsyncRedisManager` and its like: emits, rooms and disconnects go through one stream
that all servers of the cluster share, and whose recent part answers what a client missed.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Unpack

from adapter.expiry import ExpiredHandler
from adapter.gate import Gate, Identity, Predicate
from adapter.hosts import AsyncHost
from adapter.operations import Choices, Operations
from adapter.peers import can_use_offsets
from adapter.process import Process
from adapter.releases import AsyncManager
from recovery.commands import AsyncStore
from recovery.entries import JsonModule
from recovery.errors import ConfigurationError
from recovery.records import Recovery, Room
from recovery.settings import Settings, SettingsOptions
from recovery.stores import Client as StoreClient
from recovery.stores import open_async_store

__all__ = ["AsyncRecoveryManager"]


class AsyncRecoveryManager(AsyncManager):
    """A client manager with connection state recovery, for an asyncio server.

    Args:
        url: the store: ``memory://`` (one process), ``redis://``, ``rediss://``, ``unix://``, the
            ``valkey`` spellings of these, ``embedded://[PATH]``; or a redis-py client, or a store of your
            own (`recovery.commands.AsyncStore`). Servers that share a store form a cluster.
        write_only: for a process without a server, that only emits.
        logger: as of python-socketio's managers.
        json: the JSON module of a write-only manager; others use the server's.
        identity: ``identity(environ, auth)`` returns the user that a client proves to be, as text (or an
            awaitable of it); a session is then recovered for the same user only.
        wants_offsets: ``wants_offsets(environ)`` tells whether a client can use offsets; by default all
            can but python-socketio's own clients, whose handlers an extra argument would break.
        volatile_events: names of events that are delivered to whoever is connected, and not recovered.
        session_expired: ``session_expired(session)``, a function or a coroutine function, is called with a
            `recovery.ExpiredSession` on one server of the cluster when a client has not returned in time.
        **settings: see `recovery.settings.Settings`.

    Raises:
        ConfigurationError: the URL or a setting does not fit.

    Example::

        manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
        sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
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
        self._host = AsyncHost(self)
        self._operations = Operations(self, self._host, store, self.settings, choices, self.json)

    @property
    def _process(self) -> Process:
        return self._operations.process

    @property
    def _gate(self) -> Gate | None:
        return self._operations.gate

    # What python-socketio calls ------------------------------------------------------------------------

    def set_server(self, server: Any) -> None:
        """Take the server, and put the gate into its way; called by the server's constructor."""
        if self.write_only:
            raise ConfigurationError("a write-only manager cannot serve: leave out write_only=True")
        super().set_server(server)
        self._operations.take(server, self.json)
        self._stock_shutdown = self._host.hook("shutdown", self._shutdown)

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client its sid: the one that it had, or a fresh one."""
        return await self._operations.pre_connect(eio_sid, namespace)

    async def emit(
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
        """Emit an event to a client, to rooms, or to everyone in a namespace, as `AsyncServer.emit` does.

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
        await self._operations.emit(
            event,
            data,
            namespace,
            room if to is None else to,
            skip_sid,
            callback,
            volatile=volatile,
            ignore_queue=ignore_queue,
        )

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """End a client's session, and prepare to disconnect it after all that was emitted.

        When it returns, the session cannot be recovered. False if there is nothing to disconnect: the client
        is not here, or is to be disconnected when its connect handler returns.
        """
        return await self._operations.can_disconnect(sid, namespace)

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is on its way out; if it is still live, it or the server wants it so."""
        return self._operations.pre_disconnect(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a client from the tables, after its disconnect handler, or after it was refused."""
        await self._operations.disconnect(sid, namespace, **kwargs)

    async def enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put a client into a room, wherever it is; durable on return.

        Raises:
            LimitError: it is in ``max_rooms`` rooms already; nothing was changed.
            SaveError: it is in force, but the store did not confirm it.
            PublishError: for a client elsewhere: see `emit`.
        """
        await self._operations.enter_room(sid, namespace, room, eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take a client out of a room, wherever it is; durable on return; raises like `enter_room`.

        Within the client's own disconnect handler this is housekeeping, and does not count for its session:
        a client that comes back is in the rooms that it was in when its connection closed.
        """
        await self._operations.leave_room(sid, namespace, room)

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room, on all servers, and those who are away; raises `PublishError`."""
        await self._operations.close_room(room, namespace)

    # What applications call ----------------------------------------------------------------------------

    def recovery(self, sid: str, namespace: str | None = None) -> Recovery:
        """Tell whether a connected client was recovered, and if not, why not.

        The same record is in the connect handler's ``environ["socketio.recovery"]``.

        Raises:
            KeyError: no client of this process has this sid.

        Example::

            @sio.event
            async def connect(sid, environ):
                if not sio.manager.recovery(sid).recovered:
                    await sio.enter_room(sid, "lobby")
        """
        return self._operations.recovery(sid, namespace)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many clients that asked for recovery got it ("recovered"), and how many did not, by reason."""
        return self._operations.outcomes()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often this process has met what operators should know of, by the name of its log event.

        ``stream.cut`` (batches), ``entry.skipped`` (entries), ``reader.gap``, ``reader.failed``,
        ``client.slow`` and ``recover.guessing`` (pids that were not looked up); one that has not happened
        is missing. The log says the frequent ones now and then.
        """
        return self._operations.counters()

    async def close(self) -> None:
        """Close all connections, write what is left to write, and end all tasks. Harmless when repeated.

        Handlers that are running have ``publish_timeout`` seconds for their end, and may emit in that time;
        no event gets its handler any more. The sessions stay recoverable, on other servers or on this one's
        successor. The manager cannot be used again.
        """
        await self._operations.close()

    async def _shutdown(self) -> None:
        """In place of `AsyncServer.shutdown`: ends what is ours, too."""
        await self._stock_shutdown()
        await self.close()
