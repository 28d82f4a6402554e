"""Every server, every store and every client together: the same scenarios in each cell, read by the checker.

Each runs on Valkey with two processes of each colour; those marked `core` also in memory and on Redis 7.0.
With ``E2E_MATRIX=all`` in the environment all of them run everywhere, Redis 6.2 included::

    E2E_MATRIX=all pytest tests/e2e/test_matrix.py
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.drivers import quiet_engineio
from tests.e2e import steps
from tests.e2e.checker import Label
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import OpenCluster
from tests.e2e.visitors import KINDS, Claim, Programme, Visitor, visiting

pytestmark = pytest.mark.matrix

# A long-polling client of python-engineio that closes waits until its last poll ends, with a ping.
PINGS = {"ping_interval": 0.4, "ping_timeout": 2.0}
# Its asyncio client leaves the response of an aborted poll open (4.15.1), to be collected at any time.
POLLING = pytest.param("polling", marks=pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
TURNS = 10
MANY = 50

Expect = Callable[..., Awaitable[Visitor]]


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def programme() -> Programme:
    return Programme()


@pytest_asyncio.fixture(loop_scope="session")
async def expect(open_cluster: OpenCluster, kind: str) -> AsyncIterator[Expect]:
    """Let a visitor come: ``await expect(cluster, transports=["polling"])``."""
    async with AsyncExitStack() as stack:

        async def come(cluster: Cluster, name: str = "ann", **options: Any) -> Visitor:
            visitor = await stack.enter_async_context(visiting(kind, cluster, name))
            options.setdefault("transports", ["websocket"])
            await visitor.come(**options)
            return visitor

        yield come


@pytest.mark.core
@pytest.mark.parametrize("transport", ["websocket", POLLING])
async def test_a_client_that_drops_and_returns_misses_nothing(
    open_cluster: OpenCluster, expect: Expect, programme: Programme, transport: str
) -> None:
    cluster = await open_cluster(server=PINGS)
    ann = await expect(cluster, transports=[transport])
    sid = ann.sid
    await programme.emit(cluster.first, ann)
    await ann.settle()
    await ann.leave()
    for server in cluster.servers:
        await programme.emit(server, ann)
        await programme.emit(server, ann, to=sid)
    await ann.come_back(cluster.last)
    await programme.emit(cluster.first, ann)
    await programme.check(ann)
    assert ann.recoveries() == [False, True]
    assert ann.sid == sid


async def test_a_client_that_returns_is_in_its_rooms(
    cluster: Cluster, expect: Expect, programme: Programme
) -> None:
    ann, bob = await expect(cluster, "ann"), await expect(cluster, "bob")
    for room in ("red", "blue", "green"):
        await cluster.last.enter_room(ann.sid, room)
    await cluster.first.leave_room(ann.sid, "blue")
    await programme.emit(cluster.first, ann, to="red")
    await ann.leave()
    await bob.leave()
    await programme.emit(cluster.last, ann, to="red")
    await programme.emit(cluster.last, to="blue")
    await programme.emit(cluster.last, ann, to="green")
    await cluster.last.leave_room(ann.sid, "green")
    await programme.emit(cluster.last, to="green")
    await programme.emit(cluster.first, bob, skip_sid=ann.sid)
    await ann.come_back(cluster.last)
    await bob.come_back(cluster.first)
    await programme.emit(cluster.first, ann, to="red")
    await programme.check(ann, bob)
    assert ann.recoveries() == bob.recoveries() == [False, True]
    assert await cluster.last.rooms(ann.sid) == {"red"}


async def test_a_client_that_returns_has_its_data(
    cluster: Cluster, expect: Expect, programme: Programme
) -> None:
    data = {"user": "ann", "deep": {"list": [1, None, b"\x00"]}}
    ann = await expect(cluster)
    await cluster.first.save_session(ann.sid, data)
    await ann.leave()
    await programme.emit(cluster.first, ann)
    await ann.come_back(cluster.last)
    await programme.check(ann)
    assert ann.recoveries() == [False, True]
    assert await cluster.last.get_session(ann.sid) == data


@pytest.mark.core
async def test_binary_packets_are_given_again_as_they_were(
    cluster: Cluster, expect: Expect, programme: Programme
) -> None:
    data = {"blob": b"\x00\xff", "more": [b"", {"text": "ä", "deep": b"\x01" * 5000}]}
    ann = await expect(cluster)
    await programme.emit(cluster.first, ann, data=data)
    await ann.leave()
    for missed in (data, b"\x02", None, "text", data):
        await programme.emit(cluster.first, ann, data=missed)
    await ann.come_back(cluster.last)
    await programme.emit(cluster.last, ann, data=data)
    await programme.check(ann)
    assert ann.recoveries() == [False, True]


async def test_ten_in_a_row_under_traffic(cluster: Cluster, expect: Expect, programme: Programme) -> None:
    ann = await expect(cluster)
    for number, server in enumerate(cluster.servers):
        await server.flood(f"server-{number}", interval=0.01)
    for _, server in zip(range(TURNS), cycle([cluster.last, cluster.first]), strict=False):
        await ann.leave()
        await ann.come_back(server)
    for producer, server in enumerate(cluster.servers):
        for number in range(1, await server.stop_flood(f"server-{producer}") + 1):
            programme.add(Label(f"server-{producer}", number), ann)
    await programme.check(ann)
    assert ann.recoveries() == [False] + [True] * TURNS


@pytest.mark.core
async def test_what_does_not_fit_is_refused_and_destroys_nothing(
    cluster: Cluster, expect: Expect, programme: Programme
) -> None:
    ann = await expect(cluster)
    await programme.emit(cluster.first, ann)
    await ann.settle()
    await ann.leave()
    await programme.emit(cluster.last, ann)
    hers = await ann.claim()
    wrong = {
        "session-unknown": Claim("x" * len(hers.pid), hers.offset),
        "malformed": Claim(hers.pid, "abc"),
        "offset-unknown": Claim(hers.pid, f"{2**63}-0"),
    }
    strangers = [await expect(cluster, reason, claim=claim) for reason, claim in wrong.items()]
    for stranger in strangers:
        assert stranger.recoveries() == [False]
        assert stranger.sid != ann.sid
        record = await cluster.first.recovery(stranger.sid)
        assert (record["recovered"], record["reason"]) == (False, stranger.name)
    await programme.emit(cluster.last, ann, *strangers)
    await ann.come_back(cluster.last)
    await programme.check(ann, *strangers)
    assert ann.recoveries() == [False, True]


async def test_a_replay_that_is_too_large_is_refused_whole(
    open_cluster: OpenCluster, expect: Expect, programme: Programme
) -> None:
    cluster = await open_cluster({"max_replay": MANY // 2, "max_client_buffer": 10})
    ann = await expect(cluster)
    await programme.emit(cluster.first, ann)
    await ann.settle()
    await ann.leave()
    # The checker is not told of these: the session ends without them, so whoever heard one heard too much.
    await cluster.first.run(*(steps.emit("n", ("missed", number)) for number in range(MANY)))
    await ann.come_back(cluster.last)
    await programme.emit(cluster.first, ann)
    await programme.check(ann)
    assert ann.recoveries() == [False, False]
    assert (await cluster.last.recovery(ann.sid))["reason"] == "replay-too-large"
