"""What servers and clients did while Redis failed over, written down for the checker of `recovery.testing`.

Where a packet stood is known from the replies of every primary that there was: what the last one still has
was kept, and the rest was lost.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from recovery.commands import Append, Appended, AsyncStore, Command, Read
from recovery.errors import PublishError, StoreError
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.reasons import Reason
from recovery.records import Entry
from recovery.testing.checker import Violation, check
from recovery.testing.history import Accepted, Dropped, Emitted, History, Received, WritesLost
from tests.faults.outage import Node
from tests.interleavings.client import Client, Socket
from tests.interleavings.transports import WebSocketTransport

__all__ = ["Ledger", "Traveller", "WatchedStore"]

R = TypeVar("R")

_NAME = re.compile(rb'"(packet-[0-9]+)"')


class Ledger:
    """A history in the making.

    Attributes:
        history: what is known so far; `verdict` completes it.
        losses: how often it was said that Redis may lose writes.
    """

    def __init__(self) -> None:
        self.history = History()
        self.end = ORIGIN
        self._index: dict[str, int] = {}  # of packets' records
        self._numbers: defaultdict[str, int] = defaultdict(int)
        self._places: defaultdict[str, list[Offset]] = defaultdict(list)
        self._failovers: list[int] = []  # places in the history

    async def emit(self, node: Node, producer: str) -> str:
        """Have a server emit a packet; return its name, confirmed or not."""
        name = f"packet-{len(self._index) + 1}"
        self._numbers[producer] += 1
        index = self._index[name] = len(self.history.events)
        emitted = Emitted(name, producer, self._numbers[producer], stored=None)
        self.history.add(emitted)
        try:
            await node.sio.emit("n", name)
        except PublishError as error:
            stored = None if error.maybe_stored else False
        else:
            stored = True
        self.history.events[index] = replace(emitted, stored=stored)
        return name

    def saw(self, offset: Offset, data: bytes) -> None:
        """A primary has an entry."""
        self.end = max(self.end, offset)
        match = _NAME.search(data)
        if match is not None and offset not in self._places[match[1].decode()]:
            self._places[match[1].decode()].append(offset)

    def primary_is_lost(self) -> None:
        """From this moment on it is open what of all that is kept."""
        self._failovers.append(len(self.history.events))
        self.history.add(WritesLost(ORIGIN, ORIGIN))  # of nothing, until it is known

    def verdict(self, entries: Sequence[Entry], clients: "Sequence[Traveller]") -> list[Violation]:
        """Hold everything against the promise, when all is quiet, and all clients are connected.

        Args:
            entries: what the stream has in the end.
        """
        kept = {entry.offset: entry.fields.get(b"data", b"") for entry in entries}
        for offset, data in kept.items():
            self.saw(offset, data)
        for name, index in self._index.items():
            emitted = self.history.events[index]
            assert isinstance(emitted, Emitted)
            there = [seen for seen in self._places[name] if seen in kept]
            assert len(there) <= 1, f"{name} is stored twice"
            gone = [seen for seen in self._places[name] if seen not in kept]
            place = there[0] if there else max(gone, default=None)
            earlier = frozenset(gone) - {place}
            self.history.events[index] = replace(emitted, offset=place, earlier=earlier)
        self._tell_losses(entries)
        self.history.settled = {client.name for client in clients}
        return check(self.history)

    @property
    def lost(self) -> list[str]:
        """Packets that were confirmed, and that the stream does not have; after `verdict`."""
        losses = [each for each in self.history.events if isinstance(each, WritesLost) and each.upto]
        return [
            event.packet
            for event in self.history.events
            if isinstance(event, Emitted)
            and event.stored
            and event.offset is not None
            and any(loss.after < event.offset <= (loss.upto or ORIGIN) for loss in losses)
        ]

    def _tell_losses(self, entries: Sequence[Entry]) -> None:
        """Put into each failover what it has cost."""
        kept = sorted(entry.offset for entry in entries)
        epochs = sorted(entry.offset for entry in entries if b"epoch" in entry.fields)
        gone = sorted(place for places in self._places.values() for place in places if place not in set(kept))
        assert len(self._failovers) <= 1 or not gone, "it is not known which of them has lost what"
        if gone:
            after = max((place for place in kept if place < gone[0]), default=ORIGIN)
            told = next((place for place in epochs if place > gone[0]), None)
            [index] = self._failovers
            self.history.events[index] = WritesLost(after, gone[-1], told=told)


class WatchedStore:
    """A store, and a ledger that sees what it replies."""

    def __init__(self, store: AsyncStore, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:  # as the store has it
        return getattr(self._store, name)

    async def execute(self, command: Command[R]) -> R:
        reply = await self._store.execute(command)
        self._note(command, reply)
        return reply

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        replies = await self._store.execute_many(commands)
        for command, reply in zip(commands, replies, strict=True):
            self._note(command, reply)
        return replies

    async def close(self) -> None:
        await self._store.close()

    def _note(self, command: object, reply: object) -> None:
        if isinstance(command, Append) and isinstance(reply, Appended):
            for offset, draft in zip(reply.offsets, command.drafts, strict=True):
                self._ledger.saw(offset, dict(draft.fields).get(b"data", b""))
        elif isinstance(command, Read) and isinstance(reply, tuple):
            for entry in reply:
                assert isinstance(entry, Entry)
                self._ledger.saw(entry.offset, entry.fields.get(b"data", b""))


class Traveller(Client):
    """A client that writes down what it sees."""

    def __init__(self, name: str, ledger: Ledger, connections: "list[Traveller]") -> None:
        super().__init__()
        self.name = name
        self._ledger = ledger
        self._connections = connections  # of all clients; a connection's number is its place there
        self._connection = -1
        self._after = ORIGIN

    def dial(self, node: Node) -> None:
        """Leave the connection that there is, and begin another."""
        self._after = node.manager._process.runtime_of("/").dispatcher.position
        self.open(WebSocketTransport(node.app))

    @property
    def refusals(self) -> list[str | None]:
        """Why it was not recovered, each time but the first."""
        return self.sockets["/"].reasons[1:]

    def _connected(self, socket: Socket, data: dict[str, Any]) -> None:  # type: ignore[override]  # a method here
        super()._connected(socket, data)
        self._connection = len(self._connections)
        self._connections.append(self)
        reason = socket.reasons[-1]
        self._ledger.history.add(
            Accepted(
                self.name,
                self._connection,
                socket.sid,
                recovered=socket.outcomes[-1] == "recovered",
                reason=None if reason is None else Reason(reason),
                after=self._after,
                by=max(self._ledger.end, self._after),
            )
        )

    def _event(self, socket: Socket, packet: Any) -> None:
        super()._event(socket, packet)
        name, *args = socket.events[-1]
        if name == "n":
            self._ledger.history.add(
                Received(self.name, self._connection, args[0], parse_offset(socket.offsets[-1]))
            )

    def _lost(self) -> None:
        if self.is_connected:
            self._ledger.history.add(Dropped(self.name, self._connection))
        super()._lost()
