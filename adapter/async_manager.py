"""`AsyncRecoveryManager`: connection state recovery for `socketio.AsyncServer`, as its client manager.

It replaces `socketio.AsyncRedisManager` and its like: emits, rooms and disconnects go through one stream
that all servers of the cluster share, and whose recent part answers what a client missed.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from socketio import AsyncManager

from adapter import seams
from adapter.async_effects import AsyncEffects
from adapter.async_expiry import ExpiredHandler
from adapter.async_gate import Gate, Identity, Predicate
from adapter.async_process import AsyncProcess
from adapter.clients import Client
from adapter.emits import arguments_of, audience_of
from adapter.peers import can_use_offsets
from adapter.user_sessions import UserSessions
from recovery.commands import AsyncStore
from recovery.core.connection import Phase
from recovery.core.packets import AckRequest
from recovery.entries import JsonModule, Kind
from recovery.errors import ConfigurationError, PublishError
from recovery.records import Audience, Namespace, Recovery, Room, Sid
from recovery.rooms import check_rooms
from recovery.settings import Settings, SettingsOptions
from recovery.stores import Client as StoreClient
from recovery.stores import open_async_store

__all__ = ["AsyncRecoveryManager"]

logger = logging.getLogger("recovery.manager")

_MOST_ACKS = 10_000
"""Acknowledgements that one client may owe; the oldest is given up first."""


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
        if isinstance(volatile_events, str):
            raise ConfigurationError(f"volatile_events is {volatile_events!r}, expected a list of names")
        if session_expired is not None and (write_only or not callable(session_expired)):
            raise ConfigurationError(
                f"session_expired is {session_expired!r}, expected a function of a server"
            )
        self.settings = Settings(**settings)
        self.write_only = write_only
        self.logger = logger
        if json is not None:
            self.json = json
        store = open_async_store(
            url, stream_name=self.settings.stream_name, session_key_prefix=self.settings.session_key_prefix
        )
        self._process = AsyncProcess(store, self.settings, self.json, self._ack_id)
        self._process.session_expired = session_expired
        self._identity = identity
        self._wants_offsets = wants_offsets
        self._volatile_events = frozenset(volatile_events)
        self._ack_ids = itertools.count(secrets.randbits(40))
        self._gate: Gate | None = None

    # What python-socketio calls ------------------------------------------------------------------------

    def set_server(self, server: Any) -> None:
        """Take the server, and put the gate into its way; called by the server's constructor."""
        if self.write_only:
            raise ConfigurationError("a write-only manager cannot serve: leave out write_only=True")
        super().set_server(server)
        process = self._process
        process.server, process.json = server, self.json
        effects = AsyncEffects(process)
        process.front_end, process.lost = effects, effects.evict
        self._gate = Gate(process, identity=self._identity, wants_offsets=self._wants_offsets)
        UserSessions(process)
        self._stock_shutdown = seams.hook(server, "shutdown", self._shutdown)

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client its sid: the one that it had, or a fresh one."""
        client = self._gate.take_admitted(eio_sid, namespace) if self._gate is not None else None
        if client is None:
            sid: str | None = await super().pre_connect(eio_sid, namespace)
            return sid
        connection = client.connection
        seams.register(self, connection.sid, eio_sid, namespace, list(connection.membership.rooms()))
        socket = seams.socket_of(self.server, eio_sid)
        if socket is not None and connection.recovery.recovered:
            socket.session[namespace] = dict(connection.user_session)
        return connection.sid

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
        name, target = Namespace(namespace or "/"), room if to is None else to
        audience, args = audience_of(target, skip_sid), arguments_of(event, data)
        if callback is not None:
            self._check_callback(target)
        with self._process.requests.expecting(callback) as request_id:
            if ignore_queue:
                self._deliver_here(name, args, audience, request_id)
                return
            runtime = self._process.runtime
            volatile = volatile or event in self._volatile_events
            draft = runtime.drafts.broadcast(name, args, audience, volatile=volatile, request_id=request_id)
            await self._process.follow_stream()
            await runtime.publish(draft)

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """End a client's session, and prepare to disconnect it after all that was emitted.

        When it returns, the session cannot be recovered. False if there is nothing to disconnect: the client
        is not here, or is to be disconnected when its connect handler returns.
        """
        client = self._process.clients.find(namespace, sid)
        runtime = self._process.runtime
        if client is None and seams.knows(self, sid, namespace):
            return bool(await super().can_disconnect(sid, namespace))
        if client is not None and client.held:
            client.doomed = True
            await self._end_session(client)
            return False
        if client is not None:
            await runtime.passed(runtime.dispatcher.published, self.settings.publish_timeout)
        if client is not None and client.connection.phase is Phase.LIVE:
            runtime.dispatcher.end(client.connection)
            try:
                await self._end_session(client)
            except PublishError:  # its session may go on, but not on this connection, which gets nothing more
                await seams.abort(self.server, client.connection.transport)
                raise
        else:
            await self._end_elsewhere(sid, namespace)
        return bool(self.is_connected(sid, namespace))

    def pre_disconnect(self, sid: str, namespace: str) -> Any:
        """Note that a client is on its way out; if it is still live, it or the server wants it so."""
        if not seams.knows(self, sid, namespace):
            return None  # its transport closed while its connect handler ran, which now refuses it
        client = self._process.clients.find(namespace, sid)
        if client is not None and client.connection.phase is Phase.LIVE:
            self._process.runtime.dispatcher.end(client.connection)
            client.ending = self._process.background.start(self._end_quietly(client))
        return super().pre_disconnect(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a client from the tables, after its disconnect handler, or after it was refused."""
        client = self._process.clients.find(namespace, sid)
        if client is not None and client.connection.phase is Phase.HELD and self._gate is not None:
            self._gate.note_refusal(client)
        if client is not None and client.ending is not None:
            await asyncio.wait([client.ending])  # whoever comes with its pid now must find that
        await super().disconnect(sid, namespace, **kwargs)
        if client is not None and not client.asking:
            self._process.clients.remove(client)

    async def enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put a client into a room, wherever it is; durable on return.

        Raises:
            LimitError: it is in ``max_rooms`` rooms already; nothing was changed.
            SaveError: it is in force, but the store did not confirm it.
            PublishError: for a client elsewhere: see `emit`.
        """
        check_rooms((room,))
        if self._process.is_elsewhere(sid, namespace):
            await self._change_rooms_elsewhere(Kind.JOIN, namespace, sid, room)
            return
        client = self._process.clients.find(namespace, sid)
        if client is not None:
            client.connection.membership.check_space(room, self.settings.max_rooms)
        self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if client is not None and client.connection.phase is not Phase.ENDED:
            self._process.runtime.dispatcher.enter(client.connection, room)
            await self._process.sessions.save_change(client)

    async def leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take a client out of a room, wherever it is; durable on return; raises like `enter_room`.

        Within the client's own disconnect handler this is housekeeping, and does not count for its session:
        a client that comes back is in the rooms that it was in when its connection closed.
        """
        check_rooms((room,))
        if self._process.is_elsewhere(sid, namespace):
            await self._change_rooms_elsewhere(Kind.LEAVE, namespace, sid, room)
            return
        self.basic_leave_room(sid, namespace, room)
        client = self._process.clients.find(namespace, sid)
        if client is not None and client.connection.phase is not Phase.ENDED:
            self._process.runtime.dispatcher.leave(client.connection, room)
            await self._process.sessions.save_change(client)

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room, on all servers, and those who are away; raises `PublishError`."""
        name = Namespace(namespace or "/")
        check_rooms((room,))
        if self.is_sid_room(name, room):
            raise ValueError("cannot close a sid room")
        runtime = self._process.runtime
        await self._process.follow_stream()
        offset = await runtime.publish(
            runtime.drafts.change_rooms(Kind.LEAVE, name, Audience((room,)), (room,))
        )
        if self.server is not None:
            await runtime.passed(offset, self.settings.publish_timeout)

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
        client = self._process.clients.find(namespace or "/", sid)
        if client is None:
            raise KeyError(f"no client {sid!r} in namespace {namespace or '/'!r} of this process")
        return client.connection.recovery

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many clients that asked for recovery got it ("recovered"), and how many did not, by reason."""
        return {} if self._gate is None else dict(+self._gate.outcomes)

    @property
    def counters(self) -> Mapping[str, int]:
        """How often this process has met what operators should know of, by the name of its log event.

        ``stream.cut`` (batches), ``entry.skipped`` (entries), ``reader.gap``, ``reader.failed``,
        ``client.slow`` and ``recover.guessing`` (pids that were not looked up); one that has not happened
        is missing. The log says the frequent ones now and then.
        """
        refused = 0 if self._gate is None else self._gate.guesses.refused
        return {**self._process.counts(), **({"recover.guessing": refused} if refused else {})}

    async def close(self) -> None:
        """Close all connections, write what is left to write, and end all tasks. Harmless when repeated.

        The sessions stay recoverable, on other servers or on this one's successor. The manager cannot be
        used again.
        """
        await self._process.close()

    # Inside --------------------------------------------------------------------------------------------

    async def _end_session(self, client: Client) -> None:
        """End a session for good; if it has moved on already, where it is now."""
        if not await self._process.sessions.end(client):
            await self._end_elsewhere(client.connection.sid, client.connection.namespace)

    async def _end_quietly(self, client: Client) -> None:
        """End a session where nobody can be told of a failure but the log."""
        try:
            await self._end_session(client)
        except PublishError as exc:
            logger.warning(
                "session of %s is not ended: %s",
                client.connection.sid,
                exc,
                extra={"event": "save.failed", "sid": client.connection.sid},
            )

    async def _end_elsewhere(self, sid: str, namespace: str) -> None:
        """End the session of a client on another server, on its way there, or away: the stream tells it."""
        runtime = self._process.runtime
        await runtime.publish(runtime.drafts.disconnect(Namespace(namespace), Audience((Sid(sid),))))

    def _check_callback(self, target: Any) -> None:
        if self.server is None:
            raise RuntimeError("callbacks can only be issued from the context of a server")
        if target is None:
            raise ValueError("cannot use a callback without a room: name a sid")

    def _deliver_here(
        self, namespace: Namespace, args: Sequence[Any], audience: Audience, request_id: str | None
    ) -> None:
        """Deliver to clients of this process, at once."""
        runtime = self._process.runtime
        ack = None if request_id is None else AckRequest(runtime.server, request_id)
        effects = runtime.dispatcher.deliver_local(namespace, args, audience, ack)
        if self._process.front_end is not None:
            self._process.front_end.carry_out(effects)

    def _ack_id(self, namespace: Namespace, sid: Sid, ack: AckRequest) -> int:
        """Note where an acknowledgement goes; its id is unlike any that another process gave this client."""
        ack_id = next(self._ack_ids)
        waiting = self.callbacks.setdefault(sid, {})
        waiting[ack_id] = partial(self._acknowledged, namespace, ack)
        if len(waiting) > _MOST_ACKS:  # a client need not answer, ever
            del waiting[next(iter(waiting))]
        return ack_id

    async def _acknowledged(self, namespace: Namespace, ack: AckRequest, *args: Any) -> None:
        runtime = self._process.runtime
        if ack.server == runtime.server:
            await self._process.requests.acknowledge(ack.request_id, args)
        else:
            await self._process.answer(
                lambda: runtime.drafts.acknowledge(namespace, ack.server, ack.request_id, args)
            )

    async def _change_rooms_elsewhere(self, kind: Kind, namespace: str, sid: str, room: Room) -> None:
        runtime = self._process.runtime
        await runtime.publish(
            runtime.drafts.change_rooms(kind, Namespace(namespace), Audience((sid,)), (room,))
        )

    async def _shutdown(self) -> None:
        """In place of `AsyncServer.shutdown`: ends what is ours, too."""
        await self._stock_shutdown()
        await self.close()
