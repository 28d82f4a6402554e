"""A server of Node's in one of the regions: what crosses reaches its clients, and it asks nobody abroad."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.bridge.conftest import STREAM, Two
from tests.cluster.nodes import NodeServer
from tests.e2e.js_clients import Disconnected


@pytest_asyncio.fixture(loop_scope="session")
async def abroad(node: None, two: Two) -> AsyncIterator[NodeServer]:
    """A server of Node's in the west, beside ours."""
    place = two.west
    peer = NodeServer("--redis", place.redis.url, "--stream-name", STREAM, "--path", place.server.path)
    await peer.node.start()
    await peer.until_reading(place.redis.url, STREAM)
    peer.url = f"http://127.0.0.1:{await peer.node.ask('port')}"
    yield peer
    await peer.node.stop()


async def test_nodes_packets_cross_and_reach_each_client_once(two: Two, abroad: NodeServer) -> None:
    bridge = two.bridge("--both-ways")
    bridge.start()
    await bridge.begun(2)
    here, there = await two.east.cluster.client(), await two.west.cluster.client()
    theirs = await two.west.cluster.open_client(url=abroad.url)
    await theirs.wait_connected()
    for number in range(20):
        await abroad.emit("news", f"node-{number}")
        await two.east.server.emit("news", f"east-{number}")
    await abroad.emit("bytes", b"\x00\x01")
    await two.east.server.emit("news", "last")
    for client in (here, there, theirs):
        await client.until_payload("news", "last")
        await client.until_payload("bytes", b"\x00\x01")
        for name in ("node", "east"):
            got = [text for text in client.payloads("news") if text.startswith(name)]
            assert got == [f"{name}-{number}" for number in range(20)]

    sockets = await abroad.ask("fetchSockets")
    assert {each["id"] for each in sockets} == {there.sid, theirs.sid}
    assert await abroad.ask("serverCount") == 2

    await abroad.ask("disconnectSockets")
    for client in (here, there, theirs):
        await client.next(Disconnected)
