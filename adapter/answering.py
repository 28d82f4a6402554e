"""What this server answers to others: to Node's as to ours (`recovery.messages`).

What it says to an application's event for servers is the application's (`adapter.server_events`).
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapter.server_events import Unanswered
from adapter.sockets import describe, fields_of
from recovery.core.connection import Phase
from recovery.core.packets import AckRequest
from recovery.entries import decode_audience
from recovery.errors import EncodingError, MalformedError, StoreError
from recovery.messages import Message, MessageKind, event_of, text_of
from recovery.offsets import parse_offset
from recovery.peers import RemoteSocket
from recovery.records import Audience, Namespace, Sid

if TYPE_CHECKING:  # these are made of each other
    from adapter.cluster import Cluster
    from adapter.process import Process

__all__ = ["Answering", "sockets_here"]

logger = logging.getLogger("recovery.cluster")

_CATCHING_UP = 2.0  # seconds to read what came before a question; then it is answered as far as that goes


class Answering:
    """Answers the questions of other servers."""

    def __init__(self, process: "Process", cluster: "Cluster") -> None:
        self._process = process
        self._cluster = cluster

    async def answer(self, message: Message) -> None:
        """Answer one question; what cannot be answered is said in the log."""
        try:
            await self._catch_up(message)
            match message.kind:
                case MessageKind.FETCH_SOCKETS:
                    await self._tell_sockets(message)
                case MessageKind.BROADCAST:
                    await self._broadcast(message)
                case _:
                    await self._server_event(message)
        except MalformedError as exc:
            logger.warning("a question is left out: %s", exc, extra={"event": "message.skipped"})
        except (StoreError, EncodingError) as exc:
            logger.warning("an answer is lost: %s", exc, extra={"event": "publish.failed"})

    async def heartbeat(self) -> None:
        """Tell a server that has begun that this one is there."""
        try:
            report = self._cluster.report().fields()
            await self._cluster.publish(MessageKind.HEARTBEAT, Namespace("/"), report)
        except StoreError as exc:
            self._cluster.failed(exc)

    async def acknowledge(self, namespace: Namespace, sid: Sid, ack: AckRequest, args: Sequence[Any]) -> None:
        """Pass on what a client has said to an event that came by a channel."""
        value = args[0] if len(args) == 1 else list(args) or None
        if ack.server == self._cluster.server:
            self._cluster.acknowledged(ack.request_id, value, sid)
            return
        data = {"requestId": ack.request_id, "packet": value, "sid": sid}
        try:
            await self._cluster.answer(ack.server, MessageKind.BROADCAST_ACK, namespace, data)
        except (StoreError, EncodingError) as exc:
            logger.warning("an answer is lost: %s", exc, extra={"event": "publish.failed"})

    async def _catch_up(self, message: Message) -> None:
        """Read what whoever asks had emitted or changed before; Node's servers do not say that."""
        after = message.data.get("after")
        runtime = await self._process.reading(message.namespace)
        if isinstance(after, str):
            try:
                offset = parse_offset(after)
            except ValueError as exc:
                raise MalformedError(str(exc)) from exc
            await runtime.passed(offset, _CATCHING_UP)

    async def _tell_sockets(self, message: Message) -> None:
        audience, _ = decode_audience(message.data)
        sockets = sockets_here(self._process, message.namespace, audience)
        data = {
            "requestId": text_of(message.data, "requestId"),
            "sockets": [fields_of(each) for each in sockets],
            "server": self._cluster.report().fields(),
        }
        kind = MessageKind.FETCH_SOCKETS_RESPONSE
        try:
            await self._cluster.answer(message.server, kind, message.namespace, data)
        except EncodingError as exc:
            logger.warning(
                "user sessions are left out of an answer: %s", exc, extra={"event": "publish.failed"}
            )
            data["sockets"] = [fields_of(each, with_data=False) for each in sockets]
            await self._cluster.answer(message.server, kind, message.namespace, data)

    async def _broadcast(self, message: Message) -> None:
        request_id = text_of(message.data, "requestId")
        audience, _ = decode_audience(message.data)
        ack = AckRequest(message.server, request_id, by_channel=True)
        sids = self._process.deliver(message.namespace, event_of(message.data), audience, ack)
        data = {"requestId": request_id, "clientCount": len(sids), "sids": sids}
        await self._cluster.answer(
            message.server, MessageKind.BROADCAST_CLIENT_COUNT, message.namespace, data
        )

    async def _server_event(self, message: Message) -> None:
        request_id = message.data.get("requestId")
        try:
            value = await self._process.server_events.run(message.namespace, event_of(message.data))
        except Unanswered:
            return  # as a server of Node's without a listener
        if isinstance(request_id, str):
            data = {"requestId": request_id, "packet": value}
            kind = MessageKind.SERVER_SIDE_EMIT_RESPONSE
            await self._cluster.answer(message.server, kind, message.namespace, data)


def sockets_here(process: "Process", namespace: Namespace, audience: Audience) -> list[RemoteSocket]:
    """The clients of this server that are connected, and that a packet of this moment would be for."""
    environs = process.server.environ
    return [
        describe(connection, environs.get(connection.transport, {}), process.server_id)
        for connection in process.dispatcher_of(namespace).addressed(namespace, audience)
        if connection.phase is Phase.LIVE
    ]
