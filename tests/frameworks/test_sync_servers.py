"""Recovery on synchronous servers with two workers, in threads and in greenlets, as their pages have it."""

import signal

import pytest

from tests.frameworks.recipes import FLASK, FLASK_GEVENT, THREADED, Recipe
from tests.frameworks.serving import Site
from tests.frameworks.visitors import Visitors, come_back, drop_and_return


@pytest.mark.parametrize("recipe", THREADED, ids=str)
async def test_a_client_misses_nothing_of_several_workers(
    recipe: Recipe, site: Site, visitors: Visitors
) -> None:
    recipe.prepare(site)
    process = await site.serve(recipe.command)
    reader, writer = await visitors.client(process), await visitors.client(process)
    await drop_and_return(reader, writer, *[process.url] * 5)
    assert await process.terminate() in {0, -signal.SIGTERM}
    assert recipe.complaints(process) == []


@pytest.mark.parametrize("recipe", THREADED, ids=str)
async def test_a_client_comes_back_to_another_process(recipe: Recipe, site: Site, visitors: Visitors) -> None:
    recipe.prepare(site)
    first, second = await site.serve(recipe.command), await site.serve(recipe.command)
    reader, writer = await visitors.client(first), await visitors.client(second)
    await drop_and_return(reader, writer, second.url, first.url, second.url)


@pytest.mark.parametrize("recipe", [FLASK, FLASK_GEVENT], ids=str)
async def test_flasks_session_comes_back(recipe: Recipe, site: Site, visitors: Visitors) -> None:
    recipe.prepare(site)
    first, second = await site.serve(recipe.command), await site.serve(recipe.command)
    client = await visitors.client(first)
    for number in range(1, 6):
        assert await client.call("publish", "a") == (number,)
        await client.drop()
        await come_back(client, (first, second)[number % 2].url)
    stranger = await visitors.client(first)
    assert await stranger.call("publish", "a") == (1,)
