"""Both colours, in each test that takes `colour`."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.clients.drivers import COLOURS, Driver, driving, quiet_engineio


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Whether the client is the one for asyncio or the one with threads."""
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def driver(colour: str) -> AsyncIterator[Driver]:
    """A client that reconnects quickly."""
    async with driving(colour) as client:
        yield client
