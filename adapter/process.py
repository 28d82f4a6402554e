"""What one process has of recovery: its clients, its runtime, and what both are made of.

The manager, the gate and the rest of the front end share it. The runtime is made when it is first needed:
inside the running loop, and after any fork.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any
from weakref import WeakSet

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
from recovery.aio.runtime import FrontEnd, Runtime
from recovery.commands import AsyncStore
from recovery.core.connection import Phase
from recovery.core.meters import Meters
from recovery.core.packets import AckRequest
from recovery.core.saving import KEPT_MS
from recovery.entries import JsonModule
from recovery.errors import EncodingError, PublishError, StoreUnavailableError
from recovery.flows.expiring import Terms, terms_of
from recovery.records import Audience, Draft, Namespace, Sid
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
        meters: what it counts.
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
        self._begin()

    def _begin(self) -> None:
        self.clients = Clients()
        self.requests = Requests(self.host)
        self.background = Background()
        self.cluster = Cluster(self, self._store)
        self.handlers = Handlers()
        self.closed = False
        self.meters = Meters()
        self._watched: WeakSet[Any] = WeakSet()
        self._runtime: Runtime[EioPacket] | None = None
        self._sessions: Sessions | None = None
        self._checkpoints: asyncio.Task[Any] | None = None
        self._expiry: asyncio.Task[Any] | None = None
        self._heartbeats: asyncio.Task[Any] | None = None

    def renew(self, renewed: Callable[[AsyncStore], AsyncStore]) -> None:
        """In a forked child: begin anew; see `adapter.operations.Operations.renew`."""
        _inherited.append(
            (self._store, self._runtime, self._sessions, self.background, self.clients, self.cluster)
        )
        self._store = renewed(self._store)
        self._begin()

    @property
    def runtime(self) -> Runtime[EioPacket]:
        """The connection to the stream, made when first needed."""
        if self._runtime is None:
            packet_class = None if self.server is None else self.server.packet_class
            self._runtime = Runtime(
                self._store,
                self.settings,
                codec_of(packet_class, self.json, only_plaintext=self.settings.only_plaintext),
                EioFrames(packet_class, self._ack_id),
                self.front_end,
                retention_ms=self.retention_ms,
                meters=self.meters,
            )
            self._runtime.dispatcher.observer = self.tracing
            if self.server is not None and self.session_expired is not None:
                expiry = Expiry(self._runtime, self.background, self.host, self.session_expired, self._terms)
                self._expiry = self.background.start(expiry.watch())
            if self.server is not None:
                # In a context of its own: that of the first client would keep it in memory for ever.
                self._heartbeats = Context().run(self.background.start, self.cluster.run())
        return self._runtime

    @property
    def begun(self) -> Runtime[EioPacket] | None:
        """The connection to the stream, if it was needed yet; in any thread."""
        return self._runtime

    @property
    def sessions(self) -> Sessions:
        """Saves this process's clients; begins to keep their checkpoints when first needed."""
        if self._sessions is None:
            self._sessions = Sessions(
                self.runtime,
                self.clients,
                self.settings,
                self.background,
                retention_ms=self.retention_ms,
                keep_ms=0 if self.session_expired is None else KEPT_MS,
                lost=self.lost,
            )
            self._checkpoints = self.background.start(self._sessions.keep_checkpoints())
        return self._sessions

    def counts(self) -> dict[str, int]:
        """How often what operators should know of has happened here, by log event."""
        if self._runtime is None:
            return {}
        skipped = self._runtime.dispatcher.skipped
        return {**self._runtime.tally.counts, **({"entry.skipped": skipped} if skipped else {})}

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
        if socket is None or socket in self._watched:
            return
        self._watched.add(socket)

        def note() -> None:
            for client in self.clients.on(eio_sid):
                client.connection.note(self.runtime.dispatcher.position)

        def prove() -> None:
            for client in self.clients.on(eio_sid):
                client.connection.prove()

        self.host.watch(socket, note, prove)

    async def follow_stream(self) -> None:
        """Begin to read before an emit: a server's own clients get it from the stream, too.

        Raises:
            PublishError: the store has never answered.
        """
        if self.server is None:
            return
        try:
            await self.runtime.start()
        except StoreUnavailableError as exc:
            raise PublishError(f"the packet was not stored: {exc}", maybe_stored=False) from exc

    def deliver(
        self, namespace: Namespace, args: Sequence[Any], audience: Audience, ack: AckRequest | None
    ) -> list[Sid]:
        """Deliver to clients of this process, at once; return who they are."""
        dispatcher = self.runtime.dispatcher
        sids = [connection.sid for connection in dispatcher.addressed(namespace, audience)]
        effects = dispatcher.deliver_local(namespace, args, audience, ack)
        if self.front_end is not None:
            self.front_end.carry_out(effects)
        return sids

    async def answer(self, make: Callable[[], Draft]) -> None:
        """Append an answer to another server, where nobody can be told of a failure but the log.

        Args:
            make: returns the entry; what it is made of may come from a client or another program.
        """
        try:
            await self.runtime.publish(make())
        except (PublishError, EncodingError) as exc:
            logger.warning("an answer is lost: %s", exc, extra={"event": "publish.failed"})

    def retention_ms(self) -> int:
        """How long entries, and sessions of live clients, are kept; see `Settings.retention_ms`."""
        return self.settings.retention_ms(*self._pings())

    async def close(self) -> None:
        """Close all connections, write what is left to write, and end all tasks. Harmless when repeated."""
        if self.closed:
            return
        self.closed = True
        if self._runtime is None:
            return
        for task in (self._checkpoints, self._expiry, self._heartbeats):
            if task is not None:
                task.cancel()
        patience = self.settings.publish_timeout  # a handler may take for ever
        aborts = [self.background.start(self.host.abort(name)) for name in self.clients.transports()]
        handlers = asyncio.create_task(self.handlers.end())
        await asyncio.wait([*aborts, handlers], timeout=patience)
        handlers.cancel()
        await self.background.finish(patience)
        await self.cluster.close()
        await self._runtime.close()

    async def let_go(self) -> None:
        """Close the connections to the store, and nothing else, if `close` was not called."""
        if self.closed or self._runtime is None:
            return
        self.closed = True
        # An embedded server is stopped in a thread, which Python does not begin any more; it ends by itself.
        with contextlib.suppress(RuntimeError):
            await self.cluster.drop()
            await self._store.close()

    def _pings(self) -> tuple[float, float]:
        """Ping interval and ping timeout, in seconds."""
        eio = None if self.server is None else self.server.eio
        return getattr(eio, "ping_interval", _PING_INTERVAL), getattr(eio, "ping_timeout", _PING_TIMEOUT)

    def _terms(self) -> Terms:
        return terms_of(self.settings, round(sum(self._pings()) * 1000))
