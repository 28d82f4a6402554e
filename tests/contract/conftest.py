"""The stores under test: every kind in both colours."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
import redis

from recovery.stores.memory import shared_state
from tests.contract.subject import Hand, MemoryHand, RedisHand, Subject, hand_of, opened
from tests.rights import PASSWORD, documented
from tests.sentinel.processes import SentinelGroup
from tests.servers import SERVER_KINDS, emptied
from tests.tls import Tls

_WHOLE = bool(os.environ.get("CONTRACT_TOPOLOGIES"))
"""Whether all tests run over TLS as a user with few rights, behind a sentinel, and on a cluster, or some."""

_PART = {"secured": "sync", "sentinel": "async", "cluster": "async"}
"""The colour of that part on each: the two differ in where connections come from, not in what is said."""

_KINDS = ("memory", *SERVER_KINDS, *_PART)


@dataclass(frozen=True)
class Place:
    """A store under test, and how its operator gets at it.

    Attributes:
        url: of the store.
        back_door: of the same server, for somebody who may do everything.
    """

    url: str
    back_door: str


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "everywhere: runs on each topology in each run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs over TLS, behind a sentinel or on a cluster by hand only."""
    if not _WHOLE:
        left_out = [item for item in items if _is_by_hand(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_by_hand(item: pytest.Item) -> bool:
    params: dict[str, object] = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    kind = params.get("place") or params.get("server_url")
    if kind not in _PART:
        return False
    return item.get_closest_marker("everywhere") is None or params.get("colour") != _PART[str(kind)]


@pytest.fixture(scope="session")
def sentinel_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    """Redis 7.0 behind a sentinel, which it never leaves."""
    with SentinelGroup("redis70", tmp_path_factory.mktemp("sentinel"), replicas=0, sentinels=1) as group:
        yield group


@pytest.fixture
def sentinel_place(sentinel_group: SentinelGroup) -> Iterator[Place]:
    """An empty store behind a sentinel."""
    for back_door in emptied(sentinel_group.primary.url):
        yield Place(sentinel_group.url, back_door)


@pytest.fixture
def cluster_place(cluster_url: str) -> Place:
    """An empty Redis Cluster."""
    return Place(cluster_url, cluster_url)


@pytest.fixture
def secured_place(redis70_url: str, redis70_tls: Tls) -> Iterator[Place]:
    """An empty store that is reached over TLS, by a user with the rights of the page about security only."""
    with redis.Redis.from_url(redis70_url) as admin:
        admin.execute_command(*documented("acl", "acl-expiry", "acl-cluster"), "allchannels")
        address = f"recovery:{PASSWORD}@{redis70_tls.place}"
        yield Place(f"rediss://{address}?ssl_ca_certs={redis70_tls.authority}", redis70_url)
        admin.execute_command("ACL", "DELUSER", "recovery")


@pytest.fixture(params=("async", "sync"))
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[*SERVER_KINDS, "cluster"])
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty server of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=_KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty store of each kind."""
    if request.param == "memory":
        return Place(f"memory://{request.node.nodeid}", "")
    if request.param in _PART:
        made: Place = request.getfixturevalue(f"{request.param}_place")
        return made
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return Place(url, url)


@pytest.fixture
def store_url(place: Place) -> str:
    """URL of that store."""
    return place.url


@pytest_asyncio.fixture
async def hand(place: Place) -> AsyncIterator[Hand]:
    made: Hand
    if place.url.startswith("memory://"):
        made = MemoryHand(shared_state(place.url.removeprefix("memory://")))
    else:
        made = hand_of(place.back_door)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def store(store_url: str, colour: str, hand: Hand) -> AsyncIterator[Subject]:
    """The store under test."""
    subject = opened(store_url, colour)
    yield subject
    await subject.close()


@pytest_asyncio.fixture
async def other_store(store_url: str, colour: str, hand: Hand) -> AsyncIterator[Subject]:
    """Another store on the same data, of the other colour, as another process would have."""
    subject = opened(store_url, "sync" if colour == "async" else "async")
    yield subject
    await subject.close()


@pytest_asyncio.fixture
async def server_hand(server_url: str) -> AsyncIterator[RedisHand]:
    made = hand_of(server_url)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def server_store(server_url: str, colour: str) -> AsyncIterator[Subject]:
    """A store that is a server."""
    subject = opened(server_url, colour)
    yield subject
    await subject.close()
