"""The clients of this process, from admission until nothing of them is left in python-socketio's tables.

A connection leaves the dispatcher the moment it ends; its disconnect handler may run much longer, and its
sid stays taken until then.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from adapter.seams import EioPacket
from recovery.core.connection import Connection, Phase
from recovery.offsets import ORIGIN, Offset
from recovery.records import Namespace, Sid

__all__ = ["TURNS", "Client", "Clients", "EioConnection"]

TURNS = 8
"""Parts of the clients, of which one after the other has its turn to be saved."""

EioConnection = Connection[EioPacket]


@dataclass(slots=True, eq=False)
class Client:
    """A connection, and what became of it here.

    Attributes:
        asking: its connect handler is running; whatever that does is done to its sid, so that stays taken.
        saved: its session is in the store under its claim.
        closed_at: when its transport closed, on the loop's clock.
        saved_changes: how many changes of the connection are in the saved session.
        saved_proven: the proven position that is in it.
        saved_at: when it was written last, on the loop's clock.
        turn: with which of `TURNS` parts it is looked at for the next checkpoint.
        ending: writes the end of its session.
        leaving: the application disconnects it, and has said so to the store already.
        parting: how many threads are at its end, each of which calls `Operations.disconnect` at last.
        seen_off: its disconnect handler runs, or has run.
        doomed: the application disconnected it while its connect handler ran: its session has ended, and it
            is let in only to be sent away.
        flask_session: what was saved last of Flask-SocketIO's session, packed; see `adapter.flask_sessions`.
        gone: done when its disconnect handler has finished and its sid is free.
    """

    connection: EioConnection
    asking: bool = True
    saved: bool = False
    saved_changes: int = 0
    saved_proven: Offset = ORIGIN
    saved_at: float = 0.0
    turn: int = 0
    leaving: bool = False
    parting: int = 0
    seen_off: bool = False
    doomed: bool = False
    closed_at: float | None = None
    flask_session: bytes = b""
    ending: asyncio.Task[None] | None = None
    gone: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def owned(self) -> bool:
        """Whether the store has a session under this connection's claim."""
        return self.saved or self.connection.recovery.recovered

    @property
    def kept(self) -> bool:
        """Whether its session is in the store to stay."""
        return self.saved and not self.doomed

    @property
    def held(self) -> bool:
        """Whether the application has not accepted it yet."""
        return self.connection.phase is Phase.HELD


class Clients:
    """Clients by sid and by transport."""

    def __init__(self) -> None:
        self._by_sid: dict[tuple[Namespace, Sid], Client] = {}
        self._by_transport: dict[str, dict[Namespace, Client]] = {}
        self._turns = cycle(range(TURNS))

    def add(self, connection: EioConnection) -> Client:
        """Take in a connection that was just admitted; its sid must be free."""
        client = Client(connection, turn=next(self._turns))
        self._by_sid[connection.namespace, connection.sid] = client
        self._by_transport.setdefault(connection.transport, {})[connection.namespace] = client
        return client

    def remove(self, client: Client) -> None:
        """Let a client go, and wake whoever waits for its sid. Harmless if it is gone already."""
        connection = client.connection
        if client.gone.done():
            return
        client.gone.set_result(None)
        del self._by_sid[connection.namespace, connection.sid]
        namespaces = self._by_transport[connection.transport]
        del namespaces[connection.namespace]
        if not namespaces:
            del self._by_transport[connection.transport]

    def find(self, namespace: str, sid: str) -> Client | None:
        """The client with this sid, whatever its phase, or None."""
        return self._by_sid.get((Namespace(namespace), Sid(sid)))

    def at(self, transport: str, namespace: str) -> Client | None:
        """The client of a namespace on a transport, or None."""
        return self._by_transport.get(transport, {}).get(Namespace(namespace))

    def on(self, transport: str) -> list[Client]:
        """All clients on a transport."""
        return list(self._by_transport.get(transport, {}).values())

    def all(self) -> list[Client]:
        """All clients, whatever their phase."""
        return list(self._by_sid.values())

    def transports(self) -> list[str]:
        """All transports that carry a client."""
        return list(self._by_transport)

    def live(self) -> Iterator[Client]:
        """Clients that are connected and can recover."""
        for client in self.all():
            if client.connection.phase is Phase.LIVE and client.connection.pid is not None:
                yield client
