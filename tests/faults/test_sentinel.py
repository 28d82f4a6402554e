"""Server processes behind real sentinels, with real clients, when the primary is killed in mid-traffic."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery.reasons import Reason
from tests.e2e import steps
from tests.e2e.js_clients import Connected
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_more
from tests.sentinel.processes import PATIENCE, SentinelGroup

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[SentinelGroup]:
    """A primary, a replica and three sentinels."""
    with SentinelGroup("redis70", tmp_path) as started:
        yield started


@pytest.fixture
def store_url(group: SentinelGroup) -> str:
    """What the servers are given."""
    return group.url


@pytest.mark.parametrize("colour", ["asyncio", "threading"])
async def test_nothing_is_lost_while_a_primary_dies_and_clients_come_and_go(
    group: SentinelGroup, open_nodes: OpenNodes, colour: str
) -> None:
    """Redis keeps everything: the primary takes no writes for the last moment of its life."""
    cluster = await open_nodes(2, colour=colour, publish_timeout=PATIENCE)
    clients = await cluster.travellers(10)
    for number, server in enumerate(cluster.servers):
        await server.flood(f"server-{number}", interval=0.005)
    await until_more(clients)
    old = group.primary
    marks = [len(client.history) for client in clients[:6]]
    for client in clients[:3]:
        await client.lose("close")
    await asyncio.to_thread(group.hold_writes)
    await asyncio.to_thread(old.kill)
    for client in clients[3:6]:
        await client.lose("abrupt")
    new = await asyncio.to_thread(group.await_failover, old)
    await cluster.all_recovered(clients[:6], marks)
    await until_more(clients)
    counts = [await server.stop_flood(f"server-{number}") for number, server in enumerate(cluster.servers)]
    truth = await assert_whole(cluster, new.url, clients)
    for number, count in enumerate(counts):
        assert_stored(truth, f"server-{number}", count)
    assert all(connected.recovered for client in clients for connected in client.all(Connected)[1:])


async def test_writes_that_a_primary_took_to_its_grave_are_told_to_every_client(
    group: SentinelGroup, open_nodes: OpenNodes
) -> None:
    cluster = await open_nodes(2, publish_timeout=PATIENCE)
    cluster.expected_errors.append("are gone from the stream")
    for server in cluster.servers:
        await server.behave("connect", steps.tell_recovery())
    clients = await cluster.travellers(4)
    await cluster.first.emit_numbers("n", range(3))
    await cluster.settle(*clients)
    old = group.primary
    await asyncio.to_thread(group.await_replicated)
    await asyncio.to_thread(group.leave_replicas_behind)
    await cluster.last.emit_numbers("n", range(3, 6))
    await cluster.settle(*clients)
    marks = [len(client.history) for client in clients]
    await asyncio.to_thread(old.kill)
    for client, mark in zip(clients, marks, strict=True):
        assert not (await client.next(Connected, after=mark, seconds=PATIENCE)).recovered
    await cluster.gather_all(clients)
    for client in clients:
        reasons = [record["reason"] for record in client.payloads("recovery")]
        assert reasons == [None, Reason.EPOCH_CHANGED.value]
