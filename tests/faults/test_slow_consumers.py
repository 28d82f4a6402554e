"""A client that stops reading, over real TCP: what waits for it is bounded, and it recovers later.

What a server keeps while a client is away is its replay log, which is the same for all clients, and has
bounds of its own. So the memory is measured with a log that is full from the start; with one that is large
enough the client recovers.

``SLOW_SECONDS`` sets for how long it does not read (by hand: 60).
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from recovery.reasons import Reason
from tests.e2e.checker import Sent, check, explain
from tests.e2e.cluster import Server
from tests.e2e.js_clients import Connected, JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import read_stream, seen_by, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.waiting import async_wait_until

SECONDS = float(os.environ.get("SLOW_SECONDS", "6"))
CLIENTS = {"valkey": 100, "redis70": 20}
"""What a client costs does not depend on the store: the second crowd is smaller, and its time is half."""
BUSY = 4
"""So many of the clients, the slow one among them, get 1000 packets a second; all get some more."""

BUFFER = 1000  # packets
LOG = 1000  # entries, where it is full from the start
_PACKET = 300  # bytes, enough of them to fill a socket
_LARGE_PACKET = 1000
MEBIBYTE = 2**20

_GROWTH = 2 * BUFFER * _LARGE_PACKET + 4 * MEBIBYTE
"""What may wait for the client, each packet with what Python adds to it, and some fluctuation."""


@pytest.mark.timeout(SECONDS + 120)
async def test_one_of_many_clients_stops_reading(
    open_nodes: OpenNodes, store: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SEND_BUFFER", "16384")
    cluster, clients = await _crowd(open_nodes, store, _PACKET, max_replay=10**6, log_max_entries=10**6)
    slow, *others = clients
    await until_more(clients[:BUSY], 500)
    websockets = await cluster.first.host.ask("writers")
    await slow.stall()
    await cluster.first.wait_log("disconnect-done", slow.sid, seconds=RECOVERY_SECONDS)
    await cluster.wait_gone(cluster.first, [slow])
    await _until_writers(cluster.first, websockets - 1)
    await asyncio.sleep(_seconds(store))  # it is not read from, and nobody is held up by that
    assert len(slow.all(Connected)) == 1
    await slow.stall(on=False)
    await cluster.all_recovered([slow], [2])
    await until_more([slow])
    await _calm(cluster, _PACKET)
    await _everybody_has_everything(cluster, store_url, clients)
    assert all(len(client.all(Connected)) == 1 for client in others), "nobody else was cut off"


@pytest.mark.timeout(SECONDS + 120)
async def test_memory_does_not_grow_with_the_time_for_which_a_client_does_not_read(
    open_nodes: OpenNodes, store: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SEND_BUFFER", "16384")
    cluster, clients = await _crowd(open_nodes, store, _LARGE_PACKET, log_max_entries=LOG)
    slow, *others = clients
    await until_more(clients[:BUSY], 3 * LOG)
    seconds, before, count = _seconds(store), _memory(cluster), await others[0].kept_count()
    await slow.stall()
    growth = await _peak(cluster, seconds) - before
    rate = (await others[0].kept_count() - count) / seconds
    print(f"{growth / MEBIBYTE:.1f} MiB more in {seconds} s at {rate:.0f} packets/s")  # noqa: T201 - with -s
    assert growth < _GROWTH
    await cluster.first.wait_log("disconnect-done", slow.sid, seconds=RECOVERY_SECONDS)
    await slow.lose("silent")  # its network comes back after all
    connected = await slow.next(Connected, after=2, seconds=RECOVERY_SECONDS)
    told = await cluster.first.recovery(connected.sid)
    assert (told["recovered"], told["reason"]) == (False, Reason.REPLAY_TOO_LARGE)
    await until_more([slow])
    await _calm(cluster, _LARGE_PACKET)
    assert all(len(client.all(Connected)) == 1 for client in others), "nobody else was cut off"


async def _crowd(
    open_nodes: OpenNodes, store: str, size: int, **settings: Any
) -> tuple[Nodes, list[JsClient]]:
    """Many clients of one server, and packets of so many bytes for them."""
    cluster = await open_nodes(
        1,
        fresh=True,
        server={"ping_interval": 5.0, "ping_timeout": 2 * SECONDS + 60},
        max_client_buffer=BUFFER,
        max_disconnection_duration=SECONDS + 60,
        **settings,
    )
    clients = await cluster.travellers(CLIENTS[store], compress=False)
    for client in clients[:BUSY]:
        await cluster.first.enter_room(client.sid, "bulk")
    await cluster.first.flood("all", interval=0.2)
    await cluster.first.flood(_bulk(size), batch=40, interval=0.01, to="bulk")
    return cluster, clients


def _bulk(size: int) -> str:
    """A producer's name, which is in its packets."""
    return "bulk" + size * "-"


async def _calm(cluster: Nodes, size: int) -> None:
    """Let nothing more be emitted."""
    for tag in ("all", _bulk(size)):
        await cluster.first.stop_flood(tag)


async def _everybody_has_everything(cluster: Nodes, url: str, clients: list[JsClient]) -> None:
    await cluster.settle(*clients)
    everyone = frozenset(client.name for client in clients)
    busy = frozenset(client.name for client in clients[:BUSY])
    truth = read_stream(url, cluster.app)
    sent = [Sent(seen.label, busy if seen.label.producer.startswith("bulk") else everyone) for seen in truth]
    seen = {client.name: await seen_by(client) for client in clients}
    findings = check(sent, seen)
    assert not findings, explain(findings)


async def _until_writers(server: Server, count: int) -> None:
    async def so_many() -> bool:
        return bool(await server.host.ask("writers") == count)

    await async_wait_until(so_many, what=f"{count} tasks that send")


def _seconds(store: str) -> float:
    return SECONDS if store == "valkey" else SECONDS / 2


async def _peak(cluster: Nodes, seconds: float) -> int:
    """The most memory that the server process has within so many seconds."""
    most = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        most = max(most, _memory(cluster))
    return most


def _memory(cluster: Nodes) -> int:
    """Bytes of the server process that are in memory."""
    lines = Path(f"/proc/{cluster.node(cluster.first).pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
