"""Fixtures of these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interleavings.clock import Clock, stopped_clock
from tests.interleavings.expiry import Witness
from tests.interleavings.harness import World, open_world


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Servers and clients around one store; fails if anything is logged as an error."""
    async with open_world() as opened:
        yield opened


@pytest_asyncio.fixture
async def clock() -> AsyncIterator[Clock]:
    """A clock that stands still until moved."""
    with stopped_clock() as stopped:
        yield stopped


@pytest.fixture
def witness() -> Witness:
    """Sees all calls of a handler ``session_expired``."""
    return Witness()
