"""Carrying out what the dispatcher leaves to do: each effect in one method."""

import logging
from collections.abc import Sequence

from adapter import seams
from adapter.clients import Client, Clients
from adapter.process import Process
from adapter.seams import EioPacket
from recovery.core.connection import Connection, Phase
from recovery.core.control import Acknowledgement, ServerEvent, SessionAnswer
from recovery.core.dispatcher import Dispatcher
from recovery.core.effects import (
    Disconnected,
    Effect,
    Overflowed,
    RoomChanged,
    SessionReplaced,
    SessionWanted,
    TakenOver,
)
from recovery.flows.steps import Vacate
from recovery.records import HolderState

__all__ = ["Effects"]

logger = logging.getLogger("recovery.effects")

EioConnection = Connection[EioPacket]


class Effects:
    """The front end of all runtimes of a process (`recovery.aio.runtime.FrontEnd`)."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._host = process.host
        self._server = process.server
        self._slow: set[EioConnection] = set()

    @property
    def _clients(self) -> Clients:
        return self._process.clients

    def carry_out(self, effects: Sequence[Effect[EioPacket]]) -> None:
        """Do what dispatched entries ask for; whatever takes time, in tasks."""
        for effect in effects:
            match effect:
                case RoomChanged():
                    self._change_room(effect)
                case Disconnected():
                    self._process.background.start(self._disconnect(effect))
                case TakenOver():
                    self._process.background.start(self._hand_over(effect))
                case SessionReplaced():
                    self._replace_session(effect.connection)
                case SessionWanted():
                    self._process.background.start(self._answer(effect))
                case Overflowed() if effect.connection not in self._slow:  # else for each packet of a batch
                    self._slow.add(effect.connection)
                    self._process.background.start(self._close_slow(effect.connection))
                case _:
                    self._pass_on(effect)

    async def vacate(self, step: Vacate) -> bool:
        """Free a sid for a claim, waiting for all handlers of older ones; False if there is a newer one."""
        while (client := self._clients.find(step.namespace, step.sid)) is not None:
            if client.connection.number > step.number:
                return False
            self.evict(client)
            await client.gone
        return True

    def interrupt(self, dispatcher: Dispatcher[EioPacket]) -> None:
        """End all connections of a stream at once, and close their transports: clients come back, are told.

        Nothing that lies beyond the gap may reach them: its offset would make them look as if they had all
        before it.
        """
        concerned = [
            client
            for client in self._clients.all()
            if self._process.dispatcher_of(client.connection.namespace) is dispatcher
        ]
        for client in concerned:
            if client.connection.phase is not Phase.ENDED:
                dispatcher.end(client.connection)
                self._process.background.start(
                    self._process.sessions.save_quietly(client, HolderState.CLOSING)
                )
        for transport in {client.connection.transport: None for client in concerned}:
            self._process.background.start(self._host.abort(transport))

    def evict(self, client: Client) -> None:
        """The session of a client belongs to another connection now: end this one, quietly.

        Without DISCONNECT, after which JavaScript does not come back: the other connection may be an earlier
        attempt of the same client, served late.
        """
        connection = client.connection
        was_live = connection.phase is Phase.LIVE
        self._process.dispatcher_of(connection.namespace).end(connection)
        if was_live:
            self._process.background.start(self._host.abort(connection.transport))
        # A held one is seen out by the gate, when the application has answered.

    def _pass_on(self, effect: Effect[EioPacket]) -> None:
        """Pass on what was for this server itself; a Release is for the runtime."""
        match effect:
            case SessionAnswer():
                self._process.requests.answer(effect.request_id, effect.data)
            case Acknowledgement():
                self._process.background.start(
                    self._process.requests.acknowledge(effect.request_id, effect.args)
                )
            case ServerEvent() if effect.server != self._process.server_id:
                self._process.background.start(self._process.server_events.take(effect))
            case _:
                pass

    def _change_room(self, effect: RoomChanged[EioPacket]) -> None:
        connection = effect.connection
        manager = self._server.manager
        change = manager.basic_enter_room if effect.entered else manager.basic_leave_room
        try:
            change(connection.sid, connection.namespace, effect.room)
        except (ValueError, KeyError) as exc:  # another client's sid, or not in the tables yet
            extra = {"event": "room.unchanged", "sid": connection.sid}
            logger.debug("room %r of %s: %s", effect.room, connection.sid, exc, extra=extra)
        self._save_live(connection)

    def _replace_session(self, connection: EioConnection) -> None:
        socket = seams.socket_of(self._server, connection.transport)
        if socket is not None:
            socket.session[connection.namespace] = dict(connection.user_session)
        self._save_live(connection)

    def _save_live(self, connection: EioConnection) -> None:
        client = self._clients.find(connection.namespace, connection.sid)
        if client is not None and connection.phase is Phase.LIVE:
            self._process.sessions.save_later(client, HolderState.LIVE)

    async def _disconnect(self, effect: Disconnected[EioPacket]) -> None:
        connection = effect.connection
        client = self._clients.find(connection.namespace, connection.sid)
        if client is None:
            return
        await self._process.sessions.end(client)
        await self._host.call(
            self._server.disconnect, connection.sid, connection.namespace, ignore_queue=True
        )
        if effect.close:
            await self._host.abort(connection.transport)

    async def _hand_over(self, effect: TakenOver[EioPacket]) -> None:
        takeover = effect.takeover
        client = self._clients.find(takeover.namespace, takeover.sid)
        if effect.connection is not None:
            extra = {"event": "takeover.noticed", "sid": takeover.sid}
            logger.info("%s is on server %s now", takeover.sid, takeover.claimer, extra=extra)
        if effect.connection is not None and effect.connection.connect_sent:
            await self._host.abort(effect.connection.transport)
        if not effect.asked:
            return
        if client is not None and client.connection.number < takeover.number:
            await client.gone
        await self._process.answer(
            takeover.namespace,
            lambda drafts: drafts.released(
                takeover.namespace, takeover.sid, takeover.number, takeover.claimer
            ),
        )

    async def _answer(self, effect: SessionWanted[EioPacket]) -> None:
        request, connection = effect.request, effect.connection
        await self._process.answer(
            connection.namespace,
            lambda drafts: drafts.session(
                connection.namespace, request.server, request.request_id, connection.user_session
            ),
        )

    async def _close_slow(self, connection: EioConnection) -> None:
        self._process.runtime_of(connection.namespace).tally.counts["client.slow"] += 1
        logger.warning(
            "%s does not take its packets; its connection is closed",
            connection.sid,
            extra={"event": "client.slow", "sid": connection.sid},
        )
        try:
            await self._host.abort(connection.transport)
        finally:
            self._slow.discard(connection)
