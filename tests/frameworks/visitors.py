"""JavaScript clients that visit an application of the documentation, and what each of them has to see."""

from collections.abc import Sequence
from typing import Any, Protocol

from tests.e2e.js_clients import Connected, JsClient, JsClients, Refused
from tests.frameworks.serving import Process

__all__ = ["SECONDS", "Visitors", "come_back", "drop_and_return", "publish"]

SECONDS = 20.0
"""For one step of a client, on a busy machine."""


class Place(Protocol):
    """Where clients connect to."""

    url: str


class Visitors:
    """The clients of one test. You must call `leave` at the end."""

    def __init__(self, clients: JsClients) -> None:
        self._clients = clients
        self._mine: list[JsClient] = []

    async def visitor(self, process: Place, **options: Any) -> JsClient:
        """A client that begins to connect, by WebSocket unless told otherwise."""
        client = await self._clients.open(process.url, **options)
        self._mine.append(client)
        return client

    async def client(self, process: Place, **options: Any) -> JsClient:
        """A client that is connected."""
        client = await self.visitor(process, **options)
        await client.wait_connected(seconds=SECONDS)
        return client

    async def refused(self, process: Place, **options: Any) -> Refused:
        """What a client is told that is not let in."""
        client = await self.visitor(process, **options)
        answer = await client.wait_answer(seconds=SECONDS)
        assert isinstance(answer, Refused), f"{client.name} was let in: {answer}"
        return answer

    async def travellers(self, processes: Sequence[Process], count: int) -> list[JsClient]:
        """Clients that go to the next process whenever they lose their connection, and keep headlines."""
        urls = [process.url for process in processes]
        options = {"keep": ["headline"], "timeout": 3000, "failover": {"urls": urls, "delay": 50}}
        return [await self.client(processes[number % len(processes)], **options) for number in range(count)]

    async def leave(self) -> None:
        """Take the clients away."""
        for client in self._mine:
            await client.dispose()


async def publish(client: JsClient, *texts: str) -> None:
    """Have the application publish headlines; all are emitted on return."""
    for text in texts:
        await client.call("publish", text)


async def come_back(client: JsClient, url: str | None = None) -> Connected:
    """Reconnect, and demand that the client is recovered."""
    before = client.last
    connected = await client.reconnect(url, seconds=SECONDS)
    assert connected.recovered, f"{client.name} was not recovered: it saw {client.history[-5:]}"
    assert connected.sid == before.sid
    return connected


async def drop_and_return(reader: JsClient, writer: JsClient, *urls: str) -> None:
    """Lose the reader's connection once for each URL to return to, while the writer publishes.

    Every headline must have reached the reader, once and in order.
    """
    expected = reader.payloads("headline")
    for number, url in enumerate(urls):
        await publish(writer, f"here-{number}")
        await reader.until_payload("headline", f"here-{number}", seconds=SECONDS)
        await reader.drop()
        await publish(writer, f"away-{number}", f"gone-{number}")
        await come_back(reader, url)
        await publish(writer, f"back-{number}")
        expected += [f"{word}-{number}" for word in ("here", "away", "gone", "back")]
        await reader.until_payload("headline", expected[-1], seconds=SECONDS)
    assert reader.payloads("headline") == expected
