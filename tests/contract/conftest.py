"""The stores under test: every kind in both colours."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recovery.stores.memory import shared_state
from tests.contract.subject import Hand, MemoryHand, RedisHand, Subject, opened
from tests.servers import SERVER_KINDS

_KINDS = ("memory", *SERVER_KINDS)


@pytest.fixture(params=("async", "sync"))
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SERVER_KINDS)
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty server of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=_KINDS)
def store_url(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind."""
    if request.param == "memory":
        return f"memory://{request.node.nodeid}"
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest_asyncio.fixture
async def hand(store_url: str) -> AsyncIterator[Hand]:
    made: Hand
    if store_url.startswith("memory://"):
        made = MemoryHand(shared_state(store_url.removeprefix("memory://")))
    else:
        made = RedisHand(store_url)
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
    made = RedisHand(server_url)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def server_store(server_url: str, colour: str) -> AsyncIterator[Subject]:
    """A store that is a server."""
    subject = opened(server_url, colour)
    yield subject
    await subject.close()
