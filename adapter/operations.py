"""What a manager does, once for servers of both colours.

`AsyncRecoveryManager` and `RecoveryManager` inherit from python-socketio's managers, and pass on here what
the server asks of them. All coroutines, and the methods that change something, run where the dispatcher runs:
in the loop of an asyncio server, or in the loop that a synchronous one has for us.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from adapter import seams
from adapter.acknowledgements import Acknowledgements
from adapter.admin import note_admins
from adapter.clients import Client
from adapter.cluster_operations import ClusterOperations
from adapter.effects import Effects
from adapter.emits import arguments_of, audience_of
from adapter.expiry import ExpiredHandler
from adapter.figures import Source
from adapter.gate import Gate, Identity, Predicate
from adapter.handlers import is_another
from adapter.hosts import Host
from adapter.observing import Tracing
from adapter.process import Process
from adapter.user_sessions import UserSessions
from recovery.commands import AsyncStore
from recovery.core.connection import Phase
from recovery.core.health import MAX_LAG, Health, judge
from recovery.core.packets import AckRequest
from recovery.entries import JsonModule, Kind
from recovery.errors import ConfigurationError, EncodingError, PublishError
from recovery.offsets import Offset
from recovery.records import Audience, Draft, Namespace, Recovery, Room, Sid
from recovery.rooms import check_rooms
from recovery.settings import Settings

__all__ = ["Choices", "Operations"]

logger = logging.getLogger("recovery.manager")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a manager was told besides its settings; see `adapter.AsyncRecoveryManager`.

    Raises:
        ConfigurationError: something does not fit.
    """

    write_only: bool
    identity: Identity | None
    wants_offsets: Predicate
    volatile_events: Collection[str]
    session_expired: ExpiredHandler | None
    tracing: Tracing | None = None

    def __post_init__(self) -> None:
        if isinstance(self.volatile_events, str):
            raise ConfigurationError(f"volatile_events is {self.volatile_events!r}, expected a list of names")
        if self.session_expired is not None and (self.write_only or not callable(self.session_expired)):
            raise ConfigurationError(
                f"session_expired is {self.session_expired!r}, expected a function of a server"
            )


