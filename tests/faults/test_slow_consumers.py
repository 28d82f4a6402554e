"""A client that stops reading, over real TCP: what waits for it is bounded, and it recovers later.

``SLOW_SECONDS`` sets for how long it does not read (by hand: 60).
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.e2e.checker import Sent, check, explain
from tests.e2e.cluster import Server
from tests.e2e.js_clients import Connected, JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import read_stream, seen_by, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.waiting import async_wait_until

SECONDS = float(os.environ.get("SLOW_SECONDS", "6"))
CLIENTS = 100
BUSY = 4
"""So many of the clients, the slow one among them, get 1000 packets a second; all get 50 more."""

BUFFER = 1000  # packets
MEBIBYTE = 2**20
_GROWTH = 64 * MEBIBYTE  # the replay log may take that much; a queue without a bound takes more in a minute

_BULK = "bulk" + 300 * "-"  # a producer's name that makes its packets long enough to fill a socket


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.stores("valkey")
async def test_one_of_many_clients_stops_reading(
    open_nodes: OpenNodes, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SEND_BUFFER", "16384")
    cluster = await open_nodes(
        1,
        server={"ping_interval": 5.0, "ping_timeout": 2 * SECONDS + 60},
        max_client_buffer=BUFFER,
        max_replay=1_000_000,
    )
    clients = await cluster.travellers(CLIENTS, compress=False)
    slow, *others = clients
    for client in clients[:BUSY]:
        await cluster.first.enter_room(client.sid, "bulk")
    await cluster.first.flood("all", interval=0.02)
    await cluster.first.flood(_BULK, batch=10, interval=0.01, to="bulk")
    await until_more(clients[:BUSY], 500)
    websockets = await cluster.first.host.ask("writers")
    before = _memory(cluster)
    await slow.stall()
    await cluster.first.wait_log("disconnect-done", slow.sid, seconds=RECOVERY_SECONDS)
    await cluster.wait_gone(cluster.first, [slow])
    await _until_writers(cluster.first, websockets - 1)
    await asyncio.sleep(SECONDS)  # it is not read from, and nobody is held up by that
    growth = _memory(cluster) - before
    print(f"{growth / MEBIBYTE:.1f} MiB more in {SECONDS} s")  # noqa: T201 - with -s
    assert growth < _GROWTH
    assert len(slow.all(Connected)) == 1
    await slow.stall(on=False)
    await cluster.all_recovered([slow], [2])
    await until_more([slow])
    for tag in ("all", _BULK):
        await cluster.first.stop_flood(tag)
    await _everybody_has_everything(cluster, store_url, clients)
    assert all(len(client.all(Connected)) == 1 for client in others), "nobody else was cut off"


async def _everybody_has_everything(cluster: Nodes, url: str, clients: list[JsClient]) -> None:
    await cluster.settle(*clients)
    everyone = frozenset(client.name for client in clients)
    busy = frozenset(client.name for client in clients[:BUSY])
    truth = read_stream(url, cluster.app)
    sent = [Sent(seen.label, busy if seen.label.producer == _BULK else everyone) for seen in truth]
    seen = {client.name: await seen_by(client) for client in clients}
    findings = check(sent, seen)
    assert not findings, explain(findings)


async def _until_writers(server: Server, count: int) -> None:
    async def so_many() -> bool:
        return bool(await server.host.ask("writers") == count)

    await async_wait_until(so_many, what=f"{count} tasks that send")


def _memory(cluster: Nodes) -> int:
    """Bytes of the server process that are in memory."""
    lines = Path(f"/proc/{cluster.node(cluster.first).pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
