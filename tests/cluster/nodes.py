"""A server of Node's in a cluster, and what a test asks of it (``tests/e2e/node/cluster.js``)."""

import asyncio
import json
from typing import Any

import redis

from tests.e2e.node_process import NodeProcess
from tests.e2e.wire import Json, decode
from tests.waiting import async_wait_until

__all__ = ["NodeServer", "client_of"]


def client_of(store_url: str) -> Any:  # redis-py's types are those of both colours at once
    """A client of redis-py's for a store."""
    if store_url.startswith("redis+cluster://"):
        first = store_url.removeprefix("redis+cluster://").partition(",")[0]
        return redis.RedisCluster.from_url(f"redis://{first}")
    return redis.Redis.from_url(store_url)


class NodeServer:
    """One server. You must start its `node` first and stop it at the end.

    Attributes:
        reports: what it has said by itself.
        url: where clients connect to.
    """

    def __init__(self, *flags: str) -> None:
        self.reports: list[dict[str, Json]] = []
        self.url = ""
        self.node = NodeProcess("cluster.js", *flags, on_report=self.reports.append)

    async def ask(self, do: str, **fields: Any) -> Json:
        """Carry out one of its commands."""
        return await self.node.ask(do, **fields)

    async def emit(self, event: str, *args: Json, **target: Any) -> None:
        """Emit an event to clients."""
        await self.ask("emit", event=event, args=list(args), **target)

    async def until_counted(self, servers: int) -> None:
        """Wait until it knows of so many servers, itself among them."""

        async def count() -> bool:
            return bool(await self.ask("serverCount") == servers)

        await async_wait_until(count, what=f"{servers} servers")

    async def until_reading(self, store_url: str, stream: str) -> None:
        """Wait until it reads the stream. Before its first entry it reads from "$", and misses some."""
        packet = json.dumps({"packet": ["warm"]})
        client = client_of(store_url)

        async def is_warm() -> bool:
            client.xadd(stream, {"uid": "emitter", "nsp": "/", "type": "9", "data": packet})
            await asyncio.sleep(0.02)
            return any(report["t"] == "warm" for report in self.reports)

        await async_wait_until(is_warm, what="a server of Node's that reads")
        client.close()

    def asked(self) -> list[Json]:
        """The arguments of the event ``ask`` for servers, each time."""
        return [decode(report["args"]) for report in self.reports if report["t"] == "ask"]

    def recovered(self, sid: str) -> list[bool]:
        """For each connection of a client, whether it was recovered."""
        return [
            report["recovered"]
            for report in self.reports
            if report["t"] == "connection" and report["sid"] == sid
        ]
