"""The cluster, as one server sees it: heartbeats, questions to all servers, and their answers.

1. A server listens to the public channel of each of its namespaces, and to its own private one, from its
   first client or emit on (`recovery.messages`).
2. Whoever asks knows from Redis how many servers hear the question, and so how many answers there will be.
3. A question names the last entry of the stream that the asking server knows of, and is answered by a server
   that has read so far: what was emitted or changed before the question is seen in the answer.
4. Nothing here may stop clients from being served: what fails is counted, said and tried again.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapter.answering import Answering
from adapter.gathering import ClientGathering, Gathering
from adapter.seams import EioPacket
from recovery.channels import Channels, HasChannels, NoChannels
from recovery.commands import AsyncStore
from recovery.core.connection import Connection
from recovery.core.packets import AckRequest
from recovery.core.roster import Roster
from recovery.errors import MalformedError, StoreError
from recovery.messages import (
    Message,
    MessageKind,
    decode_message,
    encode_message,
    private_channel,
    public_channel,
    text_of,
)
from recovery.packing import is_list
from recovery.peers import Report
from recovery.records import Namespace, ServerId, Sid
from recovery.settings import Settings

if TYPE_CHECKING:  # a process is made with it, and it needs a process
    from adapter.process import Process

__all__ = ["Cluster", "new_request_id"]

logger = logging.getLogger("recovery.cluster")

_ROOT = Namespace("/")
_REQUESTS = frozenset({MessageKind.BROADCAST, MessageKind.FETCH_SOCKETS, MessageKind.SERVER_SIDE_EMIT})
_LEAVING_SECONDS = 1.0  # for a last word


class Cluster:
    """The other servers, and what passes between them and this one besides the stream.

    Attributes:
        roster: who was heard of lately.
    """

    def __init__(self, process: "Process", store: AsyncStore) -> None:
        settings: Settings = process.settings
        self.roster = Roster(settings.heartbeat_timeout)
        self._process = process
        self._settings = settings
        self._prefix = settings.channel_prefix or settings.stream_name
        self._answering = Answering(process, self)
        self._gatherings: dict[str, Gathering] = {}
        self._joined: set[Namespace] = set()
        self._channels: Channels = NoChannels()
        if isinstance(store, HasChannels):
            self._channels = store.open_channels(
                self._hear,
                sharded=settings.use_sharded_pubsub,
                silence=settings.heartbeat_timeout,
                failed=self.failed,
            )

    @property
    def server(self) -> ServerId:
        """This server's id."""
        return self._process.server_id

    async def run(self) -> None:
        """Listen, and send heartbeats, for ever."""
        if isinstance(self._channels, NoChannels):
            return
        kind = MessageKind.INITIAL_HEARTBEAT
        while True:
            if self._process.reads:
                self._process.begin()  # the application may have named further namespaces
            try:
                for namespace in self.namespaces() - self._joined:
                    await self.join(namespace)
                await self.publish(kind, _ROOT, self.report().fields())
                kind = MessageKind.HEARTBEAT
            except StoreError as exc:
                self.failed(exc)
            await asyncio.sleep(self._settings.heartbeat_interval)

    async def join(self, namespace: Namespace) -> None:
        """Listen to a namespace from now on; raises `StoreError` if that is not in force yet."""
        if namespace not in self._joined:
            await self._channels.subscribe(
                public_channel(self._prefix, namespace),
                private_channel(self._prefix, namespace, self.server),
            )
            self._joined.add(namespace)

    async def join_if_possible(self, namespace: Namespace) -> None:
        """Listen to a namespace; a failure is said, and does not matter to the caller."""
        try:
            await self.join(namespace)
        except StoreError as exc:
            self.failed(exc)

    def join_soon(self, namespace: Namespace) -> None:
        """Listen to a namespace soon, where nobody can wait."""
        if namespace not in self._joined:
            self._process.background.start(self.join_if_possible(namespace))

    async def publish(self, kind: MessageKind, namespace: Namespace, data: Mapping[str, Any]) -> int:
        """Send a message to all servers; return how many heard it, this one among them if it listens.

        Raises:
            EncodingError: the data cannot be sent.
            StoreError: it was not sent.
        """
        channel = public_channel(self._prefix, namespace)
        return await self._channels.publish(channel, self._encode(kind, namespace, data))

    async def answer(
        self, asking: ServerId, kind: MessageKind, namespace: Namespace, data: Mapping[str, Any]
    ) -> None:
        """Answer one server; raises like `publish`."""
        channel = private_channel(self._prefix, namespace, asking)
        await self._channels.publish(channel, self._encode(kind, namespace, data), counted=False)

    @contextmanager
    def gathered(self, request_id: str, gathering: Gathering) -> Generator[None, None, None]:
        """Pass the answers to a question on to whoever gathers them."""
        self._gatherings[request_id] = gathering
        try:
            yield
        finally:
            del self._gatherings[request_id]

    async def question(self, kind: MessageKind, namespace: Namespace, data: Mapping[str, Any]) -> int:
        """Put a question to all servers; return how many heard it, see `publish`."""
        await self.join(namespace)
        edge = str(self._process.dispatcher_of(namespace).edge)
        return await self.publish(kind, namespace, {**data, "after": edge})

    async def ask(
        self,
        kind: MessageKind,
        namespace: Namespace,
        data: Mapping[str, Any],
        gathering: Gathering,
        patience: float,
    ) -> bool:
        """Ask all other servers, and gather their answers; False if some are missing after `patience`.

        Args:
            data: with the question's id.
        """
        with self.gathered(text_of(data, "requestId"), gathering):
            try:
                async with asyncio.timeout(patience):
                    gathering.expect(await self.question(kind, namespace, data))
                    await gathering.done
            except TimeoutError:
                return False
        return True

    async def acknowledge(self, namespace: Namespace, sid: Sid, ack: AckRequest, args: Sequence[Any]) -> None:
        """Pass on what a client of this server has said to an event that came by a channel."""
        await self._answering.acknowledge(namespace, sid, ack, args)

    def acknowledged(self, request_id: str, value: Any, sid: Sid | None = None) -> bool:
        """A client has answered a question of this server; False if nobody gathers such answers."""
        gathering = self._gatherings.get(request_id)
        if not isinstance(gathering, ClientGathering):
            return False
        gathering.acknowledged(value, sid)
        return True

    def report(self) -> Report:
        """What this server says of itself."""
        process = self._process
        clients = sum(1 for _ in self._connections())
        name = f"{socket.gethostname()}:{os.getpid()}"
        position, joined = process.dispatcher_of(_ROOT).position, tuple(sorted(self._joined))
        return Report(name, position, clients, joined, dict(process.meters.recoveries))

    def failed(self, error: StoreError) -> None:
        """Say that this server cannot talk to others, as often as somebody would read it."""
        if self._process.tally.note("channel.failed", asyncio.get_running_loop().time()):
            logger.warning("cannot talk to other servers: %s", error, extra={"event": "channel.failed"})

    async def close(self) -> None:
        """Say good-bye, and stop listening."""
        try:
            async with asyncio.timeout(_LEAVING_SECONDS):
                if self._joined:
                    await self.publish(MessageKind.ADAPTER_CLOSE, _ROOT, {})
        except (StoreError, TimeoutError) as exc:
            logger.debug("no good-bye to other servers: %s", exc, extra={"event": "channel.failed"})
        await self.drop()

    async def drop(self) -> None:
        """Stop listening, without a word."""
        await self._channels.close()

    def _encode(self, kind: MessageKind, namespace: Namespace, data: Mapping[str, Any]) -> bytes:
        return encode_message(Message(kind, self.server, namespace, data), self._process.codec)

    def namespaces(self) -> set[Namespace]:
        """The namespaces that this server has, as far as it knows by now."""
        server = self._process.server
        named = {*server.handlers, *server.namespace_handlers} - {"*"}
        clients = {connection.namespace for connection in self._connections()}
        return {_ROOT, *map(Namespace, named), *clients, *self._process.server_events.namespaces()}

    def _connections(self) -> Iterator[Connection[EioPacket]]:
        """All clients of this server that are connected."""
        for runtime in self._process.streams.made():
            yield from runtime.dispatcher.connections()

    def _hear(self, payload: bytes) -> None:
        """Take a message; must not wait, and raises nothing."""
        try:
            message = decode_message(payload, self._process.codec)
            if message.server == self.server:
                self._take_own(message)
            else:
                self._take(message)
        except Exception as exc:  # noqa: BLE001 - whatever is in a message, this server must go on listening
            if self._process.tally.note("message.skipped", asyncio.get_running_loop().time()):
                logger.warning("a message is left out: %s", exc, extra={"event": "message.skipped"})

    def _take_own(self, message: Message) -> None:
        """A question of this server's has come back: it was counted among those who heard it."""
        gathering = self._gatherings.get(str(message.data.get("requestId")))
        if gathering is not None:
            gathering.came_back()

    def _take(self, message: Message) -> None:
        if message.kind is MessageKind.ADAPTER_CLOSE:
            self._let_go(message.server)
            return
        heartbeat = message.kind in {MessageKind.INITIAL_HEARTBEAT, MessageKind.HEARTBEAT}
        report = Report.read(message.data if heartbeat else message.data.get("server"))
        now = asyncio.get_running_loop().time()
        self.roster.heard(message.server, message.namespace, report, now=now)
        if message.kind is MessageKind.INITIAL_HEARTBEAT:
            self._process.background.start(self._answering.heartbeat())
        elif message.kind in _REQUESTS:
            self._process.background.start(self._answering.answer(message))
        elif not heartbeat:
            self._take_answer(message, text_of(message.data, "requestId"))

    def _let_go(self, server: ServerId) -> None:
        """A server leaves: it will not answer what it has heard."""
        now = asyncio.get_running_loop().time()
        for gathering in list(self._gatherings.values()):
            if server in self.roster.listening(gathering.namespace, now=now):
                gathering.left(server)
        self.roster.left(server)

    def _take_answer(self, message: Message, request_id: str) -> None:
        data, gathering = message.data, self._gatherings.get(request_id)
        if message.kind is MessageKind.BROADCAST_ACK:
            sid = data.get("sid")
            value = data.get("packet")
            if not self.acknowledged(request_id, value, Sid(sid) if isinstance(sid, str) else None):
                # Of a packet with a callback that went through the stream to a server of Node's.
                args = [] if value is None else [value]
                self._process.background.start(self._process.requests.acknowledge(request_id, args))
        elif gathering is None:
            return
        elif message.kind is MessageKind.BROADCAST_CLIENT_COUNT and isinstance(gathering, ClientGathering):
            gathering.answer(message.server, _clients_of(data))
        elif isinstance(gathering, ClientGathering):
            raise MalformedError(f"an answer of type {message.kind} to a question of another")
        elif message.kind is MessageKind.FETCH_SOCKETS_RESPONSE:
            gathering.answer(message.server, data.get("sockets"))
        else:
            gathering.answer(message.server, data.get("packet"))


def new_request_id() -> str:
    """An id that no other question has."""
    return secrets.token_hex(8)


def _clients_of(data: Mapping[str, Any]) -> list[Sid] | int:
    """Which clients a server has asked, or only how many."""
    sids, count = data.get("sids"), data.get("clientCount")
    if is_list(sids) and all(isinstance(sid, str) for sid in sids):
        return [Sid(sid) for sid in sids]
    if not isinstance(count, int) or count < 0:
        raise MalformedError("'clientCount' is not a whole number")
    return count