class Operations:
    """The operations of one manager.

    Attributes:
        process: what this process has of recovery.
        gate: lets clients in; None before there is a server.
        cluster: what concerns many clients or servers at once.
    """

    def __init__(
        self,
        manager: Any,  # a manager of python-socketio, which ships no types
        host: Host,
        store: AsyncStore,
        settings: Settings,
        choices: Choices,
        json: JsonModule,
    ) -> None:
        self.gate: Gate | None = None
        self._manager = manager
        self._host = host
        self._settings = settings
        self._choices = choices
        self._volatile_events = frozenset(choices.volatile_events)
        self._local_namespaces: set[str] = set()
        self._acknowledgements = Acknowledgements(manager, host)
        self.process = Process(store, settings, json, self._acknowledgements.expect, host)
        self.process.session_expired = choices.session_expired
        self.process.tracing = choices.tracing
        self._acknowledgements.process = self.process
        self.cluster = ClusterOperations(self)

    def take(self, server: Any, json: JsonModule) -> None:
        """Take the server, and put the gate into its way."""
        process, choices = self.process, self._choices
        self._host.take(server)
        process.server, process.json = server, json
        effects = Effects(process)
        process.front_end, process.lost = effects, effects.evict
        self.gate = Gate(
            process,
            identity=choices.identity,
            wants_offsets=choices.wants_offsets,
            disconnect=self._disconnect_quietly,
        )
        UserSessions(process)
        note_admins(server, self._local_namespaces.add)

    def renew(self, renewed: Callable[[AsyncStore], AsyncStore]) -> None:
        """In a forked child: begin anew, as another process of the cluster.

        Args:
            renewed: returns the same store with connections of its own.
        """
        self._acknowledgements.renew()
        self.process.renew(renewed)
        if self.gate is not None:
            self.gate.renew()

    # What python-socketio calls ------------------------------------------------------------------------

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client its sid: the one that it had, or a fresh one."""
        client = self.gate.take_admitted(eio_sid, namespace) if self.gate is not None else None
        if client is None or self.gate is None:
            sid: str | None = await self._host.stock("pre_connect", eio_sid, namespace)
            return sid
        connection = client.connection
        self.process.cluster.join_soon(connection.namespace)
        with self._host.tables:
            seams.register(
                self._manager, connection.sid, eio_sid, namespace, list(connection.membership.rooms())
            )
        socket = seams.socket_of(self._host.server, eio_sid)
        if socket is not None and connection.recovery.recovered:
            socket.session[namespace] = dict(connection.user_session)
            self.gate.flask.restore(client)
        return connection.sid

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None,
        target: Any,
        skip_sid: Any,
        callback: Callable[..., Any] | None,
        *,
        volatile: bool,
        ignore_queue: bool,
    ) -> None:
        """Emit an event; see `adapter.AsyncRecoveryManager.emit`."""
        name = Namespace(namespace or "/")
        audience, args = audience_of(target, skip_sid), arguments_of(event, data)
        if callback is not None:
            self._check_callback(target)
        with self.process.requests.expecting(callback) as request_id:
            if ignore_queue or name in self._local_namespaces:
                self._deliver_here(name, args, audience, request_id)
                return
            runtime = self.process.runtime_of(name)
            volatile = volatile or event in self._volatile_events
            if request_id is not None:
                await self.process.cluster.join_if_possible(name)  # servers of Node's answer there
            draft = runtime.drafts.broadcast(name, args, audience, volatile=volatile, request_id=request_id)
            await self.process.follow_stream(name)
            offset = await self._publish(draft, name, event)
        if self._host.server is not None and seams.has_test_clients(self._host.server):
            await runtime.passed(offset, self._settings.publish_timeout)  # a test looks at once

    def emit_later(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Emit after whatever was emitted before, where nobody can wait for it, or be told of a failure."""
        self.process.background.start(self._emit_quietly(arguments, options))

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """End a client's session, and prepare to disconnect it after all that was emitted.

        When it returns, the session cannot be recovered. False if there is nothing to disconnect: the client
        is not here, or is to be disconnected when its connect handler returns.
        """
        client = self.process.clients.find(namespace, sid)
        runtime = self.process.runtime_of(namespace)
        if client is None and seams.knows(self._manager, sid, namespace):
            return bool(await self._host.stock("can_disconnect", sid, namespace))
        if client is not None and client.held:
            client.doomed = True
            await self._end_session(client)
            return False
        if client is not None:
            await runtime.passed(runtime.dispatcher.published, self._settings.publish_timeout)
        if client is not None and client.connection.phase is Phase.LIVE:
            runtime.dispatcher.end(client.connection)
            client.leaving = True
            try:
                await self._end_session(client)
            except PublishError:  # its session may go on, but not on this connection, which gets nothing more
                await self._host.abort(client.connection.transport)
                raise
        else:
            await self._end_elsewhere(sid, namespace)
        return bool(self._manager.is_connected(sid, namespace))

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is on its way out; if it is still live, it or the server wants it so."""
        if not seams.knows(self._manager, sid, namespace):
            return None  # its transport closed while its connect handler ran, which now refuses it
        client = self.process.clients.find(namespace, sid)
        if client is not None and is_another(client.connection):
            return None
        if client is not None and client.connection.phase is Phase.LIVE:
            self.process.dispatcher_of(namespace).end(client.connection)
            ending = self._quietly(client, self._end_session(client))
            client.ending = self.process.background.start(ending)
        eio_sid: str | None
        if client is not None and client.parting:
            eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
        else:
            eio_sid = self._host.base.pre_disconnect(self._manager, sid, namespace)
        if client is not None:
            client.parting += 1
        return eio_sid

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a client from the tables, after its disconnect handler, or after it was refused."""
        client = self.process.clients.find(namespace, sid)
        if (
            client is not None and client.parting > 1
        ):  # another thread is at it, and its handler may still run
            client.parting -= 1
            return
        if client is not None and client.connection.phase is Phase.HELD and self.gate is not None:
            self.gate.note_refusal(client)
        if client is not None and client.ending is not None:
            await asyncio.wait([client.ending])  # whoever comes with its pid now must find that
        await self._host.stock("disconnect", sid, namespace, **kwargs)
        if client is not None and not client.asking:
            self.process.clients.remove(client)

    async def enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put a client into a room, wherever it is; durable on return."""
        check_rooms((room,))
        if self.process.is_elsewhere(sid, namespace):
            await self._change_rooms_elsewhere(Kind.JOIN, namespace, sid, room)
            return
        client = self.process.clients.find(namespace, sid)
        if client is not None:
            client.connection.membership.check_space(room, self._settings.max_rooms)
        self._manager.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if client is not None and client.connection.phase is not Phase.ENDED:
            self.process.dispatcher_of(namespace).enter(client.connection, room)
            await self.process.sessions.save_change(client)

    async def leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take a client out of a room, wherever it is; durable on return."""
        check_rooms((room,))
        if self.process.is_elsewhere(sid, namespace):
            await self._change_rooms_elsewhere(Kind.LEAVE, namespace, sid, room)
            return
        self._manager.basic_leave_room(sid, namespace, room)
        client = self.process.clients.find(namespace, sid)
        if client is not None and client.connection.phase is not Phase.ENDED:
            self.process.dispatcher_of(namespace).leave(client.connection, room)
            await self.process.sessions.save_change(client)

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room, on all servers, and those who are away; raises `PublishError`."""
        name = Namespace(namespace or "/")
        check_rooms((room,))
        if self._manager.is_sid_room(name, room):
            raise ValueError("cannot close a sid room")
        await self.cluster.sockets_leave(room, Audience((room,)), name, local=False)

    # What applications call ----------------------------------------------------------------------------

    def recovery(self, sid: str, namespace: str | None = None) -> Recovery:
        """Tell whether a connected client was recovered, and if not, why not; from any thread."""
        client = self.process.clients.find(namespace or "/", sid)
        if client is None:
            raise KeyError(f"no client {sid!r} in namespace {namespace or '/'!r} of this process")
        return client.connection.recovery

    def outcomes(self) -> Mapping[str, int]:
        """How many clients got recovery, or why not; from any thread."""
        return dict(self.process.meters.recoveries)

    def counters(self) -> Mapping[str, int]:
        """How often this process has met what operators should know of; from any thread."""
        refused = 0 if self.gate is None else self.gate.guesses.refused
        return {**self.process.counts(), **({"recover.guessing": refused} if refused else {})}

    def start(self) -> None:
        """Begin to read the stream, if this is a server; does not wait."""
        if self._host.server is not None:
            self.process.begin()

    def health(self, *, max_lag: float) -> Health:
        """Judge whether this process can do its part; from any thread."""
        return judge(
            [runtime.traffic for runtime in self.process.streams.made()],
            reads=self._host.server is not None,
            closed=self.process.closed,
            now=monotonic(),
            patience=self._settings.block_time,
            max_lag=max_lag,
        )

    def figures(self) -> Source:
        """Where the figures of this process are read; from any thread."""
        guesses = 0 if self.gate is None else self.gate.guesses.refused
        return Source(self.process, guesses, self.health(max_lag=MAX_LAG))

    async def close(self) -> None:
        """Close all connections, write what is left to write, and end all tasks. Harmless when repeated."""
        await self.process.close()

    # Inside --------------------------------------------------------------------------------------------

    async def _end_session(self, client: Client) -> None:
        """End a session for good; if it has moved on already, where it is now."""
        if not await self.process.sessions.end(client):
            await self._end_elsewhere(client.connection.sid, client.connection.namespace)

    async def _disconnect_quietly(self, client: Client) -> None:
        """Disconnect a client as the application has asked before; its transport is closed in any case."""
        sid, namespace = client.connection.sid, client.connection.namespace
        await self._quietly(client, self._host.call(self._host.server.disconnect, sid, namespace))

    async def _quietly(self, client: Client, ending: Awaitable[None]) -> None:
        """End a session where nobody can be told of a failure but the log."""
        try:
            await ending
        except PublishError as exc:
            logger.warning(
                "session of %s is not ended: %s",
                client.connection.sid,
                exc,
                extra={"event": "save.failed", "sid": client.connection.sid},
            )

    async def _end_elsewhere(self, sid: str, namespace: str) -> None:
        """End the session of a client on another server, on its way there, or away: the stream tells it."""
        runtime = self.process.runtime_of(namespace)
        await runtime.publish(runtime.drafts.disconnect(Namespace(namespace), Audience((Sid(sid),))))

    async def _publish(self, draft: Draft, namespace: Namespace, event: Any) -> Offset:
        append, tracing = self.process.runtime_of(namespace).publish, self.process.tracing
        if tracing is None:
            return await append(draft)
        max_bytes = self._settings.max_packet_bytes
        return await tracing.publish(append, draft, namespace=namespace, event=event, max_bytes=max_bytes)

    async def _emit_quietly(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        try:
            await self.emit(*arguments, **options)
        except (PublishError, EncodingError) as exc:
            logger.warning("a packet is lost: %s", exc, extra={"event": "publish.failed"})

    def _check_callback(self, target: Any) -> None:
        if self._host.server is None:
            raise RuntimeError("callbacks can only be issued from the context of a server")
        if target is None:
            raise ValueError("cannot use a callback without a room: name a sid")

    def _deliver_here(
        self, namespace: Namespace, args: Sequence[Any], audience: Audience, request_id: str | None
    ) -> None:
        """Deliver to clients of this process, at once."""
        ack = None if request_id is None else AckRequest(self.process.server_id, request_id)
        self.process.deliver(namespace, args, audience, ack)

    async def _change_rooms_elsewhere(self, kind: Kind, namespace: str, sid: str, room: Room) -> None:
        runtime = self.process.runtime_of(namespace)
        await runtime.publish(
            runtime.drafts.change_rooms(kind, Namespace(namespace), Audience((sid,)), (room,))
        )
