"""Servers and clients of one event loop on a real Redis, which a test takes away from them.

The clients are those of `tests.interleavings`: they keep pid and offset as the JavaScript client does, and no
network lies between them and their server. Between a server and Redis lies a `Proxy`.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import socketio

from adapter import AsyncRecoveryManager
from recovery.offsets import parse_offset
from recovery.stores.redis import connections, store
from tests.faults.proxy import Proxy
from tests.faults.redis_process import RedisProcess
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, settle
from tests.interleavings.transports import WebSocketTransport

__all__ = [
    "STREAM",
    "Node",
    "Outage",
    "came_back",
    "claim_of",
    "ids",
    "open_outage",
    "ordered_once",
    "session_of",
    "short_timeouts",
    "until",
    "works",
]

STREAM = "socket.io"
T = TypeVar("T")

_PATIENCE = 15.0  # seconds; a busy machine restarts a server in one
_SETTINGS: dict[str, Any] = {"block_time": 0.1, "takeover_timeout": 0.5, "checkpoint_interval": 5.0}


async def until(predicate: Callable[[], T], what: str = "", *, seconds: float = _PATIENCE) -> T:
    """Wait until something is so, and return it; fail if it is not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := predicate()):
        assert loop.time() < deadline, f"{what or predicate} was not so within {seconds} s"
        await asyncio.sleep(0.005)
    return value


