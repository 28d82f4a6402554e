"""What one process has of recovery: its clients, its streams, and what both are made of.

The manager, the gate and the rest of the front end share it. A runtime is made when its stream is first
needed: inside the running loop, and after any fork.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Any

from adapter import seams
from adapter.background import Background
from adapter.clients import Client, Clients
from adapter.cluster import Cluster
from adapter.expiry import ExpiredHandler, Expiry
from adapter.frames import AckId, EioFrames, codec_of
from adapter.handlers import Handlers, handled_connect, handled_disconnect, handling
from adapter.hosts import Host
from adapter.observing import Tracing
from adapter.requests import Requests
from adapter.seams import EioPacket
from adapter.server_events import ServerEvents
from adapter.sessions import Sessions
from adapter.streams import Streams
from recovery.aio.runtime import FrontEnd, Runtime
from recovery.commands import AsyncStore
from recovery.core.connection import Phase
from recovery.core.dispatcher import Dispatcher
from recovery.core.meters import Meters
from recovery.core.packets import AckRequest
from recovery.core.saving import KEPT_MS
from recovery.core.tally import Tally
from recovery.drafts import Drafts
from recovery.entries import JsonModule, PayloadCodec
from recovery.errors import EncodingError, PublishError, StoreUnavailableError
from recovery.flows.expiring import Terms, terms_of
from recovery.records import Audience, Draft, Namespace, ServerId, Sid
from recovery.settings import Settings

__all__ = ["Process"]

logger = logging.getLogger("recovery.effects")

_PING_INTERVAL = 25.0  # python-engineio's default, for a process without a server
_PING_TIMEOUT = 20.0


_inherited: list[object] = []
"""What a forked child has of its parent: to collect it would close connections that are the parent's."""


