"""Whatever can go wrong with two servers, their store and their clients, at random, from one seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.e2e.cluster import Server
from tests.e2e.js_clients import Drop, JsClient
from tests.faults.nodes import Nodes
from tests.faults.proxy import Proxy
from tests.faults.redis_process import RedisProcess

__all__ = ["Chaos"]

WAYS: Sequence[Drop] = ("close", "abrupt", "silent")


class Chaos:
    """Breaks things until told to stop, and mends each before it breaks another of its kind.

    Args:
        cluster: its servers.
        store: the process that they share.
        links: proxies between the servers and the store.
        networks: proxies between the clients and the servers.
        clients: whose connections are dropped.
        seed: of all dice.

    Attributes:
        events: how often what happened.
        floods: what each server emits now.
    """

    def __init__(
        self,
        cluster: Nodes,
        store: RedisProcess,
        *,
        links: Sequence[Proxy],
        networks: Sequence[Proxy],
        clients: Sequence[JsClient],
        seed: int,
    ) -> None:
        self.events: Counter[str] = Counter()
        self.floods: dict[Server, str] = {}
        self._cluster = cluster
        self._store = store
        self._links = links
        self._networks = networks
        self._clients = clients
        self._seed = seed
        self._lives = 0

    async def run(self, seconds: float, *, prepare: Callable[[Server], Awaitable[None]]) -> None:
        """Break things for so long; then everything runs again.

        Args:
            prepare: called with each server that was started again.
        """
        self._prepare = prepare
        for server in self._cluster.servers:
            await self.begin(server)
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(
            self._go_on("servers", end, 1.5, [self._kill, self._freeze, self._kill_all]),
            self._go_on("store", end, 3.0, [self._restart_store, self._kill_store, self._freeze_store]),
            self._go_on("networks", end, 1.0, [self._reset_link, self._cut_reply, self._reset_network]),
            self._go_on("clients", end, 0.3, [self._drop_client]),
        )
        for proxy in (*self._links, *self._networks):
            await proxy.forward()

    async def begin(self, server: Server) -> None:
        """Let a server emit numbered packets, under a name of this life of it."""
        self._lives += 1
        self.floods[server] = f"{server.host.name}/{self._lives}"
        await self._prepare(server)
        await server.flood(self.floods[server], batch=2, interval=0.02, sturdy=True)

    async def _go_on(
        self, name: str, end: float, pause: float, deeds: Sequence[Callable[[random.Random], Awaitable[None]]]
    ) -> None:
        dice = random.Random(f"{self._seed} {name}")  # each has its own: what the others do changes nothing
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            await asyncio.sleep(dice.uniform(0, 2 * pause))
            deed = dice.choice(deeds)
            self.events[deed.__name__.removeprefix("_").replace("_", " ")] += 1
            await deed(dice)

    async def _kill(self, dice: random.Random) -> None:
        await self._kill_some([dice.choice(self._cluster.servers)], dice.uniform(0, 1.0))

    async def _kill_all(self, dice: random.Random) -> None:
        await self._kill_some(self._cluster.servers, dice.uniform(0, 0.5))

    async def _kill_some(self, servers: Sequence[Server], seconds: float) -> None:
        await asyncio.gather(*(self._cluster.kill(server) for server in servers))
        await asyncio.sleep(seconds)
        await asyncio.gather(*(self._cluster.restart(server) for server in servers))
        for server in servers:
            await self.begin(server)

    async def _freeze(self, dice: random.Random) -> None:
        node = self._cluster.node(dice.choice(self._cluster.servers))
        await node.freeze()
        await asyncio.sleep(dice.uniform(0.1, 5.0))
        node.thaw()

    async def _restart_store(self, dice: random.Random) -> None:
        await self._store_comes_back(self._store.stop, dice)

    async def _kill_store(self, dice: random.Random) -> None:
        await self._store_comes_back(self._store.kill, dice)

    async def _store_comes_back(self, end: Callable[[], None], dice: random.Random) -> None:
        await asyncio.to_thread(end)
        await asyncio.sleep(dice.uniform(0, 1.0))
        await asyncio.to_thread(self._store.start)

    async def _freeze_store(self, dice: random.Random) -> None:
        self._store.freeze()
        await asyncio.sleep(dice.uniform(0.1, 1.5))
        self._store.thaw()

    async def _reset_link(self, dice: random.Random) -> None:
        dice.choice(self._links).reset()

    async def _cut_reply(self, dice: random.Random) -> None:
        dice.choice(self._links).cut_reply(after=dice.randrange(60))

    async def _reset_network(self, dice: random.Random) -> None:
        dice.choice(self._networks).reset()

    async def _drop_client(self, dice: random.Random) -> None:
        await dice.choice(self._clients).lose(dice.choice(WAYS))
