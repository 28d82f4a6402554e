"""Server processes of one test, which it may kill, freeze, stop politely, and start again on the same port.

Everything else about them, and about the application in them, is that of `tests.e2e.cluster`.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.e2e import steps
from tests.e2e.cluster import Cluster, HostProcess, Server
from tests.e2e.js_clients import Connected, JsClient, JsClients
from tests.waiting import async_wait_until

__all__ = ["FAULTY_SETTINGS", "PATIENT_PINGS", "RECOVERY_SECONDS", "Node", "Nodes"]

RECOVERY_SECONDS = 30.0
"""How long a test waits for a recovery; what it usually takes is a tenth of it."""

_EXIT_SECONDS = 10.0

FAULTY_SETTINGS: dict[str, Any] = {
    "max_disconnection_duration": 60.0,
    "checkpoint_interval": 0.2,
    "takeover_timeout": 0.5,
}
"""A takeover is not waited for as long as usual: while one is, the client's PONGs are not read."""

_HEARTBEAT = {"ping_interval": 0.4, "ping_timeout": 2.0}

PATIENT_PINGS = {**_HEARTBEAT, "ping_timeout": 2 * RECOVERY_SECONDS}
"""Of servers whose clients are to notice nothing, however busy the machine is."""


class Node(HostProcess):
    """A server process whose port is its own for the whole test, whether it runs or not.

    Attributes:
        is_special: whether a test has done something to it that another one should not meet.
    """

    def __init__(self, name: str, *, colour: str = "asyncio") -> None:
        self._place = socket.socket()  # bound, and not listening: it refuses, and nobody else gets the port
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind(("127.0.0.1", 0))
        super().__init__(name, colour=colour, port=self._place.getsockname()[1])
        self.is_special = False
        self._said_before = 0

    @property
    def running(self) -> bool:
        """Whether the process has not ended; a frozen one runs, too."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Return what the process wrote to its standard error since `be_as_new`."""
        return super().output()[self._said_before :]

    async def be_as_new(self) -> None:
        """Have nothing of an earlier test."""
        await self.ask("shift_clock", seconds=0)
        self._said_before += len(self.output())

    async def kill(self) -> None:
        """End the process with SIGKILL: it gets to do nothing more."""
        self.is_special = True
        os.kill(self.pid, signal.SIGKILL)
        await self._ended()

    async def terminate(self) -> int:
        """Ask the process to end with SIGTERM; return its exit status, which is negative for a signal."""
        self.is_special = True
        os.kill(self.pid, signal.SIGTERM)
        return await self._ended()

    async def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing is read from them."""
        self.is_special = True
        os.kill(self.pid, signal.SIGSTOP)
        await async_wait_until(self._is_stopped, what=f"{self.name} is stopped")

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> None:
        """End the process for good, whatever state it is in; at once, for it has nothing left to do."""
        if self.running:
            await self.kill()
        await super().stop()
        self._place.close()

    async def _is_stopped(self) -> bool:
        done, _ = await asyncio.to_thread(os.waitpid, self.pid, os.WNOHANG | os.WUNTRACED)
        return done == self.pid

    async def _ended(self) -> int:
        assert self._process is not None
        assert self._session is not None
        async with asyncio.timeout(_EXIT_SECONDS):
            status = await asyncio.to_thread(self._process.wait)
        await self._session.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return status


class Nodes(Cluster):
    """One application in several `Node`s, each of which may come to harm.

    Args:
        urls: of the store, one for each node: a test may put a proxy of its own before each.

    Attributes:
        closed: servers whose manager the test has closed; they emit nothing any more.
    """

    patience = 15.0  # a ping timeout or two: some clients have gone without a word

    def __init__(self, nodes: Sequence[Node], clients: JsClients, urls: Sequence[str]) -> None:
        super().__init__(nodes, clients)
        self._urls = {node.name: url for node, url in zip(nodes, urls, strict=True)}
        self._spec: dict[str, Any] = {}
        self.closed: list[Server] = []

    def node(self, server: Server) -> Node:
        """The process of a server."""
        assert isinstance(server.host, Node)
        return server.host

    async def open(
        self, recovery: dict[str, Any] | None, server: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """Build the application in every process."""
        self._spec = {
            "name": self.app,
            "recovery": {"stream_name": self.app, **FAULTY_SETTINGS, **(recovery or {})},
            "server": {**_HEARTBEAT, **(server or {})},
            **spec,
        }
        for place in self.servers:
            await self._open(place)

    async def _open(self, server: Server) -> None:
        spec = {**self._spec, "recovery": {"url": self._urls[server.host.name], **self._spec["recovery"]}}
        await server.host.ask("open", spec=spec)

    async def kill(self, server: Server) -> None:
        """SIGKILL."""
        await self.node(server).kill()

    async def restart(self, server: Server) -> None:
        """Start a process that has ended again, on its port, with the application in it."""
        await self.node(server).start()
        server.forget_log()
        self.closed = [other for other in self.closed if other is not server]
        await self._open(server)

    async def gather_all(self, clients: Sequence[JsClient]) -> None:
        """Wait until all clients are connected and have all that there is, be it as strangers."""
        for _ in range(10):
            mark = next(self._settles)
            await self.first.emit("settle", mark)
            with contextlib.suppress(AssertionError):
                for client in clients:
                    await client.until_payload("settle", mark, seconds=RECOVERY_SECONDS / 5)
                return
        raise AssertionError("not all clients are there again")

    async def close_manager(self, server: Server, *, how: str = "close") -> None:
        """Call ``manager.close()``, or ``sio.shutdown()``, as an application does before its process ends."""
        self.closed.append(server)
        await server.run(steps.manager_method("close") if how == "close" else steps.server_method("shutdown"))

    async def travellers(self, count: int, *, urls: Sequence[str] = (), **options: Any) -> list[JsClient]:
        """Connect clients, round robin, which go to the next server whenever they lose their connection.

        Every fifth one polls. They keep events named "n".

        Args:
            urls: of proxies before the servers, if there are any.
        """
        places = list(urls) or [server.url for server in self.servers]

        async def one(number: int) -> JsClient:
            chosen: dict[str, Any] = {
                "keep": ["n"],
                "transports": ["polling" if number % 5 == 4 else "websocket"],
                "timeout": 3000,
                "failover": {"urls": places, "delay": 50},
                **options,
            }
            client = await self._clients.open(places[number % len(places)], path=self.first.path, **chosen)
            self._mine.append(client)
            await client.wait_connected(seconds=RECOVERY_SECONDS)
            return client

        return list(await asyncio.gather(*(one(number) for number in range(count))))

    async def all_recovered(self, clients: Sequence[JsClient], marks: Sequence[int]) -> list[Connected]:
        """Wait until each client has connected again since its mark, and demand that it is recovered."""
        return list(
            await asyncio.gather(
                *(self._recovered(client, after=mark) for client, mark in zip(clients, marks, strict=True))
            )
        )

    async def _recovered(self, client: JsClient, *, after: int) -> Connected:
        connected = await client.next(Connected, after=after, seconds=RECOVERY_SECONDS)
        assert connected.recovered, f"{client.name} was not recovered: it saw {client.history[-8:]}"
        return connected

    async def wait_gone(self, server: Server, clients: Sequence[JsClient]) -> None:
        """Wait until a server has nothing of clients that are elsewhere now."""
        sids = [client.sid for client in clients]

        async def gone() -> bool:
            held = str(await server.residue())
            return not any(sid in held for sid in sids)

        await async_wait_until(gone, what=f"{server} has let go of its old clients")

    async def settle(self, *clients: JsClient) -> None:
        """Wait until clients, which are or will be connected, have everything that was emitted so far."""
        mark = next(self._settles)
        alive = next(
            server for server in self.servers if self.node(server).running and server not in self.closed
        )
        for namespace in {client.namespace for client in clients}:
            await alive.emit("settle", mark, namespace=namespace)
        for client in clients:
            await client.until_payload("settle", mark, seconds=RECOVERY_SECONDS)

    async def close(self) -> None:
        """Take the clients away and close the application where it still runs."""
        self.servers = [server for server in self.servers if self.node(server).running]
        for server in self.servers:
            self.node(server).thaw()
        with contextlib.suppress(aiohttp.ClientError):
            await super().close()