class Process:
    """One process of the cluster.

    Attributes:
        settings: of the manager.
        host: the server, in its colour.
        clients: who is here.
        requests: what this process waits for.
        background: its tasks.
        cluster: the other servers.
        handlers: those of the application that are running.
        server: the python-socketio server, or None in a process that only emits.
        json: the JSON module that payloads are written with.
        front_end: carries out what the dispatcher leaves to do; None without a server.
        lost: told of a client whose session another server has taken.
        session_expired: the application's handler, or None.
        server_events: the application's handlers of events for servers.
        closed: `close` was called; nobody may get in any more.
        streams: those that it reads or writes.
        meters: what it counts of its clients.
        tally: what it counts of its talk with other servers, by log event.
        tracing: follows packets and clients; None if nobody does.
    """

    def __init__(
        self, store: AsyncStore, settings: Settings, json: JsonModule, ack_id: AckId, host: Host
    ) -> None:
        self.settings = settings
        self.host = host
        self.server: Any = None  # python-socketio ships no types
        self.json = json
        self.front_end: FrontEnd[EioPacket] | None = None
        self.lost: Callable[[Client], None] | None = None
        self.session_expired: ExpiredHandler | None = None
        self.tracing: Tracing | None = None
        self.server_events = ServerEvents(host)
        self._store = store
        self._ack_id = ack_id
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._server_id: ServerId | None = None
        self.streams = Streams(self._store, self.settings, self._open)
        self.clients = Clients()
        self.requests = Requests(self.host)
        self.background = Background()
        self.cluster = Cluster(self, self._store)
        self.handlers = Handlers()
        self.closed = False
        self.meters = Meters()
        self.tally = Tally()
        self._codec: PayloadCodec | None = None
        self._sessions: Sessions | None = None
        self._checkpoints: asyncio.Task[Any] | None = None
        self._expiries: list[asyncio.Task[Any]] = []
        self._heartbeats: asyncio.Task[Any] | None = None

    def renew(self, renewed: Callable[[AsyncStore], AsyncStore]) -> None:
        """In a forked child: begin anew; see `adapter.operations.Operations.renew`."""
        _inherited.append(
            (self._store, self.streams, self._sessions, self.background, self.clients, self.cluster)
        )
        self._store = renewed(self._store)
        self._begin_anew()

    @property
    def server_id(self) -> ServerId:
        """Its identity; made when first needed, so that children of a process that has not used it differ."""
        if self._server_id is None:
            self._server_id = ServerId(secrets.token_hex(8))
        return self._server_id

    def runtime_of(self, namespace: str) -> Runtime[EioPacket]:
        """The connection to the stream of a namespace, made when first needed."""
        return self.streams.of(namespace)

    def dispatcher_of(self, namespace: str) -> Dispatcher[EioPacket]:
        """The dispatcher of a namespace's clients."""
        return self.runtime_of(namespace).dispatcher

    @property
    def codec(self) -> PayloadCodec:
        """What payloads are written with."""
        if self._codec is None:
            only_plaintext = self.settings.only_plaintext
            self._codec = codec_of(self._packet_class, self.json, only_plaintext=only_plaintext)
        return self._codec

    @property
    def _packet_class(self) -> Any:  # a class of python-socketio, which ships no types
        return None if self.server is None else self.server.packet_class

    def _open(self, store: AsyncStore) -> Runtime[EioPacket]:
        """Make the runtime of a stream, and what goes with it."""
        runtime: Runtime[EioPacket] = Runtime(
            store,
            self.settings,
            self.codec,
            EioFrames(self._packet_class, self._ack_id),
            self.front_end,
            server=self.server_id,
            retention_ms=self.retention_ms,
            meters=self.meters,
        )
        runtime.dispatcher.observer = self.tracing
        if self.server is not None and self.session_expired is not None:
            expiry = Expiry(runtime, self.background, self.host, self.session_expired, self._terms)
            self._expiries.append(self.background.start(expiry.watch()))
        if self.server is not None and self._heartbeats is None:
            # In a context of its own: that of the first client would keep it in memory for ever.
            self._heartbeats = Context().run(self.background.start, self.cluster.run())
        return runtime

    @property
    def sessions(self) -> Sessions:
        """Saves this process's clients; begins to keep their checkpoints when first needed."""
        if self._sessions is None:
            self._sessions = Sessions(
                self.runtime_of,
                self.clients,
                self.settings,
                self.background,
                live_ms=self._session_ms,
                keep_ms=0 if self.session_expired is None else KEPT_MS,
                lost=self.lost,
            )
            self._checkpoints = self.background.start(self._sessions.keep_checkpoints())
        return self._sessions

    def counts(self) -> dict[str, int]:
        """How often what operators should know of has happened here, by log event."""
        counts = Counter(self.tally.counts)
        for runtime in self.streams.made():
            counts.update(dict(runtime.tally.counts))  # another thread may read this
            counts["entry.skipped"] += runtime.dispatcher.skipped
        return {event: count for event, count in counts.items() if count}

    def is_elsewhere(self, sid: str, namespace: str) -> bool:
        """Whether a change for a client has to go through the stream: it is not connected here.

        What is left of a connection that closed does not count, but for its own disconnect handler, which
        sees the client as it was. Nor does one that is recovered but not accepted yet, but for its own
        connect handler: if it is not accepted, whoever comes next must find what others have changed.
        """
        client = self.clients.find(namespace, sid)
        if client is None:
            return not seams.knows(self.server.manager, sid, namespace) if self.server is not None else True
        if client.held and client.connection.recovery.recovered:
            return handled_connect.get() is not client
        return client.connection.phase is Phase.ENDED and handled_disconnect.get() is not client

    def handles(self, sid: str, namespace: str) -> bool:
        """Whether this is the client whose connect or disconnect handler is running here.

        It sees the client as it was when it began, even if another connection has taken the session since.
        """
        client = self.clients.find(namespace, sid)
        return client is not None and client in (handled_connect.get(), handled_disconnect.get())

    @contextmanager
    def handling(self, event: Any, namespace: str, sid: str) -> Generator[bool, None, None]:
        """Surround a handler; tell whether it is to run: see `adapter.handlers`."""
        with self.handlers.running(), handling(self.clients, event, namespace, sid) as wanted:
            yield wanted and (not self.closed or event in ("connect", "disconnect"))

    def watch(self, eio_sid: str) -> None:
        """Note positions with the PINGs of a transport, and prove them with its PONGs, from now on."""
        socket = seams.socket_of(self.server, eio_sid)
        if socket is None or getattr(socket, "is_watched", False):
            return
        socket.is_watched = True  # a name of ours
        self.host.watch(socket, partial(self._note, eio_sid), partial(self._prove, eio_sid))

    def _note(self, eio_sid: str) -> None:
        for client in self.clients.on(eio_sid):
            client.connection.note(self.dispatcher_of(client.connection.namespace).position)

    def _prove(self, eio_sid: str) -> None:
        for client in self.clients.on(eio_sid):
            client.connection.prove()

    def begin(self) -> None:
        """Begin to read the streams of all namespaces that this server has by now; does not wait."""
        for namespace in self.cluster.namespaces():
            self.runtime_of(namespace)
        for runtime in self.streams.made():
            runtime.begin()

    @property
    def reads(self) -> bool:
        """Whether this process has begun to read."""
        return any(runtime.traffic.reader.begun for runtime in self.streams.made())

    async def reading(self, namespace: Namespace) -> Runtime[EioPacket]:
        """The runtime of a namespace, when its position is known.

        The first time, it begins to read the streams of all others, too: what concerns a namespace without
        clients, an event for servers, say, must not wait for one.

        Raises:
            StoreUnavailableError: the store has never answered.
        """
        runtime = self.runtime_of(namespace)
        if not runtime.traffic.reader.begun:
            self.begin()
        await runtime.start()
        return runtime

    async def follow_stream(self, namespace: Namespace) -> None:
        """Begin to read before an emit: a server's own clients get it from the stream, too.

        Raises:
            PublishError: the store has never answered.
        """
        if self.server is None:
            return
        try:
            await self.reading(namespace)
        except StoreUnavailableError as exc:
            raise PublishError(f"the packet was not stored: {exc}", maybe_stored=False) from exc

    def deliver(
        self, namespace: Namespace, args: Sequence[Any], audience: Audience, ack: AckRequest | None
    ) -> list[Sid]:
        """Deliver to clients of this process, at once; return who they are."""
        dispatcher = self.dispatcher_of(namespace)
        sids = [connection.sid for connection in dispatcher.addressed(namespace, audience)]
        effects = dispatcher.deliver_local(namespace, args, audience, ack)
        if self.front_end is not None:
            self.front_end.carry_out(effects)
        return sids

    async def answer(self, namespace: Namespace, make: Callable[[Drafts], Draft]) -> None:
        """Append an answer to another server, where nobody can be told of a failure but the log.

        Args:
            namespace: that of the question.
            make: returns the entry; what it is made of may come from a client or another program.
        """
        try:
            runtime = self.runtime_of(namespace)
            await runtime.publish(make(runtime.drafts))
        except (PublishError, EncodingError) as exc:
            logger.warning("an answer is lost: %s", exc, extra={"event": "publish.failed"})

    def retention_ms(self) -> int:
        """How long entries are kept; see `Settings.retention_ms`."""
        return self.settings.retention_ms(*self._pings())

    def _session_ms(self) -> int:
        return self.settings.session_ms(*self._pings())

    async def close(self) -> None:
        """Close all connections, write what is left to write, and end all tasks. Harmless when repeated."""
        if self.closed:
            return
        self.closed = True
        if not self.streams.made():
            return
        for task in (self._checkpoints, self._heartbeats, *self._expiries):
            if task is not None:
                task.cancel()
        patience = self.settings.publish_timeout  # a handler may take for ever
        aborts = [self.background.start(self.host.abort(name)) for name in self.clients.transports()]
        handlers = asyncio.create_task(self.handlers.end())
        await asyncio.wait([*aborts, handlers], timeout=patience)
        handlers.cancel()
        await self.background.finish(patience)
        await self.cluster.close()
        await self.streams.close()

    async def let_go(self) -> None:
        """Close the connections to the store, and nothing else, if `close` was not called."""
        if self.closed or not self.streams.made():
            return
        self.closed = True
        # An embedded server is stopped in a thread, which Python does not begin any more; it ends by itself.
        with contextlib.suppress(RuntimeError):
            await self.cluster.drop()
            await self.streams.drop()

    def _pings(self) -> tuple[float, float]:
        """Ping interval and ping timeout, in seconds."""
        eio = None if self.server is None else self.server.eio
        return getattr(eio, "ping_interval", _PING_INTERVAL), getattr(eio, "ping_timeout", _PING_TIMEOUT)

    def _terms(self) -> Terms:
        return terms_of(self.settings, round(sum(self._pings()) * 1000))
