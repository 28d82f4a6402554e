"""Servers that die without a word (SIGKILL), and come back on the same port."""

import asyncio
import random
import time

import pytest

from tests.e2e import steps
from tests.e2e.js_clients import Connected, Disconnected
from tests.faults.ledger import assert_stored, assert_whole, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes


async def test_all_clients_of_a_killed_server_recover_on_the_other(cluster: Nodes, store_url: str) -> None:
    clients = await cluster.travellers(20)
    dying = clients[::2]
    await cluster.first.flood("first", interval=0.005)
    await cluster.last.flood("last", interval=0.005)
    await until_more(clients)
    marks = [len(client.history) for client in dying]
    await cluster.kill(cluster.first)
    killed_at = time.monotonic()
    for client, mark in zip(dying, marks, strict=True):
        await client.next(Disconnected, after=mark)
    recovered = await cluster.all_recovered(dying, marks)
    print(f"{len(recovered)} recoveries within {time.monotonic() - killed_at:.2f} s")  # noqa: T201 - with -s
    await until_more(clients)
    count = await cluster.last.stop_flood("last")
    truth = await assert_whole(cluster, store_url, clients)
    assert_stored(truth, "last", count)


async def test_killed_servers_come_back_on_their_ports_one_after_the_other(
    cluster: Nodes, store_url: str
) -> None:
    clients = await cluster.travellers(10)
    emitted: dict[str, int] = {}
    for turn, (dying, staying) in enumerate([(0, 1), (1, 0), (0, 1)]):
        tag = f"turn-{turn}"
        await cluster.servers[staying].flood(tag, interval=0.005)
        await cluster.servers[dying].flood(f"{tag}-dying", interval=0.005)
        await until_more(clients)
        await cluster.kill(cluster.servers[dying])
        await until_more(clients)  # all of them are on the other one now
        await cluster.restart(cluster.servers[dying])
        emitted[tag] = await cluster.servers[staying].stop_flood(tag)
    truth = await assert_whole(cluster, store_url, clients)
    for tag, count in emitted.items():
        assert_stored(truth, tag, count)
    assert all(connected.recovered for client in clients for connected in client.all(Connected)[1:])


async def test_all_servers_die_at_once_and_everybody_recovers(cluster: Nodes, store_url: str) -> None:
    clients = await cluster.travellers(10)
    for number, server in enumerate(cluster.servers):
        await server.flood(f"before-{number}", interval=0.005)
    await until_more(clients)
    marks = [len(client.history) for client in clients]
    await asyncio.gather(*(cluster.kill(server) for server in cluster.servers))
    await asyncio.gather(*(cluster.restart(server) for server in cluster.servers))
    await cluster.first.flood("after", interval=0.005)
    await cluster.all_recovered(clients, marks)
    await until_more(clients)
    await cluster.first.stop_flood("after")
    await assert_whole(cluster, store_url, clients)


@pytest.mark.parametrize("how", ["close", "silent"])
async def test_a_server_that_dies_while_it_asks_its_application_costs_nothing(
    cluster: Nodes, store_url: str, how: str
) -> None:
    """It has claimed the session and taken it over, and nobody ever hears of it again."""
    client = await cluster.client(keep=["n"])
    await cluster.last.behave("connect", steps.gate("asked"))
    await cluster.first.flood("f", interval=0.005)
    await until_more([client])
    await client.drop("silent" if how == "silent" else "close")
    mark = len(client.history)
    await client.start_reconnect(cluster.last.url)
    await cluster.last.wait_log("gate", client.sid, seconds=RECOVERY_SECONDS)
    await cluster.kill(cluster.last)
    await client.until(lambda: len(client.history) > mark, "the end of its attempt", seconds=RECOVERY_SECONDS)
    await cluster.come_back(client, cluster.first)
    await until_more([client])
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


@pytest.mark.parametrize("place", ["same-server", "other-server"])
async def test_a_reconnection_cut_at_any_moment_leaves_the_session_recoverable(
    cluster: Nodes, store_url: str, place: str
) -> None:
    dice = random.Random(f"{place}")
    client = await cluster.client(keep=["n"])
    server = cluster.first if place == "same-server" else cluster.last
    await cluster.first.flood("f", interval=0.002)
    await until_more([client])
    await client.drop("abrupt")
    for seconds in [0.0, 0.002, 0.04, *(dice.uniform(0, 0.06) for _ in range(12))]:
        await client.start_reconnect(server.url)
        await asyncio.sleep(seconds)  # the moment of the cut is what this test is about
        await client.give_up()
    await cluster.come_back(client, cluster.first)
    await until_more([client])
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


async def test_a_client_that_leaves_for_good_ends_the_session_that_a_killed_server_left(
    cluster: Nodes,
) -> None:
    client = await cluster.client()
    await cluster.kill(cluster.first)
    await client.until(lambda: bool(client.all(Disconnected)), "the end", seconds=RECOVERY_SECONDS)
    await cluster.come_back(client, cluster.last)
    await client.disconnect()
    answer = await client.try_reconnect(cluster.last.url)
    assert isinstance(answer, Connected)
    assert not answer.recovered
