"""Clusters of our servers and Node's."""

from typing import Any

from tests.cluster.nodes import NodeServer
from tests.e2e import steps
from tests.e2e.cluster import Cluster, Server
from tests.e2e.js_clients import JsClient
from tests.e2e.wire import Json

__all__ = ["KINDS", "Mixed"]

KINDS = {"redis": [], "ioredis": ["--client", "ioredis"], "sharded": ["--sharded"]}
"""Arguments of Node's server: which client for Redis it uses, and how."""


class Mixed:
    """Two servers of ours and one of Node's, with a client each on the first of ours and on Node's."""

    def __init__(self, cluster: Cluster, peer: NodeServer, ours: JsClient, theirs: JsClient) -> None:
        self.cluster = cluster
        self.peer = peer
        self.ours = ours
        self.theirs = theirs

    @property
    def server(self) -> Server:
        """The server of ours that has no client."""
        return self.cluster.last

    async def manage(self, method: str, *args: Any, **options: Any) -> Json:
        """Call a method of our manager, on the server that has no client."""
        return (await self.server.run(steps.manager_method(method, *args, **options)))[0]
