"""A primary dies, or falls silent, and sentinels put a replica in its place, while clients drop and return.

What Redis kept reaches every client once and in order; where it lost writes, everybody is told why.
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from recovery.reasons import Reason
from tests.faults.outage import until
from tests.sentinel.conftest import World

pytestmark = pytest.mark.timeout(240)

FAILOVERS = int(os.environ.get("SENTINEL_FAILOVERS", "1"))
"""How many primaries in a row die in the middle of traffic."""


@asynccontextmanager
async def traffic(world: World, *, travellers: int) -> AsyncGenerator[None]:
    """Every server emits, and so many clients come and go, while the block runs."""
    stop = asyncio.Event()
    seed = int(os.environ.get("SENTINEL_SEED", random.randrange(2**32)))
    print(f"SENTINEL_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    async with asyncio.TaskGroup() as tasks:
        for producer in range(len(world.nodes)):
            tasks.create_task(world.flood(producer, stop))
        for client in world.clients[:travellers]:
            tasks.create_task(world.travel(client, stop, random.Random(f"{seed} {client.name}")))
        yield
        stop.set()


async def test_a_failover_that_loses_nothing_costs_nobody_anything(world: World) -> None:
    nodes = [world.node() for _ in range(2)]
    clients = [await world.client(nodes[number % 2]) for number in range(6)]
    names = await world.emit(0, 5)
    await world.have_all(names[-1])
    await asyncio.to_thread(world.group.await_replicated)
    old = await world.kill_primary()
    returning = [asyncio.create_task(world.come_back(client, nodes[1])) for client in clients[:3]]
    emitting = [asyncio.create_task(world.emit(producer, 5)) for producer in range(2)]
    assert (await asyncio.to_thread(world.group.await_failover, old)) is not old
    await asyncio.gather(*returning, *emitting)
    await world.verdict()
    assert world.ledger.lost == []
    assert {outcome for client in clients for outcome in client.outcomes[1:]} == {"recovered"}


async def test_a_failover_that_loses_writes_is_told_to_everybody(world: World) -> None:
    nodes = [world.node() for _ in range(2)]
    clients = [await world.client(nodes[number % 2]) for number in range(4)]
    kept = await world.emit(0, 3)
    await world.have_all(kept[-1])
    await asyncio.to_thread(world.group.await_replicated)
    await asyncio.to_thread(world.group.leave_replicas_behind)
    lost = await world.emit(1, 3)
    await world.have_all(lost[-1])
    clients[0].cut()
    await world.kill_primary()
    await until(lambda: not any(client.is_connected for client in clients), "all are told", seconds=90)
    for number, client in enumerate(clients):
        await world.come_back(client, nodes[number % 2])
    await world.verdict()
    assert world.ledger.lost == lost
    assert [client.refusals for client in clients] == [[Reason.EPOCH_CHANGED.value]] * 4


@pytest.mark.parametrize("turn", range(FAILOVERS))
async def test_a_primary_dies_in_the_middle_of_traffic(world: World, turn: int) -> None:
    """It is open what Redis keeps of it; whatever that is, nobody is told anything untrue."""
    nodes = [world.node() for _ in range(3)]
    for number in range(8):
        await world.client(nodes[number % 3])
    async with traffic(world, travellers=5):
        await until(lambda: len(world.clients[-1].got("n")) > 50)
        old = await world.kill_primary()
        await asyncio.to_thread(world.group.await_failover, old)
        some = len(world.ledger.history.events)
        await until(lambda: len(world.ledger.history.events) > some + 200, seconds=60)
    await world.verdict()
    refusals = {reason for client in world.clients for reason in client.refusals if reason is not None}
    print(f"turn {turn}: lost {len(world.ledger.lost)}, refused {refusals}")  # noqa: T201 - as above
    assert refusals <= ({Reason.EPOCH_CHANGED.value} if world.ledger.lost else set())


async def test_a_primary_that_was_frozen_gets_nothing_when_it_wakes_up(world: World) -> None:
    """It still thinks that it is the primary, until the sentinels tell it otherwise."""
    nodes = [world.node() for _ in range(2)]
    for number in range(4):
        await world.client(nodes[number % 2])
    async with traffic(world, travellers=2):
        await until(lambda: len(world.clients[-1].got("n")) > 20)
        await asyncio.to_thread(world.group.await_replicated)
        old = world.group.primary
        world.ledger.primary_is_lost()
        old.freeze()
        await asyncio.to_thread(world.group.await_failover, old)
        old.thaw()
        some = len(world.ledger.history.events)
        await until(lambda: len(world.ledger.history.events) > some + 100, seconds=60)
    await world.verdict()


async def test_a_failover_on_demand_leaves_no_server_behind(world: World) -> None:
    """The old primary lives on as a replica: it answers, and takes nothing."""
    nodes = [world.node() for _ in range(2)]
    clients = [await world.client(node) for node in nodes]
    await world.have_all((await world.emit(0, 3))[-1])
    old = world.group.primary
    world.ledger.primary_is_lost()
    await asyncio.to_thread(world.group.fail_over)
    assert world.group.primary is not old
    await world.have_all((await world.emit(1, 3))[-1])
    await world.verdict()
    assert world.ledger.lost == []
    assert {outcome for client in clients for outcome in client.outcomes} == {"fresh"}
    assert not any(node.manager.counters.get("reader.gap") for node in nodes)
