"""What the stream forgets by itself: by time, and by a hard cap that says so; real processes and clients."""

from typing import Any

import redis

from recovery.reasons import Reason
from tests.e2e import steps
from tests.e2e.js_clients import Connected
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import until_kept, until_more
from tests.faults.nodes import FAULTY_SETTINGS, PATIENT_PINGS, RECOVERY_SECONDS
from tests.waiting import async_wait_until

WINDOW = 3.0  # seconds
PINGS = {"ping_interval": 0.4, "ping_timeout": 1.5}
RETENTION_MS = 1000 * (WINDOW + FAULTY_SETTINGS["checkpoint_interval"] + sum(PINGS.values()))
NODE_OF_A_STREAM = 100  # entries; servers trim approximately, in nodes of so many


async def test_entries_are_kept_for_the_window_under_traffic_and_no_longer(
    open_nodes: OpenNodes, store_url: str
) -> None:
    cluster = await open_nodes(2, server=PINGS, max_disconnection_duration=WINDOW)
    clients = await cluster.travellers(4)
    tags = {"one": cluster.first, "two": cluster.last}
    for tag, server in tags.items():
        await server.flood(tag, interval=0.005)
    await until_more(clients)
    store: Any  # redis-py's types are those of both colours at once
    with redis.Redis.from_url(store_url, decode_responses=True) as store:
        first: str = store.xrange(cluster.app, count=1)[0][0]

        async def is_gone() -> bool:
            return not store.xrange(cluster.app, first, first)

        await async_wait_until(is_gone, timeout=RECOVERY_SECONDS, what="it was trimmed")
        seconds, _ = store.time()
    assert 1000 * (seconds + 1) - int(first.split("-", maxsplit=1)[0]) > RETENTION_MS
    marks = [len(client.history) for client in clients]
    for client in clients:
        await client.lose("close")
    await cluster.all_recovered(clients, marks)
    await until_more(clients)
    counts = {tag: await server.stop_flood(tag) for tag, server in tags.items()}
    await cluster.settle(*clients)
    for client in clients:
        kept = await client.kept()
        for tag, count in counts.items():
            assert [number for other, number, _ in kept if other == tag] == list(range(1, count + 1))


async def test_a_cap_that_cuts_into_the_window_is_said_and_counted_and_told_to_whoever_lost_by_it(
    open_nodes: OpenNodes, store_url: str
) -> None:
    cluster = await open_nodes(2, server=PATIENT_PINGS, max_len=10)
    here, away = await cluster.client(cluster.last, keep=["n"]), await cluster.client(keep=["n"])
    await cluster.last.emit("n", 0)
    await until_kept([here, away], 1)
    old = {"pid": away.pid, "offset": (await away.state())["lastOffset"]}
    await away.drop()
    await cluster.kill(cluster.first)  # what it has in memory would do
    numbers = range(1, 3 * NODE_OF_A_STREAM)
    await cluster.last.emit_numbers("n", numbers)
    await cluster.restart(cluster.first)
    for _ in range(3):
        client = await cluster.client(cluster.first, **old)
        assert not client.last.recovered
        assert (await cluster.first.recovery(client.sid))["reason"] == Reason.OFFSET_TRIMMED
    assert [number for number, _ in await away.kept()] == [0], "not a part of it"
    await until_kept([here], len(numbers) + 1)
    assert [number for number, _ in await here.kept()] == [0, *numbers], "its reader kept up"
    assert len(here.all(Connected)) == 1
    said = cluster.node(cluster.last).output()
    assert said.count("max_len") == 1, said
    assert (await cluster.last.run(steps.counters()))[0]["stream.cut"] > 1
