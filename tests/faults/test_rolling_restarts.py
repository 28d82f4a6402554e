"""Servers that are stopped politely, one after the other, while traffic flows."""

import pytest

from tests.e2e.js_clients import Connected, Disconnected
from tests.faults.ledger import assert_stored, assert_whole, until_kept, until_more
from tests.faults.nodes import Nodes


@pytest.mark.parametrize("how", ["SIGTERM", "shutdown", "close"])
async def test_a_rolling_restart_loses_nothing(cluster: Nodes, store_url: str, how: str) -> None:
    clients = await cluster.travellers(10)
    emitted: dict[str, int] = {}
    for number, stopping in enumerate(cluster.servers):
        staying = cluster.servers[1 - number]
        await staying.flood(f"staying-{number}", interval=0.005)
        await stopping.flood(f"stopping-{number}", interval=0.005, sturdy=True)
        await until_more(clients)
        if how != "SIGTERM":
            await cluster.close_manager(stopping, how=how)
        await cluster.node(stopping).terminate()
        await until_more(clients)
        emitted[f"staying-{number}"] = await staying.stop_flood(f"staying-{number}")
        await cluster.restart(stopping)
    truth = await assert_whole(cluster, store_url, clients)
    for tag, count in emitted.items():
        assert_stored(truth, tag, count)
    connects = [connected for client in clients for connected in client.all(Connected)[1:]]
    assert len(connects) >= len(clients)
    assert all(connected.recovered for connected in connects)


async def test_a_client_that_comes_back_to_a_server_that_is_closing_recovers_elsewhere(
    cluster: Nodes, store_url: str
) -> None:
    """A load balancer may send it there for a while yet."""
    client = await cluster.client(keep=["n"])
    await cluster.last.flood("f", interval=0.005)
    await until_more([client])
    await cluster.close_manager(cluster.first)
    await client.next(Disconnected)
    for _ in range(3):
        mark = len(client.history)
        await client.start_reconnect(cluster.first.url)
        await client.next(Disconnected, after=mark)
        assert len(client.all(Connected)) == 1
    await cluster.come_back(client, cluster.last)
    await until_more([client])
    await cluster.last.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


async def test_an_emit_of_a_server_that_is_closing_says_whether_it_was_stored(
    cluster: Nodes, store_url: str
) -> None:
    client = await cluster.client(cluster.last, keep=["n"])
    await cluster.first.flood("closing", batch=5, sturdy=True)
    await until_more([client])
    await cluster.close_manager(cluster.first)
    count = await cluster.first.stop_flood("closing")
    failures = await cluster.first.failures("closing")
    await until_kept([client], count - len(failures))
    assert failures
    truth = await assert_whole(cluster, store_url, [client])
    assert_stored(truth, "closing", count, failures)
