"""The gate: how a client gets in, and how its transport's end is noted.

It wraps four methods of the server (`adapter.seams`), in whatever colour (`adapter.hosts`), and leaves the
rest of the work to them:

1. ``_handle_connect``: the client is admitted (`recovery.flows.admission`) before the application's connect
   handler runs, and held while it does.
2. ``_send_packet``: when the server sends CONNECT, the session is saved first, the transport is looked at,
   ``pid`` is added, and what the client missed follows at once.
3. ``_handle_eio_disconnect``: a transport that closed leaves its sessions recoverable. That is saved before
   the application's disconnect handler runs.
4. ``_trigger_event``: each handler is surrounded, in the thread or task in which it runs; see
   `adapter.handlers`.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from adapter import seams
from adapter.attempts import Attempts
from adapter.clients import Client, Clients, EioConnection
from adapter.flask_sessions import FlaskSessions
from adapter.guesses import Guesses
from adapter.process import Process
from adapter.seams import EioPacket
from recovery.core.connection import Phase
from recovery.core.decision import Presented, read_auth
from recovery.driver import run_async
from recovery.errors import EncodingError, SaveError, StoreUnavailableError
from recovery.flows.admission import Newcomer, admit, admit_without_store
from recovery.reasons import Reason
from recovery.records import HolderState, Namespace, Pid, Sid

__all__ = ["Gate"]

logger = logging.getLogger("recovery.gate")

_PID_BYTES = 24  # 192 bits, 32 characters
_ENVIRON_KEY = "socketio.recovery"

Identity = Callable[[Mapping[str, Any], Any], Any]  # returns str, or an awaitable of one
Predicate = Callable[[Mapping[str, Any]], bool]


class Gate:
    """Lets clients of one server in, and notes when their transports close.

    Attributes:
        attempts: what became of those that asked for recovery.
        guesses: transports that present pids in vain.
        flask: sessions of Flask-SocketIO.
    """

    def __init__(
        self,
        process: Process,
        *,
        identity: Identity | None,
        wants_offsets: Predicate,
        disconnect: Callable[[Client], Awaitable[None]],  # whom the application has, before it was let in
    ) -> None:
        server = process.server
        self.attempts = Attempts(process)
        self._process = process
        self._host = process.host
        self._server = server
        self._identity = identity
        self._wants_offsets = wants_offsets
        self._disconnect = disconnect
        self.guesses = Guesses()
        self.flask = FlaskSessions(server)
        self._connecting: set[tuple[str, str]] = set()
        self._admitted: dict[tuple[str, str], Client] = {}
        self._connect = self._host.hook(seams.HANDLE_CONNECT, self.handle_connect)
        self._send_packet = self._host.hook(seams.SEND_PACKET, self.send_packet)
        self._transport_closed = self._host.hook(seams.TRANSPORT_CLOSED, self.handle_transport_closed)
        self._host.surround(seams.TRIGGER_EVENT, self._around_handler)

    @property
    def _clients(self) -> Clients:
        return self._process.clients

    def _end(self, connection: EioConnection) -> None:
        """Let a connection get nothing any more."""
        self._process.dispatcher_of(connection.namespace).end(connection)

    def renew(self) -> None:
        """In a forked child: nobody is here."""
        self.guesses = Guesses()
        self._connecting.clear()
        self._admitted.clear()

    def take_admitted(self, transport: str, namespace: str) -> Client | None:
        """The client that is being let in on a transport, once: `pre_connect` gives it its sid."""
        return self._admitted.pop((transport, namespace), None)

    async def handle_connect(self, eio_sid: str, namespace: Any, data: Any) -> None:
        """Admit a client, have the application asked, and settle what it said."""
        name = Namespace(namespace or "/")
        is_text = isinstance(namespace or "/", str)  # with MessagePack it may be anything
        if not is_text or not seams.accepts(self._server, name):
            await self._connect(eio_sid, namespace, data)
            return
        if not self._may_let_in(eio_sid):
            await self._host.abort(eio_sid)  # its client tries again, and finds another server
            return
        place = (eio_sid, name)
        if place in self._connecting or self._clients.at(eio_sid, name) is not None:
            await self._refuse(eio_sid, name)
            return
        self._connecting.add(place)
        try:
            presented, auth = read_auth(data)
            try:
                client = await self._admit(eio_sid, name, presented, auth)
            except Exception:  # of the settings `identity` and `wants_offsets`
                await self._refuse(eio_sid, name)
                raise
            if not self._may_let_in(eio_sid):
                self._end(client.connection)
                self._clients.remove(client)
                await self._host.abort(eio_sid)
                return
            self._admitted[place] = client
            try:
                await self._ask_application(client, namespace, auth)
            finally:
                self._answered(client)
        finally:
            self._connecting.discard(place)
            self._admitted.pop(place, None)

    async def send_packet(self, eio_sid: str, packet: Any) -> None:
        """Send a packet; a CONNECT is the moment at which a client is let in."""
        client = self._clients.at(eio_sid, packet.namespace or "/")
        if packet.packet_type != seams.CONNECT or client is None:
            await self._send_packet(eio_sid, packet)
            return
        await self._let_in(client, packet)

    def note_refusal(self, client: Client) -> None:
        """The application refused a client; a recovered session can be claimed again until its deadline."""
        connection = client.connection
        self._give_back(client)
        self.attempts.note_refusal(connection)
        logger.info(
            "the application refused %s",
            connection.sid,
            extra={"event": "recover.refused", "reason": Reason.REFUSED.value, "sid": connection.sid},
        )

    async def handle_transport_closed(self, eio_sid: str, *reason: str) -> None:
        """Note that the clients of a transport are away, then let their disconnect handlers run."""
        away = [
            client
            for client in self._clients.on(eio_sid)
            if client.connection.connect_sent and client.connection.phase is not Phase.ENDED
        ]
        for client in away:
            client.closed_at = asyncio.get_running_loop().time()
            self._end(client.connection)
        socket = seams.socket_of(self._server, eio_sid)
        if socket is not None and any(client.owned for client in away):
            seams.clear_queue(socket)  # they will be replayed: none may share a payload with CLOSE
            self._host.give_up(socket)
        work = self._process.background.start(self._see_off(eio_sid, reason, away), awaited=True)
        await asyncio.shield(work)  # a web server that stops may cancel us, but not what remains to be done

    async def _see_off(self, eio_sid: str, reason: Sequence[str], away: Sequence[Client]) -> None:
        """Save the sessions of a closed transport, run the disconnect handlers, and free the sids."""
        recoverable, seen_off = [client for client in away if client.owned], False
        try:
            await asyncio.gather(*(self._save_closing(client) for client in recoverable))
            await self._transport_closed(eio_sid, *reason)
            seen_off = True
        finally:
            for client in away:
                if not (
                    seen_off and client.parting
                ):  # else the application disconnects it, and frees its sid
                    self._free(client)
            seams.forget(self._server, eio_sid)
        for client in recoverable:
            self._process.sessions.save_later(client, HolderState.AWAY, whole=False)

    async def _save_closing(self, client: Client) -> None:
        if client.doomed:
            await self._process.sessions.end(client)
        else:
            await self._process.sessions.save_quietly(client, HolderState.CLOSING)

    def _free(self, client: Client) -> None:
        """Take a client out of the tables, if its disconnect handler has not seen to that."""
        connection = client.connection
        if client.gone.done():
            return  # and its sid may be somebody else's by now
        if seams.knows(self._server.manager, connection.sid, connection.namespace):
            self._server.manager.basic_disconnect(connection.sid, connection.namespace)
        if not client.asking:
            self._clients.remove(client)

    @contextmanager
    def _around_handler(
        self, event: Any, namespace: str, sid: str, *_args: Any
    ) -> Generator[bool, None, None]:
        with self._process.handling(event, namespace, sid) as wanted:
            yield wanted
            if wanted:
                self.flask.keep(self._clients, namespace, sid)

    def _may_let_in(self, eio_sid: str) -> bool:
        """Whether this server serves, and the transport is open."""
        return not self._process.closed and seams.is_open(self._server, eio_sid)

    async def _admit(self, eio_sid: str, namespace: Namespace, presented: Presented, auth: Any) -> Client:
        environ = self._server.environ.get(eio_sid, {})
        socket = seams.socket_of(self._server, eio_sid)
        presented = self.guesses.admit(socket, presented)
        newcomer = await self._newcomer(eio_sid, namespace, presented, environ, auth)
        connection = await self.attempts.watch(newcomer, self._connection_of(newcomer))
        self.guesses.note(socket, presented, connection.recovery)
        client = self._clients.add(connection)
        environ[_ENVIRON_KEY] = connection.recovery
        self._process.watch(eio_sid)
        return client

    async def _connection_of(self, newcomer: Newcomer[EioPacket]) -> EioConnection:
        try:
            runtime = await self._process.reading(newcomer.namespace)
        except StoreUnavailableError as exc:
            logger.warning("no recovery: %s", exc, extra={"event": "recover.failed"})
            return admit_without_store(newcomer, self._process.dispatcher_of(newcomer.namespace))
        flow = admit(newcomer, runtime.dispatcher, runtime.drafts, self._process.settings)
        return await run_async(flow, runtime.perform)

    async def _newcomer(
        self, eio_sid: str, namespace: Namespace, presented: Presented, environ: Mapping[str, Any], auth: Any
    ) -> Newcomer[EioPacket]:
        has_socket = seams.socket_of(self._server, eio_sid) is not None
        with_offsets = has_socket and bool(await self._host.call(self._wants_offsets, environ))
        return Newcomer(
            namespace=namespace,
            transport=eio_sid,
            presented=presented,
            identity=await self._identify(environ, auth),
            nonce=secrets.token_hex(16),
            sid=Sid(self._server.eio.generate_id()),
            pid=Pid(secrets.token_urlsafe(_PID_BYTES)) if with_offsets else None,
            send=seams.sender(self._server, eio_sid),
            with_offsets=with_offsets,
        )

    async def _identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """A digest of what the setting ``identity`` says, so that the store need not keep it."""
        if self._identity is None:
            return ""
        identity = await self._host.call(self._identity, environ, auth)
        if not isinstance(identity, str):
            raise TypeError(f"identity() returned {type(identity).__name__}, expected str")
        return hashlib.sha256(identity.encode()).hexdigest() if identity else ""

    async def _ask_application(self, client: Client, namespace: str | None, auth: Any) -> None:
        """Run the server's own connect sequence, and see how it ended."""
        connection = client.connection
        try:
            await self._connect(connection.transport, namespace, auth)
        except BaseException as exc:  # a cancelled task, too
            # With threads, a transport may have closed just before its environ was looked up.
            vanished = isinstance(exc, KeyError) and exc.args == (connection.transport,)
            if vanished:
                self._give_back(client)
            # python-socketio would leave it neither connected nor refused, and its rooms in the tables.
            if not connection.connect_sent:
                await self._refuse(connection.transport, connection.namespace)
                await self._host.call(
                    self._server.manager.disconnect,
                    connection.sid,
                    connection.namespace,
                    ignore_queue=True,
                )
            if not vanished:
                raise
        finally:
            await self._settle(client)

    def _give_back(self, client: Client) -> None:
        """End a connection that was not let in; its session can be claimed again."""
        self._end(client.connection)
        self._process.sessions.save_later(client, HolderState.AWAY)

    def _answered(self, client: Client) -> None:
        """The connect handler has returned: if its client has gone meanwhile, the sid is free only now."""
        client.asking = False
        if not seams.knows(self._server.manager, client.connection.sid, client.connection.namespace):
            self._clients.remove(client)

    async def _settle(self, client: Client) -> None:
        """The application has been asked: let the client go live, or see it out."""
        connection = client.connection
        if client.leaving or not self._server.manager.is_connected(connection.sid, connection.namespace):
            return  # refused, or disconnected meanwhile
        if client.held and seams.is_pretended(self._server, connection.transport):
            connection.connect_sent = True  # a test client got it in a way that does not come by here
            self.attempts.go_live(connection)
        if client.held and connection.connect_sent and await self._save_first(client) and client.held:
            self.attempts.go_live(connection)
        if connection.phase is not Phase.LIVE or not seams.is_open(self._server, connection.transport):
            await self._see_out(client)
        elif client.doomed:
            await self._disconnect(client)

    async def _let_in(self, client: Client, packet: Any) -> None:
        """Save, look at the transport, send CONNECT and go live."""
        connection = client.connection
        if not client.held:
            return  # another connection took the session while the application was asked
        if not seams.is_open(self._server, connection.transport):
            return
        # With always_connect the application has not been asked yet: its session stays as it is till then.
        asked = not (self._server.always_connect and connection.recovery.recovered)
        if asked and connection.pid is not None and not await self._save_first(client):
            return
        if client.kept or connection.recovery.recovered:  # a new one that is sent away has nowhere to return
            packet.data = {**packet.data, "pid": connection.pid}
        elif connection.with_offsets:  # a client that strips them does so where there is a pid
            packet.data = {**packet.data, "offsets": True}
        if connection.recovery.reason is not None:  # JavaScript reads sid and pid, and nothing else
            packet.data = {**packet.data, "reason": connection.recovery.reason.value}
        if connection.ended_at is None and seams.is_open(self._server, connection.transport):
            await self._send_packet(connection.transport, packet)
            connection.connect_sent = True
            self._host.accepted(connection.sid, connection.namespace)
            if asked and client.held:  # with threads, another may have taken the session while this was sent
                self.attempts.go_live(connection)

    async def _save_first(self, client: Client) -> bool:
        """Make the session durable, unless it has ended; False if it is somebody else's now.

        True says nothing of the transport, at which whoever asks has to look: a client that must not be let
        in although its session may be its own has none any more. Others may be, if need be without a pid.
        """
        recovered = client.connection.recovery.recovered
        try:
            saved = -1
            # What changed during a save is not in it.
            while saved != client.connection.changes and not client.doomed:
                saved = client.connection.changes
                create = not recovered and not client.saved
                if not await self._process.sessions.save(client, HolderState.LIVE, create=create):
                    return False
        except (SaveError, EncodingError) as exc:
            extra = {"event": "save.failed", "sid": client.connection.sid}
            logger.warning("a client's session is not saved: %s", exc, extra=extra)
            if recovered:  # it might have two owners: it has to come once more
                if isinstance(exc, EncodingError):
                    await self._process.sessions.end(client)  # else it would come, in vain, for ever
                await self._host.abort(client.connection.transport)
        return True

    async def _refuse(self, eio_sid: str, namespace: str) -> None:
        """Send CONNECT_ERROR, in the form that JavaScript makes an error of."""
        reason = {"message": "Unable to connect"}
        packet = self._server.packet_class(seams.CONNECT_ERROR, data=reason, namespace=namespace)
        await self._send_packet(eio_sid, packet)

    async def _see_out(self, client: Client) -> None:
        """The application accepted, but the transport had died, or the session gone elsewhere, by then."""
        connection = client.connection
        self._end(connection)
        if client.doomed:
            await self._process.sessions.end(client)
        else:
            self._process.sessions.save_later(client, HolderState.AWAY)
        if seams.is_open(self._server, connection.transport):
            # Not CONNECT_ERROR, after which JavaScript does not try again: an earlier attempt of the same
            # client may have been served late, and overtaken this one.
            await self._host.abort(connection.transport)
            return
        reason = self._server.reason.TRANSPORT_CLOSE
        await self._host.call(
            seams.disconnected(self._server), connection.transport, connection.namespace, reason
        )