@contextmanager
def short_timeouts(answer: float = 0.5) -> Generator[None]:
    """Let servers that are made within the block give up on a silent Redis soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "ANSWER_TIMEOUT", answer)
        patch.setattr(connections, "CONNECT_TIMEOUT", answer)
        patch.setattr(store, "MAX_WAIT", answer)
        yield


class Node(Server):
    """One server process, in this one."""

    def __init__(self, url: str, *, server_options: dict[str, Any] | None = None, **options: Any) -> None:
        self.manager = AsyncRecoveryManager(url, **{**_SETTINGS, **options})
        self.sio = socketio.AsyncServer(
            async_mode="asgi", client_manager=self.manager, monitor_clients=False, **(server_options or {})
        )
        self.app = socketio.ASGIApp(self.sio)
        self.disconnected: list[tuple[str, str]] = []
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)

    async def emit_numbers(self, name: str, numbers: range) -> None:
        """Emit an event for each number, one after the other."""
        for number in numbers:
            await self.sio.emit(name, number)


class Outage:
    """One Redis, and the servers and clients that depend on it.

    Attributes:
        redis: the server.
        proxy: in front of it; servers of `node` go through it, those of `direct_node` do not.
        log: what was logged, as ``(event, message)``.
    """

    def __init__(self, redis: RedisProcess, proxy: Proxy, log: "_Log") -> None:
        self.redis = redis
        self.proxy = proxy
        self._log = log
        self._servers = ExitStack()
        self._nodes: list[Node] = []
        self._clients: list[Client] = []

    def node(self, **options: Any) -> Node:
        """Start a server whose way to Redis leads through the proxy."""
        return self.node_at(self.proxy.url, **options)

    def direct_node(self, **options: Any) -> Node:
        """Start a server that the proxy is not in the way of."""
        return self.node_at(self.redis.url, **options)

    def node_at(self, url: str, **options: Any) -> Node:
        """Start a server on a store."""
        node = Node(url, **options)
        self._nodes.append(node)
        return node

    def replica(self, folder: Path) -> RedisProcess:
        """Start a replica of the server, which has what that has now; it ends after our servers."""
        made = self._servers.enter_context(RedisProcess(self.redis.kind, folder, keep=False))
        made.replica_of(self.redis)
        return made

    async def fail_over(self, replica: RedisProcess) -> None:
        """Let a replica take the place of its primary, which is gone."""
        replica.replica_of(None)
        self.proxy.redirect(replica.url)
        await self.kill_redis()
        self.redis = replica

    def client(self, *namespaces: str) -> Client:
        """Make a client that is connected to nothing yet."""
        client = Client(*namespaces)
        self._clients.append(client)
        return client

    async def connected(self, node: Node) -> Client:
        """Make a client that is connected to a server."""
        client = self.client()
        await self.connect(client, node)
        return client

    async def connect(self, client: Client, node: Node) -> None:
        """Bring a client to a server, and wait until it is connected."""
        self.dial(client, node)
        await until(lambda: client.is_connected, "connected")

    def dial(self, client: Client, node: Node) -> None:
        """Begin to connect a client."""
        client.open(WebSocketTransport(node.app))

    async def stop_redis(self) -> None:
        """SIGTERM."""
        await asyncio.to_thread(self.redis.stop)

    async def kill_redis(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self.redis.kill)

    async def start_redis(self) -> None:
        """Start Redis with the data that it left."""
        await asyncio.to_thread(self.redis.start)

    def stored(self, name: str) -> list[Any]:
        """Return the first arguments of all events of a name in the stream, in order."""
        return [args[0] for event, args in self._events() if event == name]

    def logged(self, event: str) -> list[str]:
        """Return the messages of one log event, without whatever was logged before `forget_log`."""
        return [message for name, message in self._log.records if name == event]

    def forget_log(self) -> None:
        """Forget what was logged so far."""
        self._log.records.clear()

    async def close(self) -> None:
        """End all that runs, politely; the network must be whole."""
        for client in self._clients:
            client.cut()
        for node in self._nodes:
            await node.manager.close()
        self._servers.close()
        failures = [failure for client in self._clients for failure in client.failures]
        assert not failures, failures

    def _events(self) -> Iterator[tuple[str, list[Any]]]:
        for _, fields in self.redis.client.xrange(STREAM):
            if fields.get("type") == "3":
                packet = json.loads(fields["data"])["packet"]["data"]
                yield packet[0], packet[1:]


class _Log(logging.Handler):
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[tuple[str, str]] = []
        self.defects: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((getattr(record, "event", ""), record.getMessage()))
        if record.exc_info and record.levelno >= logging.ERROR:
            self.defects.append(self.format(record))


@asynccontextmanager
async def open_outage(redis: RedisProcess) -> AsyncGenerator[Outage]:
    """Open a proxy in front of a running Redis; close it with all servers at the end of the block.

    Fails if a traceback was logged meanwhile: nothing that Redis does is a defect of ours.
    """
    log = _Log()
    logging.getLogger().addHandler(log)
    try:
        async with Proxy(redis.url) as proxy:
            outage = Outage(redis, proxy, log)
            try:
                yield outage
            finally:
                await proxy.forward()
                await outage.close()
    finally:
        logging.getLogger().removeHandler(log)
    assert not log.defects, "\n".join(log.defects)


def ordered_once(client: Client, name: str) -> list[Any]:
    """Return what a client got, after making sure that its offsets rise."""
    offsets = [parse_offset(offset) for offset in client.offsets]
    assert offsets == sorted(set(offsets)), "offsets do not rise"
    got: list[Any] = client.got(name)
    return got


def ids(outage: Outage) -> list[tuple[int, ...]]:
    return [tuple(map(int, id_.split("-"))) for id_, _ in outage.redis.client.xrange(STREAM)]


def session_of(client: Client) -> str:
    return f"sio:session:{client.pid}"


def claim_of(client: Client) -> str:
    return f"{{{session_of(client)}}}:claim"


async def came_back(outage: Outage, client: Client, node: Node) -> str:
    """Cut a client's connection, bring it back, and return what became of it."""
    client.cut()
    await settle()
    await outage.connect(client, node)
    outcome: str = client.outcomes[-1]
    return outcome


async def works(outage: Outage, client: Client, nodes: list[Node]) -> None:
    """All is well: packets arrive, and a client that was away recovers, on any server."""
    already = len(client.got("works"))
    expected: list[int | str] = list(range(len(nodes)))
    for place, node in enumerate(nodes):
        await node.sio.emit("works", place)
    await until(lambda: client.got("works")[already:] == expected, "packets arrive")
    for node in nodes:
        client.cut()
        await settle()
        await nodes[0].sio.emit("works", "away")
        await outage.connect(client, node)
        assert client.outcomes[-1] == "recovered"
        expected.append("away")
        await until(lambda: len(client.got("works")) >= already + len(expected), "what was missed arrives")
        assert client.got("works")[already:] == expected
