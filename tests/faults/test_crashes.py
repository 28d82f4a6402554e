"""Servers that die without a word (SIGKILL), and come back on the same port."""

import asyncio
import time

import pytest

from tests.e2e.js_clients import Disconnected, JsClient
from tests.faults.ledger import assert_nothing_lost, assert_stored, read_stream, seen_by
from tests.faults.nodes import Nodes
from tests.waiting import async_wait_until


async def _assert_whole(cluster: Nodes, url: str, clients: list[JsClient]) -> int:
    """Demand that each client saw all of the stream, once and in order; return how many packets that is."""
    await cluster.settle(*clients)
    truth = read_stream(url, cluster.app)
    assert_nothing_lost(truth, {client.name: await seen_by(client) for client in clients})
    return len(truth)


async def _until_all_have(clients: list[JsClient], count: int) -> None:
    for client in clients:

        async def has_enough(client: JsClient = client) -> bool:
            return await client.kept_count() >= count

        await async_wait_until(has_enough, timeout=20.0, what=f"{client.name} has {count} packets")


async def test_all_clients_of_a_killed_server_recover_on_the_other(cluster: Nodes, store_url: str) -> None:
    clients = await cluster.travellers(20)
    dying = clients[::2]
    await cluster.first.flood("first", interval=0.005)
    await cluster.last.flood("last", interval=0.005)
    await _until_all_have(clients, 50)
    marks = [len(client.history) for client in dying]
    await cluster.kill(cluster.first)
    killed_at = time.monotonic()
    for client, mark in zip(dying, marks, strict=True):
        await client.next(Disconnected, after=mark)
    recovered = await cluster.all_recovered(dying, marks)
    print(f"{len(recovered)} recoveries within {time.monotonic() - killed_at:.2f} s")  # noqa: T201 - with -s
    count = await cluster.last.stop_flood("last")
    await _assert_whole(cluster, store_url, clients)
    assert_stored(read_stream(store_url, cluster.app), "last", count)
