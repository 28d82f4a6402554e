"""What an asyncio manager does with the whole cluster; see `adapter.cluster_operations`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from adapter.emits import audience_of
from adapter.operations import Operations
from adapter.releases import AsyncManager
from recovery.peers import BroadcastAnswers, RemoteSocket, ServerRecord
from recovery.records import Namespace, ServerId

__all__ = ["AsyncClusterManager"]

H = TypeVar("H", bound=Callable[..., Any])  # a handler is given back as it was


class AsyncClusterManager(AsyncManager):
    """The part of a manager that speaks to all servers; see `adapter.AsyncRecoveryManager`."""

    _operations: Operations

    async def ready(self) -> None:
        """Begin, as `start` does, and return when this server reads the stream and hears the others.

        Raises:
            StoreError: the store does not answer.
        """
        await self._operations.cluster.ready()

    async def servers(self, *, timeout: float = 2.0) -> tuple[ServerRecord, ...]:  # noqa: ASYNC109  # python-socketio has it so, too
        """Call the roll: this server, which comes first, and all others that there are.

        Args:
            timeout: seconds to wait for servers that are known and do not answer.

        Raises:
            StoreError: they could not be asked.
        """
        return await self._operations.cluster.servers(patience=timeout)

    async def sockets_join(
        self,
        rooms: Any,
        *,
        room: Any = None,
        except_: Any = None,
        namespace: str | None = None,
        local: bool = False,
    ) -> None:
        """Put all clients of a room into other rooms, wherever they are; those that are away, too.

        Args:
            rooms: a room, or a list of rooms, to put them into.
            room: a room, a sid, or a list of them; everyone in the namespace if left out.
            except_: rooms or sids to leave out.
            namespace: "/" if left out.
            local: only clients of this server; they are then put there one by one, as by `enter_room`.

        Raises:
            PublishError: the change was not confirmed; see `emit`.

        Example::

            await sio.manager.sockets_join("closing", room="auction", except_="staff")
        """
        audience, name = audience_of(room, except_), Namespace(namespace or "/")
        await self._operations.cluster.sockets_join(rooms, audience, name, local=local)

    async def sockets_leave(
        self,
        rooms: Any,
        *,
        room: Any = None,
        except_: Any = None,
        namespace: str | None = None,
        local: bool = False,
    ) -> None:
        """Take all clients of a room out of rooms, wherever they are; arguments as of `sockets_join`."""
        audience, name = audience_of(room, except_), Namespace(namespace or "/")
        await self._operations.cluster.sockets_leave(rooms, audience, name, local=local)

    async def disconnect_sockets(
        self,
        *,
        room: Any = None,
        except_: Any = None,
        namespace: str | None = None,
        close: bool = False,
        local: bool = False,
    ) -> None:
        """Disconnect all clients of a room, wherever they are, and end their sessions for good.

        Args:
            close: close their transports, too, with all other namespaces on them.

        The other arguments are those of `sockets_join`.
        """
        audience, name = audience_of(room, except_), Namespace(namespace or "/")
        await self._operations.cluster.disconnect_sockets(audience, name, close=close, local=local)

    async def fetch_sockets(
        self,
        *,
        room: Any = None,
        except_: Any = None,
        namespace: str | None = None,
        local: bool = False,
        timeout: float = 5.0,  # noqa: ASYNC109  # python-socketio has it so, too
    ) -> list[RemoteSocket]:
        """Return the clients of a room that are connected now, on all servers.

        What was emitted or changed before is seen in the answer. The arguments are those of `sockets_join`.

        Args:
            local: only clients of this server, without asking others.
            timeout: seconds to wait for the other servers.

        Raises:
            NoAnswerError: some servers did not answer; it names them, and has what the others said.
            StoreError: they could not be asked.
        """
        audience, name = audience_of(room, except_), Namespace(namespace or "/")
        return await self._operations.cluster.fetch_sockets(audience, name, local=local, patience=timeout)

    async def broadcast_call(
        self,
        event: str,
        data: Any = None,
        *,
        room: Any = None,
        except_: Any = None,
        namespace: str | None = None,
        local: bool = False,
        timeout: float = 60.0,  # noqa: ASYNC109  # python-socketio has it so, too
    ) -> BroadcastAnswers:
        """Emit an event to all clients of a room, and return what they have acknowledged.

        Such an event is not recovered: a client that is away is not asked. The arguments are those of `emit`
        and `sockets_join`.

        Args:
            timeout: seconds to wait for all of them; whoever has not answered then is told apart.

        Raises:
            EncodingError: the data cannot be sent.
            StoreError: the other servers could not be asked.

        Example::

            answers = await sio.manager.broadcast_call("vote", 7, room="jury", timeout=10)
            print(answers.responses, answers.silent)
        """
        audience, name = audience_of(room, except_), Namespace(namespace or "/")
        return await self._operations.cluster.broadcast_call(
            event, data, audience, name, local=local, patience=timeout
        )

    async def server_side_emit(self, event: str, *data: Any, namespace: str | None = None) -> None:
        """Emit an event to all other servers of the cluster; this one's handlers are not called.

        A server that has no connection to Redis at that moment does not get it. A write-only manager sends it
        through the stream.

        Raises:
            EncodingError: the data cannot be sent.
            StoreError: it was not sent.
        """
        await self._operations.cluster.server_side_emit(event, data, Namespace(namespace or "/"))

    async def server_side_call(
        self,
        event: str,
        *data: Any,
        namespace: str | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109  # python-socketio has it so, too
    ) -> Mapping[ServerId, Any]:
        """Emit an event to all other servers, and return what their handlers have returned, by server.

        Raises:
            NoAnswerError: some servers did not answer, or have no handler; it has what the others said.
            EncodingError: the data cannot be sent.
            StoreError: they could not be asked.
        """
        name = Namespace(namespace or "/")
        return await self._operations.cluster.server_side_call(event, data, name, patience=timeout)

    def on_server_event(
        self, event: str, handler: Callable[..., Any] | None = None, *, namespace: str | None = None
    ) -> Any:
        """Register a handler for an event that other servers emit for servers; may be used as a decorator.

        It is called with the data of the event, and what it returns is the answer to `server_side_call`. A
        later one for the same event takes its place. A server hears such events from its first client or emit
        on, or from `start`.

        Example::

            @sio.manager.on_server_event("count")
            async def count(kind):
                return len(jobs[kind])
        """

        def register(function: H) -> H:
            self._operations.cluster.on_server_event(event, function, Namespace(namespace or "/"))
            return function

        return register if handler is None else register(handler)
