"""Traffic while servers are stopped: headlines of a process without clients, and of clients themselves."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from adapter import AsyncRecoveryManager
from tests.e2e.js_clients import Connected, JsClient
from tests.frameworks.visitors import SECONDS
from tests.waiting import async_wait_until

__all__ = ["Traffic", "assert_nothing_lost", "flows", "traffic"]

_PAUSE = 0.005


class Traffic:
    """Headlines that were published.

    Attributes:
        emitted: by a write-only manager, each confirmed by the store.
        answered: by a client through its server, each answered by that.
    """

    def __init__(self, manager: AsyncRecoveryManager, writer: JsClient) -> None:
        self.emitted: list[str] = []
        self.answered: list[str] = []
        self._manager = manager
        self._writer = writer
        self._over = False

    async def emit(self) -> None:
        """Emit one headline after the other."""
        while not self._over:
            text = f"emitted-{len(self.emitted)}"
            await self._manager.emit("headline", text, room="news")
            self.emitted.append(text)
            await asyncio.sleep(_PAUSE)

    async def publish(self) -> None:
        """Have the writer publish one after the other; some get no answer, because its server ends."""
        number = 0
        while not self._over:
            number += 1
            try:
                await self._writer.call("publish", f"published-{number}")
            except RuntimeError:
                continue
            self.answered.append(f"published-{number}")
            await asyncio.sleep(_PAUSE)

    def stop(self) -> None:
        """Publish nothing any more."""
        self._over = True


@asynccontextmanager
async def traffic(url: str, writer: JsClient) -> AsyncGenerator[Traffic]:
    """Traffic that flows until the end of the block."""
    manager = AsyncRecoveryManager(url, write_only=True)
    flowing = Traffic(manager, writer)
    tasks = [asyncio.create_task(flowing.emit()), asyncio.create_task(flowing.publish())]
    try:
        yield flowing
    finally:
        flowing.stop()
        await asyncio.gather(*tasks)
        await manager.close()


async def flows(clients: Sequence[JsClient], more: int = 20) -> None:
    """Wait until each client has got some more headlines than now."""
    counts = [await client.kept_count() for client in clients]
    for client, count in zip(clients, counts, strict=True):

        async def has_more(client: JsClient = client, count: int = count) -> bool:
            return await client.kept_count() >= count + more

        await async_wait_until(has_more, timeout=SECONDS, what=f"{client.name} gets headlines")


async def assert_nothing_lost(clients: Sequence[JsClient], published: Traffic) -> None:
    """Demand that each client was always recovered, and saw all that was published, once, in one order."""
    last = published.emitted[-1]
    seen: dict[str, list[str]] = {}
    for client in clients:

        async def has_all(client: JsClient = client) -> bool:
            seen[client.name] = [str(args[0]) for args in await client.kept()]
            return last in seen[client.name]

        await async_wait_until(has_all, timeout=SECONDS, what=f"{client.name} has {last}")
        assert all(connected.recovered for connected in client.all(Connected)[1:]), client.history
    orders = list(seen.values())
    for order in orders:
        assert len(set(order)) == len(order)
        assert [text for text in order if text.startswith("emitted")] == published.emitted
        assert [text for text in order if text in set(published.answered)] == published.answered
        assert order == orders[0]
