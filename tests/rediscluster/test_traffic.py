"""The slot of the stream moves, and the node dies that has it, while clients drop and return.

What Redis kept reaches every client once and in order; where it lost writes, everybody is told why.
"""

import asyncio
import os
from collections.abc import Callable

import pytest
from redis.crc import key_slot

from recovery.reasons import Reason
from tests.faults.outage import STREAM, until
from tests.rediscluster.conftest import ClusterWorld

pytestmark = pytest.mark.timeout(240)

TURNS = int(os.environ.get("CLUSTER_TURNS", "1"))
"""How often each test runs whose outcome depends on the moment."""

SLOT = key_slot(STREAM.encode())


async def populated(world: ClusterWorld, *, nodes: int = 3, clients: int = 8) -> None:
    """Let servers begin, and clients get some packets."""
    for _ in range(nodes):
        world.node()
    for number in range(clients):
        await world.client(world.nodes[number % nodes])
    await world.have_all((await world.emit(0, 3))[-1])


async def until_more(world: ClusterWorld, events: int) -> None:
    """Wait until so much more has happened."""
    some = len(world.ledger.history.events)
    await until(lambda: len(world.ledger.history.events) > some + events, seconds=60)


def elsewhere(world: ClusterWorld, slot: int) -> Callable[[], None]:
    """What moves a slot to another node."""
    owner = world.cluster.owner_of(slot)
    others = [node for node in world.cluster.primaries() if node is not owner]
    return lambda: world.cluster.move(slot, others[0])


def refusals(world: ClusterWorld) -> set[str | None]:
    return {reason for client in world.clients for reason in client.refusals if reason is not None}


@pytest.mark.parametrize("turn", range(TURNS))
async def test_slots_move_in_the_middle_of_traffic_and_nobody_notices(world: ClusterWorld, turn: int) -> None:
    """Those of the stream and of all sessions, the stream's twice."""
    await populated(world)
    async with world.traffic(travellers=5):
        await until_more(world, 100)
        sessions = {key_slot(f"sio:session:{client.pid}".encode()) for client in world.clients}
        for slot in (SLOT, *sorted(sessions - {SLOT}), SLOT):
            await asyncio.to_thread(elsewhere(world, slot))
            await until_more(world, 20)
        await until_more(world, 100)
    await world.verdict()
    assert world.ledger.lost == []
    assert refusals(world) == set()
    assert not any(node.manager.counters.get("reader.gap") for node in world.nodes)


async def test_a_slot_that_stays_between_two_nodes_for_a_while_costs_time_only(world: ClusterWorld) -> None:
    """Part of its keys are here, part there: what needs both waits, and nothing is given up or doubled."""
    await populated(world, nodes=2, clients=4)
    cluster = world.cluster
    target = next(node for node in cluster.primaries() if node is not cluster.owner_of(SLOT))
    async with world.traffic(travellers=3):
        await until_more(world, 100)
        source = await asyncio.to_thread(cluster.begin_move, SLOT, target)
        await asyncio.to_thread(cluster.move_keys, SLOT, source, target, [STREAM])
        emitting = [asyncio.create_task(world.emit(producer, 1)) for producer in range(2)]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in emitting), "they wait"
        await asyncio.to_thread(cluster.move_keys, SLOT, source, target, cluster.keys_in(SLOT, source))
        await asyncio.gather(*emitting)  # all is there, and the slot is still this node's
        await until_more(world, 100)
        await asyncio.to_thread(cluster.end_move, SLOT, source, target)
        await until_more(world, 100)
    await world.verdict()
    assert refusals(world) == set()


async def test_a_failover_that_loses_nothing_costs_nobody_anything(world: ClusterWorld) -> None:
    await populated(world, nodes=2, clients=6)
    old = world.cluster.owner(STREAM)
    await asyncio.to_thread(world.cluster.wait_until_copied, old)
    await world.kill_primary()
    returning = [asyncio.create_task(world.come_back(client, world.nodes[1])) for client in world.clients[:3]]
    emitting = [asyncio.create_task(world.emit(producer, 5)) for producer in range(2)]
    await asyncio.to_thread(world.cluster.fail_over, old)
    await asyncio.gather(*returning, *emitting)
    await world.verdict()
    assert world.ledger.lost == []
    assert {outcome for client in world.clients for outcome in client.outcomes[1:]} == {"recovered"}


async def test_a_failover_that_loses_writes_is_told_to_everybody(world: ClusterWorld) -> None:
    await populated(world, nodes=2, clients=4)
    old = world.cluster.owner(STREAM)
    [replica] = world.cluster.replicas_of(old)
    await asyncio.to_thread(world.cluster.wait_until_copied, old)
    replica.freeze()
    old.client.execute_command("CLIENT", "KILL", "TYPE", "replica")  # what is sent from now on, it never gets
    lost = await world.emit(1, 3)
    await world.have_all(lost[-1])
    await world.kill_primary()
    replica.thaw()
    await asyncio.to_thread(world.cluster.fail_over, old)
    await until(lambda: not any(client.is_connected for client in world.clients), "all are told", seconds=90)
    for number, client in enumerate(world.clients):
        await world.come_back(client, world.nodes[number % 2])
    await world.verdict()
    assert world.ledger.lost == lost
    assert refusals(world) == {Reason.EPOCH_CHANGED.value}


@pytest.mark.parametrize("turn", range(TURNS))
async def test_the_node_of_the_stream_dies_in_the_middle_of_traffic(world: ClusterWorld, turn: int) -> None:
    """The others notice, and its replica takes over. It is open what Redis keeps; nobody is told untruths."""
    await populated(world)
    for node in world.cluster.nodes:
        node.config_set("cluster-node-timeout", "1000")
    async with world.traffic(travellers=5):
        await until_more(world, 300)
        old = await world.kill_primary()
        await until(lambda: world.cluster.owner(STREAM) is not old, "its replica takes over", seconds=60)
        await until_more(world, 200)
    await world.verdict()
    for node in world.cluster.nodes:
        if node.running:
            node.config_set("cluster-node-timeout", "30000")
    print(f"turn {turn}: lost {len(world.ledger.lost)}, refused {refusals(world)}")  # noqa: T201
    assert refusals(world) <= ({Reason.EPOCH_CHANGED.value} if world.ledger.lost else set())


async def test_a_node_dies_that_has_sessions_only(world: ClusterWorld) -> None:
    """Emits go on; who has a session there waits to recover, or to be let in anew, and is told why."""
    await populated(world)
    slots = [key_slot(f"sio:session:{client.pid}".encode()) for client in world.clients]
    owners = [world.cluster.owner_of(slot) for slot in slots]
    home = world.cluster.owner(STREAM)
    victim = next((owner for owner in owners if owner is not home), None)
    if victim is None:
        pytest.skip("all of them are where the stream is")
    await asyncio.to_thread(world.cluster.wait_until_copied, victim)
    await asyncio.to_thread(victim.kill)
    await world.have_all((await world.emit(0, 3))[-1])
    returning = [asyncio.create_task(world.come_back(client, world.nodes[0])) for client in world.clients]
    await asyncio.to_thread(world.cluster.fail_over, victim)
    await asyncio.gather(*returning)
    await world.verdict()
    assert refusals(world) == set()
