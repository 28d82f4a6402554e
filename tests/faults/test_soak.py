"""Two servers, fifty clients, and everything that can go wrong, for a while.

``SOAK_SECONDS`` sets for how long (by hand: 600), ``SOAK_SEED`` repeats a run's dice; they choose the
store, too.
"""

import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from recovery.reasons import Reason
from tests.e2e import steps
from tests.e2e.checker import Seen
from tests.e2e.cluster import Server
from tests.e2e.js_clients import Connected, JsClient, JsClients
from tests.faults.chaos import Chaos
from tests.faults.conftest import STORES
from tests.faults.ledger import assert_session, read_stream, sessions_of
from tests.faults.nodes import Node, Nodes
from tests.faults.proxy import Proxy
from tests.faults.redis_process import RedisProcess

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
CLIENTS = 50

TRUE_REASONS = {Reason.STORE_UNAVAILABLE.value, "no pid"}
"""The store is away now and then. Who got in meanwhile has no pid, and comes as a stranger the next time."""


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens, closed in the opposite order."""
    async with AsyncExitStack() as everything:
        yield everything


@pytest.mark.timeout(SECONDS + 240)
async def test_nothing_is_lost_whatever_breaks(stack: AsyncExitStack, js: JsClients, tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.randrange(2**32)))
    kind = random.Random(f"{seed} store").choice(STORES)
    print(f"SOAK_SEED={seed} on {kind}")  # noqa: T201 - pytest shows it with a failure
    store = stack.enter_context(RedisProcess(kind, tmp_path, fsync="always"))
    links = [await stack.enter_async_context(Proxy(store.url)) for _ in range(2)]
    cluster = await _open(stack, js, links)
    networks = [await stack.enter_async_context(Proxy(server.url)) for server in cluster.servers]
    for server in cluster.servers:
        await _prepare(server)
    clients = await cluster.travellers(CLIENTS, urls=[proxy.url for proxy in networks], marks=True)
    chaos = Chaos(cluster, store, links=links, networks=networks, clients=clients, seed=seed)
    await chaos.run(SECONDS, prepare=_prepare)
    for server, tag in chaos.floods.items():
        await server.stop_flood(tag)
    await cluster.gather_all(clients)
    truth = read_stream(store.url, cluster.app)
    seen = 0
    for client in clients:
        sessions = await sessions_of(client)
        seen += sum(map(len, sessions))
        _check(client, sessions, truth)
    refusals = sum((_refusals_of(client) for client in clients), Counter[str]())
    connects = sum(len(client.all(Connected)) for client in clients) - CLIENTS
    print(dict(chaos.events))  # noqa: T201 - as above
    print(f"{len(truth)} packets, {seen} received, {connects} reconnections, refused: {dict(refusals)}")  # noqa: T201
    assert set(refusals) <= TRUE_REASONS
    assert connects > CLIENTS, "this would show nothing"


def _check(client: JsClient, sessions: Sequence[Sequence[Seen]], truth: Sequence[Seen]) -> None:
    """Each session is a ledger of its own: what it saw is a piece of the stream without a gap.

    The first one begins with the stream, for the client was there before it, and the last one reaches its
    end.
    """
    for number, session in enumerate(sessions):
        first, last = number == 0, number == len(sessions) - 1
        assert_session(client.name, session, truth, from_the_first=first, to_the_last=last)


def _refusals_of(client: JsClient) -> Counter[str]:
    """Why a client was not recovered, as often as it was not."""
    connects = client.all(Connected)
    records = [record for record in client.payloads("recovery") if not record["recovered"]]
    reasons = [record["reason"] for record in records[1:]]
    without_pid = sum(
        before.pid is None for before, after in itertools.pairwise(connects) if not after.recovered
    )
    assert reasons.count(None) <= without_pid, f"{client.name} had a pid, and was taken for a stranger"
    return Counter("no pid" if reason is None else reason for reason in reasons)


async def _open(stack: AsyncExitStack, js: JsClients, links: Sequence[Proxy]) -> Nodes:
    nodes = [Node(f"node-{number}") for number in (1, 2)]
    for node in nodes:
        stack.push_async_callback(_end, node)
        await node.start()
    cluster = Nodes(nodes, js, [proxy.url for proxy in links])
    stack.push_async_callback(cluster.close)
    cluster.expected_errors.append("")  # whatever servers complain of: the ledger is what counts here
    await cluster.open({"max_disconnection_duration": 3600.0})
    return cluster


async def _end(node: Node) -> None:
    print(f"--- {node.name}\n{node.output()[-20_000:]}")  # noqa: T201 - pytest shows it with a failure
    await node.stop()


async def _prepare(server: Server) -> None:
    await server.behave("connect", steps.tell_recovery())
