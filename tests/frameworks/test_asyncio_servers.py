"""Recovery under frameworks that python-socketio serves without ASGI, as their pages have it."""

import pytest

from tests.frameworks.recipes import ONE_PROCESS, Recipe
from tests.frameworks.serving import Site
from tests.frameworks.visitors import Visitors, drop_and_return


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("recipe", ONE_PROCESS, ids=str)
async def test_a_client_misses_nothing(
    recipe: Recipe, transport: str, site: Site, visitors: Visitors
) -> None:
    recipe.prepare(site)
    process = await site.serve(recipe.command)
    reader = await visitors.client(process, transports=[transport])
    writer = await visitors.client(process)
    await drop_and_return(reader, writer, *[process.url] * 5)


@pytest.mark.parametrize("recipe", ONE_PROCESS, ids=str)
async def test_a_client_comes_back_to_another_process(recipe: Recipe, site: Site, visitors: Visitors) -> None:
    recipe.prepare(site)
    first, second = await site.serve(recipe.command), await site.serve(recipe.command)
    reader, writer = await visitors.client(first), await visitors.client(second)
    await drop_and_return(reader, writer, second.url, first.url, second.url)
    for process in (first, second):
        assert await process.terminate() == 0
        assert recipe.complaints(process) == []
