"""A Node server that shares the stream takes a traced packet like any other, live and in its replays."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import TracerProvider

from adapter import AsyncRecoveryManager
from adapter.tracing import OpenTelemetry
from tests.e2e.conftest import node
from tests.e2e.js_clients import JsClients
from tests.e2e.node_process import NodeProcess
from tests.waiting import async_wait_until

__all__ = ["node"]


@pytest_asyncio.fixture
async def clients(node: None) -> AsyncIterator[JsClients]:
    """JavaScript clients."""
    made = JsClients()
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("traced", [False, True])
async def test_node_delivers_and_replays_a_traced_packet(
    clients: JsClients, valkey_url: str, traced: bool
) -> None:
    provider = TracerProvider()
    drops: list[str] = []
    peer = NodeProcess(
        "peer.js",
        *("--redis", valkey_url),
        on_report=lambda report: drops.append(report["sid"]) if report["t"] == "disconnect" else None,
    )
    manager = AsyncRecoveryManager(
        valkey_url, write_only=True, tracing=OpenTelemetry(provider) if traced else None
    )
    await peer.start()
    try:
        client = await clients.open(f"http://127.0.0.1:{await peer.ask('port')}", "/")
        await client.wait_connected()
        await manager.emit("n", 1)
        await client.until_payload("n", 1)
        await client.drop()

        async def dropped() -> bool:
            return bool(drops)

        await async_wait_until(dropped, what="Node has noticed")
        await manager.emit("n", 2)
        await client.reconnect()
        await client.until_payload("n", 2)
        assert client.payloads("n") == [1, 2]
        assert client.last.recovered
        offsets = [received.offset for received in client.received("n")]
        assert None not in offsets
    finally:
        await peer.stop()
        await manager.close()
        provider.shutdown()
