"""What web servers do when they are stopped loses nothing: no packet, no session, and no word at exit."""

import signal
from dataclasses import replace

import pytest

from tests.e2e.js_clients import Connected
from tests.frameworks.recipes import (
    AIOHTTP,
    FASTAPI,
    FLASK,
    FLASK_GEVENT,
    GUNICORN,
    ONE_PROCESS,
    THREADED,
    TORNADO,
    Recipe,
)
from tests.frameworks.serving import Site
from tests.frameworks.traffic import assert_nothing_lost, flows, traffic
from tests.frameworks.visitors import Visitors, come_back, publish


@pytest.mark.parametrize("recipe", [FASTAPI, GUNICORN, *ONE_PROCESS, FLASK, FLASK_GEVENT], ids=str)
async def test_a_rolling_restart_loses_nothing(
    recipe: Recipe, site: Site, visitors: Visitors, valkey_url: str
) -> None:
    recipe.prepare(site)
    processes = [await site.serve(recipe.command) for _ in range(2)]
    clients = await visitors.travellers(processes, 5)
    async with traffic(valkey_url, clients[0]) as published:
        for process in processes:
            await flows(clients)
            assert await process.terminate() in {0, -signal.SIGTERM}
            assert recipe.complaints(process) == []
            await flows(clients)
            await site.serve(recipe.command, port=process.port)
    await assert_nothing_lost(clients, published)
    assert all(len(client.all(Connected)) > 1 for client in clients)


@pytest.mark.parametrize("recipe", [FASTAPI, GUNICORN, *THREADED], ids=str)
async def test_workers_that_are_replaced_lose_nothing(
    recipe: Recipe, site: Site, visitors: Visitors, valkey_url: str
) -> None:
    recipe.prepare(site)
    # A busy machine takes longer to start a worker than the 5 s after which uvicorn keeps the old one.
    patience = " --timeout-worker-healthcheck 30" if recipe.command.startswith("uvicorn ") else ""
    process = await site.serve(recipe.command + patience)
    clients = await visitors.travellers([process], 5)
    async with traffic(valkey_url, clients[0]) as published:
        await flows(clients)
        marks = [len(client.history) for client in clients]
        process.signal(signal.SIGHUP)
        for client, mark in zip(clients, marks, strict=True):
            await client.next(Connected, after=mark, seconds=30)
        await flows(clients)
    await assert_nothing_lost(clients, published)
    assert await process.terminate() in {0, -signal.SIGTERM}
    assert recipe.complaints(process) == []


_CLOSE = "    await manager.close()\n"
CARELESS = [
    replace(
        AIOHTTP,  # it waits for its connections then, for a minute by default
        changes=(
            ("aiohttp_app.py", "app.on_shutdown.append(close_manager)\n", ""),
            ("aiohttp_app.py", "port=8000", "port=8000, shutdown_timeout=1"),
        ),
    ),
    replace(TORNADO, changes=(("tornado_app.py", _CLOSE, ""),)),
    replace(FASTAPI, changes=(("realtime.py", _CLOSE, ""),)),
    replace(
        FLASK,  # gunicorn waits, too, for half a minute by default
        changes=(("gunicorn.conf.py", "def post_worker_init", "graceful_timeout = 2\n\n\ndef not_called"),),
    ),
]


@pytest.mark.parametrize("recipe", CARELESS, ids=str)
async def test_a_server_that_does_not_close_the_manager_ends_all_the_same_and_loses_nothing(
    recipe: Recipe, site: Site, visitors: Visitors, valkey_url: str
) -> None:
    """An event loop ends under whatever still runs, and cancels it; a worker of gunicorn is killed."""
    recipe.prepare(site)
    processes = [await site.serve(recipe.command) for _ in range(2)]
    clients = await visitors.travellers(processes, 5)
    async with traffic(valkey_url, clients[0]) as published:
        for process in processes:
            await flows(clients)
            assert await process.terminate() in {0, -signal.SIGTERM}
            await flows(clients)
            await site.serve(recipe.command, port=process.port)
    await assert_nothing_lost(clients, published)


async def test_a_client_that_polls_does_not_hold_up_uvicorns_end(site: Site, visitors: Visitors) -> None:
    FASTAPI.prepare(site)
    command = FASTAPI.command.replace(
        "--workers 2 --timeout-graceful-shutdown 5", "--timeout-graceful-shutdown 1"
    )
    first, second = await site.serve(command), await site.serve(command)
    reader = await visitors.client(first, transports=["polling"])
    writer = await visitors.client(second)
    assert await first.terminate() in {0, -signal.SIGTERM}
    await publish(writer, "one")
    await come_back(reader, second.url)
    assert await reader.events(1, "headline") == ["one"]
