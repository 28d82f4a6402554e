"""One face for the three clients that recover: the JavaScript one, and ours for asyncio and with threads.

What a test emits to them are numbered packets, so that the checker can read what became of each.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.clients.drivers import COLOURS, Driver, driving
from tests.e2e.checker import Label, Seen, Sent, check, explain
from tests.e2e.cluster import Cluster, Server
from tests.e2e.js_clients import Connected, JsClient
from tests.e2e.wire import Json
from tests.faults.proxy import Proxy

__all__ = ["KINDS", "Claim", "JavaScriptVisitor", "Programme", "PythonVisitor", "Visitor", "visiting"]

KINDS = ("javascript", *COLOURS)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client presents to be recovered."""

    pid: str
    offset: str


class Visitor(ABC):
    """A client that comes to a cluster, loses its connection when told to, and comes back when told to."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name = name
        self._cluster = cluster

    @property
    @abstractmethod
    def sid(self) -> str:
        """Its id as of the latest connect."""

    @abstractmethod
    async def come(self, *, claim: Claim | None = None, **options: Any) -> None:
        """Connect to the first server; with a claim, as if it had been there before."""

    @abstractmethod
    async def leave(self) -> None:
        """Lose the connection, and stay away."""

    @abstractmethod
    async def come_back(self, server: Server) -> None:
        """Be connected again, to a server of the test's choice."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until it has everything that was emitted so far."""

    @abstractmethod
    def recoveries(self) -> list[bool]:
        """Whether each connect was a recovery, in order."""

    @abstractmethod
    def heard(self) -> list[tuple[tuple[Json, ...], str | None]]:
        """The arguments of each event ``n``, and the offset if the handler can see it."""

    @abstractmethod
    async def claim(self) -> Claim:
        """What it would present now."""


class JavaScriptVisitor(Visitor):
    """The real ``socket.io-client``."""

    _client: JsClient

    @property
    def sid(self) -> str:
        return self._client.sid

    async def come(self, *, claim: Claim | None = None, **options: Any) -> None:
        if claim is not None:
            options |= {"pid": claim.pid, "offset": claim.offset}
        self._client = await self._cluster.client(name=self.name, **options)

    async def leave(self) -> None:
        await self._client.drop("abrupt")

    async def come_back(self, server: Server) -> None:
        await self._client.reconnect(server.url)

    async def settle(self) -> None:
        await self._cluster.settle(self._client)

    def recoveries(self) -> list[bool]:
        return [connected.recovered for connected in self._client.all(Connected)]

    def heard(self) -> list[tuple[tuple[Json, ...], str | None]]:
        return [(item.args, item.offset) for item in self._client.received("n")]

    async def claim(self) -> Claim:
        state = await self._client.state()
        return Claim(state["pid"], state["lastOffset"])


class PythonVisitor(Visitor):
    """A client of ours, of either colour: it reaches the servers through a network that a test can cut."""

    def __init__(self, name: str, cluster: Cluster, driver: Driver, network: Proxy) -> None:
        super().__init__(name, cluster)
        self.driver = driver
        self.network = network
        self._marks = 0
        self._sid = ""

    @property
    def sid(self) -> str:
        return self.driver.client.get_sid() or self._sid  # the client forgets it when it loses its connection

    async def come(self, *, claim: Claim | None = None, **options: Any) -> None:
        self.driver.listen("connect", "disconnect", "n", "settle")
        if claim is not None:
            session = {"pid": claim.pid, "offset": claim.offset, "exact": True}
            self.driver.client.import_state({"version": 1, "namespaces": {"/": session}})
        await self.driver.connect(self.network.url, socketio_path=self._cluster.first.path, **options)

    async def leave(self) -> None:
        before = len(self.driver.got("disconnect"))
        self._sid = self.sid
        self.network.refuse()
        await self.driver.until_got("disconnect", before + 1)

    async def come_back(self, server: Server) -> None:
        """Be connected again; it does that by itself. It need not have left before."""
        before = len(self.driver.got("connect"))
        self.network.redirect(server.url)
        await self.network.forward()
        await self.driver.until_got("connect", before + 1)

    async def settle(self, namespace: str = "/") -> None:
        self._marks += 1
        sid = self.driver.client.get_sid(namespace)
        await self._cluster.last.emit("settle", self._marks, to=sid, namespace=namespace)
        await self.driver.until(lambda: self._marks in self.driver.got("settle", namespace))

    def recoveries(self) -> list[bool]:
        return [outcome.recovered for outcome in self.driver.got("connect")]

    def heard(self) -> list[tuple[tuple[Json, ...], str | None]]:
        return [(args, None) for args in self.driver.got("n")]

    async def claim(self) -> Claim:
        session = self.driver.client.export_state()["namespaces"]["/"]
        return Claim(session["pid"], session["offset"])


@asynccontextmanager
async def visiting(kind: str, cluster: Cluster, name: str = "ann", **options: Any) -> AsyncGenerator[Visitor]:
    """A visitor of one of `KINDS`, who has not come yet; it is gone at the end.

    Args:
        **options: of the Python client.
    """
    if kind == "javascript":
        yield JavaScriptVisitor(name, cluster)  # the cluster takes it away
        return
    async with Proxy(cluster.first.url) as network, driving(kind, **options) as driver:
        yield PythonVisitor(name, cluster, driver, network)
        # The threaded client and a synchronous server, stock ones too, take 3 s to close a WebSocket
        # (python-engineio 4.15.1: the reading thread swallows the CLOSE that websocket-client 1.9 waits for).
        network.refuse()


class Programme:
    """The packets of a test: what was emitted, for whom, and whether they all have it."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._data: dict[Label, Json] = {}

    async def emit(self, server: Server, *audience: Visitor, data: Json = None, **options: Any) -> None:
        """Emit the next packet, as an event ``n``.

        Args:
            audience: who must get it; it may go to nobody else.
            **options: of `socketio.Server.emit`.
        """
        label = Label("test", len(self._data) + 1)
        self._data[label] = data
        self.add(label, *audience)
        await server.emit("n", (label.producer, label.number, data), **options)

    def add(self, label: Label, *audience: Visitor) -> None:
        """Take note of a packet that was emitted in another way."""
        self._sent.append(Sent(label, frozenset(visitor.name for visitor in audience)))

    async def check(self, *visitors: Visitor) -> None:
        """Wait until everything has arrived, and hold it against the promise."""
        seen: dict[str, list[Seen]] = {}
        for visitor in visitors:
            await visitor.settle()
            seen[visitor.name] = [Seen(Label(args[0], args[1]), offset) for args, offset in visitor.heard()]
            data = {Label(args[0], args[1]): args[2] for args, _ in visitor.heard() if len(args) > 2}
            assert data == {label: self._data[label] for label in data}
        findings = check(self._sent, seen)
        assert not findings, explain(findings)
