"""Two processes emit to one room as fast as they can, while clients drop and come back at random.

``E2E_STORM_SECONDS`` sets for how long (by hand: 30), ``E2E_STORM_SEED`` repeats a run's dice.
"""

import asyncio
import os
import random
from collections.abc import Sequence

import pytest

from tests.e2e.checker import Label, Seen, Sent, check, explain
from tests.e2e.cluster import Cluster
from tests.e2e.js_clients import Drop, JsClient

SECONDS = float(os.environ.get("E2E_STORM_SECONDS", "8"))
CLIENTS = 20
ROOM = "storm"
WAYS: Sequence[Drop] = ("close", "abrupt", "silent")


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.core
@pytest.mark.topologies("memory-1", "valkey-2", "redis62-2")
async def test_a_storm_of_drops_loses_doubles_and_disorders_nothing(cluster: Cluster) -> None:
    seed = int(os.environ.get("E2E_STORM_SEED", random.randrange(2**32)))
    print(f"E2E_STORM_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    clients = await _enter(cluster)
    for number, server in enumerate(cluster.servers):
        await server.flood(f"server-{number}", batch=1 + 7 * number, interval=0.002, to=ROOM)
    recoveries = await _drop_at_random(cluster, clients, random.Random(seed))
    counts = [await server.stop_flood(f"server-{n}") for n, server in enumerate(cluster.servers)]
    await cluster.settle(*clients)
    sent = [
        Sent(Label(f"server-{producer}", number), frozenset(client.name for client in clients))
        for producer, count in enumerate(counts)
        for number in range(1, count + 1)
    ]
    seen = {client.name: await _seen(client) for client in clients}
    print(f"{len(sent)} packets, {recoveries} recoveries")  # noqa: T201 - pytest shows it with a failure
    findings = check(sent, seen)
    assert not findings, explain(findings)
    assert recoveries > 0


async def _enter(cluster: Cluster) -> list[JsClient]:
    clients: list[JsClient] = []
    for number in range(CLIENTS):
        server = cluster.servers[number % len(cluster.servers)]
        transport = "polling" if number % 5 == 0 else "websocket"
        client = await cluster.client(server, keep=["n"], transports=[transport])
        await server.enter_room(client.sid, ROOM)
        clients.append(client)
    return clients


async def _drop_at_random(cluster: Cluster, clients: list[JsClient], dice: random.Random) -> int:
    end = asyncio.get_running_loop().time() + SECONDS
    lives = [_live(cluster, client, random.Random(dice.random()), end) for client in clients]
    return sum(await asyncio.gather(*lives))


async def _live(cluster: Cluster, client: JsClient, dice: random.Random, end: float) -> int:
    """Drop, stay away, come back to any server, and so on; return how often."""
    turns = 0
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(dice.uniform(0, 1.0))
        how = dice.choice(WAYS)
        if dice.random() < 0.3:
            connected = await client.bounce(dice.choice(cluster.servers).url, how)
        else:
            await client.drop(how)
            await asyncio.sleep(dice.uniform(0, 0.5))
            connected = await client.reconnect(dice.choice(cluster.servers).url, seconds=20)
        assert connected.recovered, f"{client.name} was not recovered in turn {turns}"
        turns += 1
    return turns


async def _seen(client: JsClient) -> list[Seen]:
    return [Seen(Label(producer, number), offset) for producer, number, offset in await client.kept()]
