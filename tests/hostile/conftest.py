"""Fixtures of these tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.interleavings.harness import World, open_world


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Servers and clients around one store; fails if anything is logged as an error."""
    async with open_world() as opened:
        yield opened
