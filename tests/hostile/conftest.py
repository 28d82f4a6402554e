"""Fixtures of these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interleavings.harness import World, open_world
from tests.servers import SERVER_KINDS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Servers and clients around one store; fails if anything is logged as an error."""
    async with open_world() as opened:
        yield opened


@pytest.fixture(params=SERVER_KINDS)
def redis_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty server of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))
