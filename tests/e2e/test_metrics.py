"""What JavaScript clients do to a cluster is what its metrics say, added up over servers of any colour."""

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.waiting import async_wait_until

pytestmark = pytest.mark.colours


async def _sum(cluster: Cluster, name: str, **labels: str) -> float:
    total = 0.0
    for server in cluster.servers:
        [samples] = await server.run(steps.manager_method("metrics"))
        [found] = [
            sample["value"]
            for sample in samples
            if sample["name"] == f"socketio_recovery_{name}" and labels.items() <= sample["labels"].items()
        ]
        total += found
    return total


async def test_a_client_that_drops_and_returns_counts_with_what_it_missed(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.emit("e", 1)
    await client.events(1)
    await client.drop()
    await cluster.first.emit_numbers("e", [2, 3])
    await cluster.come_back(client)
    assert await client.events(3) == [1, 2, 3]
    assert await _sum(cluster, "recoveries_total", outcome="recovered") == 1
    assert await _sum(cluster, "replayed_packets_total") == 2
    assert await _sum(cluster, "attempt_seconds_count", outcome="recovered") == 1
    assert await _sum(cluster, "connections", phase="live") == 1
    assert await _sum(cluster, "saved_sessions") == 1
    assert await _sum(cluster, "published_entries_total") >= 3
    assert await _sum(cluster, "healthy") == len({*cluster.servers})


async def test_a_client_that_returns_before_its_end_was_noticed_counts_as_taken_over(
    cluster: Cluster,
) -> None:
    client = await cluster.client()
    await client.bounce(cluster.last.url, "silent")
    assert client.last.recovered
    assert await _sum(cluster, "takeovers_total") == 1
    if len(cluster.servers) > 1:
        assert await _sum(cluster, "handovers_total") == 1


async def test_refusals_count_by_reason(cluster: Cluster) -> None:
    for auth, reason in (
        ({"pid": "x" * 32}, "session-unknown"),
        ({"pid": 42}, "malformed"),
    ):
        await cluster.client(auth=auth)
        assert await _sum(cluster, "recoveries_total", outcome="refused", reason=reason) == 1
    client = await cluster.client()
    await client.drop()
    await cluster.first.disconnect(client.sid)
    await client.reconnect(cluster.last.url)

    async def counted() -> bool:
        return await _sum(cluster, "recoveries_total", reason="disconnected") == 1

    await async_wait_until(counted, what="the end of its session counts")
