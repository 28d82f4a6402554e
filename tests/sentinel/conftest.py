"""Servers in this process whose store is behind sentinels, and clients that travel between them."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from recovery.offsets import parse_offset
from recovery.records import Entry
from recovery.stores import open_async_store
from tests.faults.conftest import impatient
from tests.faults.outage import STREAM, Node, until
from tests.faults.redis_process import RedisProcess
from tests.sentinel.ledger import Ledger, Traveller, WatchedStore
from tests.sentinel.processes import PATIENCE, SentinelGroup
from tests.servers import SERVER_KINDS

__all__ = ["impatient"]

KINDS = SERVER_KINDS if os.environ.get("SENTINEL_KINDS") == "all" else ("redis70",)
"""What primaries, replicas and sentinels are; ``SENTINEL_KINDS=all`` runs everything on each kind."""


class World:
    """Servers on one group of sentinels, their clients, and what is written down of both.

    Attributes:
        group: primary, replicas, sentinels.
        ledger: what happened.
    """

    def __init__(self, group: SentinelGroup) -> None:
        self.group = group
        self.ledger = Ledger()
        self.nodes: list[Node] = []
        self.clients: list[Traveller] = []
        self._connections: list[Traveller] = []

    def node(self, **options: Any) -> Node:
        """Start a server."""
        store = open_async_store(self.group.url, stream_name=STREAM, session_key_prefix="sio:session:")
        # A failover takes some seconds, and on a busy machine more; nothing may be given up meanwhile.
        node = Node(WatchedStore(store, self.ledger), publish_timeout=PATIENCE, **options)
        self.nodes.append(node)
        return node

    async def client(self, node: Node) -> Traveller:
        """Connect a client."""
        client = Traveller(f"client-{len(self.clients) + 1}", self.ledger, self._connections)
        self.clients.append(client)
        await self.come_back(client, node)
        return client

    async def come_back(self, client: Traveller, node: Node) -> None:
        """Bring a client to a server, over a new connection."""
        client.dial(node)
        await until(lambda: client.is_connected, f"{client.name} is connected", seconds=PATIENCE)

    async def emit(self, producer: int, count: int) -> list[str]:
        """Have one of the servers emit some packets, one after the other."""
        return [await self.ledger.emit(self.nodes[producer], f"server-{producer}") for _ in range(count)]

    async def flood(self, producer: int, stop: asyncio.Event) -> None:
        """Have one of the servers emit packets until told to stop."""
        while not stop.is_set():
            await self.emit(producer, 1)
            await asyncio.sleep(0.005)

    async def travel(self, client: Traveller, stop: asyncio.Event, dice: random.Random) -> None:
        """Let a client lose its connection and return, here or elsewhere, until told to stop."""
        while not stop.is_set():
            await asyncio.sleep(dice.uniform(0.05, 0.6))
            client.cut()
            await asyncio.sleep(dice.uniform(0, 0.2))
            await self.come_back(client, dice.choice(self.nodes))

    async def kill_primary(self) -> RedisProcess:
        """SIGKILL; returns what was the primary."""
        primary = self.group.primary
        self.ledger.primary_is_lost()
        await asyncio.to_thread(primary.kill)
        return primary

    async def have_all(self, name: str) -> None:
        """Wait until each client has a packet; nobody who is away is waited for."""
        await until(lambda: all(name in client.got("n") for client in self.clients), name, seconds=PATIENCE)

    async def verdict(self) -> None:
        """Bring everybody back, let everything arrive, and hold it against the promise."""
        for client in self.clients:
            if not client.is_connected:
                await self.come_back(client, self.nodes[0])
        [last] = await self.emit(0, 1)
        await self.have_all(last)
        violations = self.ledger.verdict(self.entries(), self.clients)
        assert not violations, "\n".join(map(str, violations))

    def entries(self) -> list[Entry]:
        """What the stream has."""
        with redis.Redis(port=self.group.primary.port) as client:
            raw: Any = client.xrange(STREAM)  # redis-py's types are those of both colours at once
            return [Entry(parse_offset(id_.decode()), fields) for id_, fields in raw]

    async def close(self) -> None:
        """End it all, politely."""
        for client in self.clients:
            client.cut()
        for node in self.nodes:
            await node.manager.close()
        failures = [failure for client in self.clients for failure in client.failures]
        assert not failures, failures


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What all processes of a group are."""
    return str(request.param)


@pytest.fixture
def group(kind: str, tmp_path: Path) -> Iterator[SentinelGroup]:
    """A primary, a replica and three sentinels."""
    with SentinelGroup(kind, tmp_path) as started:
        yield started


@pytest_asyncio.fixture
async def world(group: SentinelGroup, impatient: None) -> AsyncIterator[World]:
    """Servers and clients on that group, which notice within half a second that a server is silent."""
    made = World(group)
    yield made
    await made.close()
