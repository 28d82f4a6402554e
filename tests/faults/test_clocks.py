"""The clocks of server processes may differ by hours, and jump: offsets and expiry are on Redis's clock."""

import asyncio

import pytest
import redis

from recovery.reasons import Reason
from tests.e2e.js_clients import Connected
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_more
from tests.faults.nodes import FAULTY_SETTINGS, Nodes
from tests.waiting import async_wait_until

HOUR = 3600.0
WINDOW_MS = 1000 * FAULTY_SETTINGS["max_disconnection_duration"]


async def _set_apart(cluster: Nodes) -> None:
    await cluster.first.host.ask("shift_clock", seconds=-5 * HOUR)
    await cluster.last.host.ask("shift_clock", seconds=7 * HOUR)


async def test_clients_go_between_servers_whose_clocks_are_half_a_day_apart(
    cluster: Nodes, store_url: str
) -> None:
    await _set_apart(cluster)
    clients = await cluster.travellers(6)
    for tag, server in (("first", cluster.first), ("last", cluster.last)):
        await server.flood(tag, interval=0.005)
    for _ in range(3):
        await until_more(clients)
        marks = [len(client.history) for client in clients]
        await asyncio.gather(*(client.drop("close") for client in clients[:3]))
        await cluster.all_recovered(clients[:3], marks[:3])
    counts = {"first": await cluster.first.stop_flood("first"), "last": await cluster.last.stop_flood("last")}
    truth = await assert_whole(cluster, store_url, clients)
    for tag, count in counts.items():
        assert_stored(truth, tag, count)
    with redis.Redis.from_url(store_url) as client:
        seconds, _ = client.time()
        left = [client.pttl(f"sio:session:{each.pid}") for each in clients]
    assert all(
        abs(int(packet.offset.split("-")[0]) / 1000 - seconds) < HOUR for packet in truth if packet.offset
    )
    assert all(0 < ms < 2 * WINDOW_MS for ms in left)


@pytest.mark.parametrize("jump", [-3 * HOUR, 3 * HOUR], ids=["back", "ahead"])
async def test_a_clock_that_jumps_under_traffic_costs_nothing(
    cluster: Nodes, store_url: str, jump: float
) -> None:
    """python-engineio measures PONGs on this clock, and may close connections: they recover."""
    clients = await cluster.travellers(6)
    await cluster.last.flood("last", interval=0.005)
    await until_more(clients)
    await cluster.first.host.ask("shift_clock", seconds=jump)
    for _ in range(3):
        await until_more(clients)
    await cluster.first.host.ask("shift_clock", seconds=0)
    await until_more(clients)
    count = await cluster.last.stop_flood("last")
    assert_stored(await assert_whole(cluster, store_url, clients), "last", count)
    assert all(again.recovered for client in clients for again in client.all(Connected)[1:])


async def test_a_session_expires_when_redis_says_so(open_nodes: OpenNodes, store_url: str) -> None:
    """For a server whose clock is hours ahead it is not over; for one whose clock is behind it is."""
    cluster = await open_nodes(max_disconnection_duration=1.0)
    await _set_apart(cluster)
    early, late = await cluster.client(), await cluster.client()
    await cluster.first.emit("n", ("mark", 1))
    for client in (early, late):
        await client.events(1, "n")
        await client.drop()
    connected = await early.reconnect(cluster.last.url)
    assert connected.recovered
    pid = late.pid

    async def is_over() -> bool:
        with redis.Redis.from_url(store_url) as client:
            return not client.exists(f"sio:session:{pid}")

    await async_wait_until(is_over, what="Redis has let the session expire")
    assert not (await late.reconnect(cluster.last.url)).recovered
    assert (await cluster.last.recovery(late.sid))["reason"] == Reason.SESSION_EXPIRED
