"""Fixtures of tests that serve the documentation's applications, with real clients."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import js, node
from tests.e2e.js_clients import JsClients
from tests.environments import make_environment
from tests.frameworks.recipes import ELSEWHERE
from tests.frameworks.serving import Site
from tests.frameworks.visitors import Visitors

__all__ = ["js", "node"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with JavaScript clients in one event loop, the one that owns the process of these clients."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "js" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the frameworks that the one of the tests cannot have."""
    return make_environment(tmp_path_factory, "frameworks", ELSEWHERE)


@pytest.fixture
def site(tmp_path: Path, valkey_url: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Room for an application, with a store."""
    opened = Site(tmp_path, valkey_url, elsewhere=lambda: request.getfixturevalue("elsewhere"))
    yield opened
    opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(js: JsClients) -> AsyncIterator[Visitors]:
    """The JavaScript clients of a test."""
    opened = Visitors(js)
    yield opened
    await opened.leave()
