"""What a manager does with clients and servers of the whole cluster, once for both colours.

What changes something (`sockets_join` and its like) goes through the stream, so that it has a place in the
order of all packets, and counts for clients that are away. Questions go by channels (`adapter.cluster`).
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adapter.answering import sockets_here
from adapter.cluster import Cluster, new_request_id
from adapter.emits import arguments_of
from adapter.gathering import ClientGathering, Gathering
from adapter.seams import EioPacket
from adapter.server_events import ServerEventHandler
from recovery.core.dispatcher import Dispatcher
from recovery.core.packets import AckRequest
from recovery.drafts import Drafts
from recovery.entries import Kind
from recovery.errors import ConfigurationError, MalformedError, NoAnswerError
from recovery.messages import MessageKind
from recovery.packing import is_list
from recovery.peers import BroadcastAnswers, RemoteSocket, ServerRecord
from recovery.records import Audience, Draft, Namespace, Room, ServerId
from recovery.rooms import check_rooms

if TYPE_CHECKING:
    from adapter.operations import Operations
    from adapter.process import Process

__all__ = ["ClusterOperations"]


class ClusterOperations:
    """The operations of one manager that concern more than one client, or more than one server."""

    def __init__(self, operations: "Operations") -> None:
        self._operations = operations

    @property
    def _process(self) -> "Process":
        return self._operations.process

    @property
    def _cluster(self) -> Cluster:
        return self._process.cluster

    async def ready(self) -> None:
        """Read the stream and listen to the other servers from now on."""
        self._demand_server()
        self._process.begin()
        for runtime in self._process.streams.made():
            await runtime.start()
        await self._cluster.join(Namespace("/"))

    # Clients -------------------------------------------------------------------------------------------

    async def sockets_join(
        self, rooms: Any, audience: Audience, namespace: Namespace, *, local: bool
    ) -> None:
        """Put clients into rooms."""
        await self._change_rooms(Kind.JOIN, rooms, audience, namespace, local=local)

    async def sockets_leave(
        self, rooms: Any, audience: Audience, namespace: Namespace, *, local: bool
    ) -> None:
        """Take clients out of rooms."""
        await self._change_rooms(Kind.LEAVE, rooms, audience, namespace, local=local)

    async def disconnect_sockets(
        self, audience: Audience, namespace: Namespace, *, close: bool, local: bool
    ) -> None:
        """Disconnect clients, and end their sessions."""
        if not local:
            await self._publish(namespace, lambda drafts: drafts.disconnect(namespace, audience, close=close))
            return
        self._demand_server()
        dispatcher = await self._up_to_date(namespace)
        for connection in dispatcher.addressed(namespace, audience):
            await self._process.host.call(self._process.server.disconnect, connection.sid, namespace)
            if close:
                await self._process.host.abort(connection.transport)

    async def fetch_sockets(
        self, audience: Audience, namespace: Namespace, *, local: bool, patience: float
    ) -> list[RemoteSocket]:
        """Tell which clients are connected."""
        self._demand_server()
        await self._up_to_date(namespace)
        found = sockets_here(self._process, namespace, audience)
        if local:
            return found
        gathering = Gathering(namespace)
        data = {"requestId": new_request_id(), "opts": _opts(audience)}
        kind = MessageKind.FETCH_SOCKETS
        complete = await self._cluster.ask(kind, namespace, data, gathering, patience)
        for server, sockets in gathering.answers.items():
            found += _read_sockets(server, sockets)
        if not complete:
            raise self._no_answer(gathering, namespace, patience, found)
        return found

    async def broadcast_call(
        self, event: str, data: Any, audience: Audience, namespace: Namespace, *, local: bool, patience: float
    ) -> BroadcastAnswers:
        """Emit an event to clients, and gather their acknowledgements."""
        self._demand_server()
        await self._up_to_date(namespace)
        args, request_id = arguments_of(event, data), new_request_id()
        request = {"requestId": request_id, "packet": {"type": 2, "data": args}, "opts": _opts(audience)}
        ack = AckRequest(self._cluster.server, request_id, by_channel=True)
        gathering = ClientGathering(namespace)
        with self._cluster.gathered(request_id, gathering), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                kind = MessageKind.BROADCAST
                asked = 0 if local else await self._cluster.question(kind, namespace, request)
                gathering.here(self._process.deliver(namespace, args, audience, ack))
                gathering.expect(asked)
                await gathering.done
        return gathering.result(() if local else self._listening(namespace))

    # Servers -------------------------------------------------------------------------------------------

    def on_server_event(self, event: str, handler: ServerEventHandler, namespace: Namespace) -> None:
        """Have a function called with an event that another server has emitted for servers."""
        if not callable(handler):
            raise ConfigurationError(f"the handler of {event!r} is {handler!r}, expected a function")
        self._process.server_events.on(event, handler, namespace)

    async def server_side_emit(self, event: str, data: Sequence[Any], namespace: Namespace) -> None:
        """Emit an event to the other servers."""
        packet = [event, *data]
        if self._process.server is None:  # it has no channels
            await self._publish(namespace, lambda drafts: drafts.server_event(namespace, packet))
            return
        await self._process.reading(namespace)
        await self._cluster.question(MessageKind.SERVER_SIDE_EMIT, namespace, {"packet": packet})

    async def server_side_call(
        self, event: str, data: Sequence[Any], namespace: Namespace, *, patience: float
    ) -> dict[ServerId, Any]:
        """Emit an event to the other servers, and gather their answers."""
        self._demand_server()
        await self._process.reading(namespace)
        gathering = Gathering(namespace)
        request = {"requestId": new_request_id(), "packet": [event, *data]}
        kind = MessageKind.SERVER_SIDE_EMIT
        if not await self._cluster.ask(kind, namespace, request, gathering, patience):
            raise self._no_answer(gathering, namespace, patience, gathering.answers)
        return gathering.answers

    async def servers(self, *, patience: float) -> tuple[ServerRecord, ...]:
        """Call the roll: this server, and all others."""
        self._demand_server()
        await self._process.reading(Namespace("/"))
        gathering = Gathering(Namespace("/"))
        nobody = Audience((f"roll-call-{secrets.token_hex(8)}",))  # a room without members
        data = {"requestId": new_request_id(), "opts": _opts(nobody)}
        await self._cluster.ask(MessageKind.FETCH_SOCKETS, Namespace("/"), data, gathering, patience)
        now = asyncio.get_running_loop().time()
        server, report = self._cluster.server, self._cluster.report()
        return self._cluster.roster.records(server, report, gathering.answers, now=now)

    # Inside --------------------------------------------------------------------------------------------

    async def _change_rooms(
        self, kind: Kind, rooms: Any, audience: Audience, namespace: Namespace, *, local: bool
    ) -> None:
        changed: tuple[Room, ...] = (
            tuple(rooms) if isinstance(rooms, list | tuple | set | frozenset) else (rooms,)
        )
        check_rooms(changed)
        if not local:
            await self._publish(
                namespace, lambda drafts: drafts.change_rooms(kind, namespace, audience, changed)
            )
            return
        self._demand_server()
        dispatcher = await self._up_to_date(namespace)
        operations = self._operations
        change = operations.enter_room if kind is Kind.JOIN else operations.leave_room
        for connection in dispatcher.addressed(namespace, audience):
            for room in changed:
                await change(connection.sid, namespace, room)

    async def _publish(self, namespace: Namespace, make: Callable[[Drafts], Draft]) -> None:
        """Append an entry, and return when it is in force on this server."""
        runtime = self._process.runtime_of(namespace)
        draft = make(runtime.drafts)
        await self._process.follow_stream(namespace)
        offset = await runtime.publish(draft)
        if self._process.server is not None:
            await runtime.passed(offset, self._process.settings.publish_timeout)

    async def _up_to_date(self, namespace: Namespace) -> Dispatcher[EioPacket]:
        """Read what this server has published itself, so that its clients here are as it left them."""
        runtime = await self._process.reading(namespace)
        await runtime.passed(runtime.dispatcher.edge, self._process.settings.publish_timeout)
        return runtime.dispatcher

    def _listening(self, namespace: Namespace) -> tuple[ServerId, ...]:
        return self._cluster.roster.listening(namespace, now=asyncio.get_running_loop().time())

    def _no_answer(
        self, gathering: Gathering, namespace: Namespace, patience: float, answers: Any
    ) -> NoAnswerError:
        servers, unknown = gathering.missing(self._listening(namespace))
        named = [*servers, *([f"{unknown} more"] if unknown else [])]
        return NoAnswerError(
            f"no answer within {patience} s from {', '.join(named) or 'Redis'}",
            servers=servers,
            unknown=unknown,
            answers=answers,
        )

    def _demand_server(self) -> None:
        if self._process.server is None:
            raise RuntimeError("only a server can do that: this manager is write-only")


def _opts(audience: Audience) -> Mapping[str, Any]:
    return {"rooms": list(audience.rooms), "except": list(audience.excluded), "flags": {}}


def _read_sockets(server: ServerId, sockets: Any) -> list[RemoteSocket]:
    """The clients that a server has told of; those that cannot be read are left out."""
    found: list[RemoteSocket] = []
    for fields in sockets if is_list(sockets) else ():
        try:
            found.append(RemoteSocket.read(fields, server))
        except MalformedError:
            continue
    return found
