"""Recovery under ASGI frameworks with two workers, as their pages have it."""

import os
import re
import signal

import pytest

from tests.e2e.js_clients import JsClient
from tests.frameworks.recipes import ASGI, Recipe
from tests.frameworks.serving import Process, Site
from tests.frameworks.visitors import Visitors, come_back, drop_and_return, publish
from tests.waiting import wait_until


@pytest.mark.parametrize("recipe", ASGI, ids=str)
async def test_a_client_misses_nothing_of_several_workers(
    recipe: Recipe, site: Site, visitors: Visitors
) -> None:
    recipe.prepare(site)
    process = await site.serve(recipe.command)
    reader, writer = await visitors.client(process), await visitors.client(process)
    await drop_and_return(reader, writer, *[process.url] * 5)
    assert await process.terminate() in {0, -signal.SIGTERM}
    assert recipe.complaints(process) == []


@pytest.mark.parametrize("recipe", ASGI, ids=str)
async def test_a_client_comes_back_to_the_other_worker(
    recipe: Recipe, site: Site, visitors: Visitors
) -> None:
    recipe.prepare(site)
    process = await site.serve(recipe.command)
    reader = await visitors.client(process)
    home = _worker_of(process, reader)
    await reader.drop()
    os.kill(home, signal.SIGSTOP)  # it takes no connection now, so that the other one does
    try:
        writer = await visitors.client(process)
        await publish(writer, "one", "two")
        await come_back(reader)
        assert _worker_of(process, reader) != home
        await publish(writer, "three")
        assert await reader.events(3, "headline") == ["one", "two", "three"]
    finally:
        os.kill(home, signal.SIGCONT)


def _worker_of(process: Process, client: JsClient) -> int:
    """The process id of the worker that a client has connected to last, as the application printed it."""
    line = re.compile(rf"^process (\d+): {re.escape(client.sid)} is", re.MULTILINE)
    seen = wait_until(lambda: line.findall(process.output()), what=f"a line about {client.sid}")
    return int(seen[-1])
