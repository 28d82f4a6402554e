"""Processes without a server emit to the clients of all servers, as their page has it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapter import AsyncRecoveryManager
from recovery import ConfigurationError
from tests.faults.redis_process import RedisProcess
from tests.frameworks.recipes import ANNOUNCE, ANNOUNCE_SYNC, CELERY, FLASK, TORNADO, Recipe
from tests.frameworks.serving import Site
from tests.frameworks.visitors import SECONDS, Visitors, come_back


@pytest.mark.parametrize("script", [ANNOUNCE, ANNOUNCE_SYNC], ids=lambda recipe: recipe.files[0])
async def test_a_script_reaches_clients_of_all_servers_and_those_who_are_away(
    script: Recipe, site: Site, visitors: Visitors
) -> None:
    for recipe in (FLASK, TORNADO, script):
        recipe.prepare(site)
    first, second = await site.serve(FLASK.command), await site.serve(TORNADO.command)
    here, there, away = [await visitors.client(place) for place in (first, second, first)]
    await away.drop()
    site.run(script.command)
    await come_back(away, second.url)
    for client in (here, there, away):
        assert await client.events(1, seconds=SECONDS) == ["read all about it"]


async def test_a_task_of_celery_emits(elsewhere: Path, tmp_path: Path, visitors: Visitors) -> None:
    with (
        RedisProcess("valkey", tmp_path / "store") as store,
        closing(Site(tmp_path, store.url, elsewhere=lambda: elsewhere)) as site,
    ):
        for recipe in (CELERY, TORNADO):
            recipe.prepare(site)
        client = await visitors.client(await site.serve(TORNADO.command))
        worker = await site.serve(CELERY.command, serves=False)
        for number in range(5):
            site.run(f"python -c \"import tasks; tasks.announce.delay('task {number}')\"")
        assert sorted(await client.events(5, seconds=60)) == [f"task {number}" for number in range(5)]
        assert await worker.terminate() == 0
        assert CELERY.complaints(worker) == []


_FORKING = """
import os, sys
from adapter import RecoveryManager

manager = RecoveryManager("redis://localhost:6379", write_only=True)
if sys.argv[1:] == ["used"]:
    manager.emit("headline", "parent", room="news")
for text in ("one", "two"):
    child = os.fork()
    if child == 0:
        manager.emit("headline", text, room="news")
        manager.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
manager.emit("headline", "parent", room="news")
manager.close()
"""


@pytest.mark.parametrize("used", [False, True])
async def test_children_of_a_process_emit_with_its_manager(
    used: bool, site: Site, visitors: Visitors
) -> None:
    TORNADO.prepare(site)
    client = await visitors.client(await site.serve(TORNADO.command))
    site.write("forking.py", _FORKING)
    site.run("python forking.py used" if used else "python forking.py")
    expected = ["one", "two", "parent"]
    await client.until_payload("headline", "two", seconds=SECONDS)
    assert await client.events(len(expected) + used) == ["parent"] * used + expected


async def test_it_changes_the_rooms_of_a_client_that_is_connected_elsewhere(
    site: Site, visitors: Visitors, valkey_url: str
) -> None:
    TORNADO.prepare(site)
    client = await visitors.client(await site.serve(TORNADO.command))
    manager = AsyncRecoveryManager(valkey_url, write_only=True)
    await manager.enter_room(client.sid, "/", "hall")
    await manager.emit("headline", "in", room="hall")
    await manager.leave_room(client.sid, "/", "hall")
    await manager.emit("headline", "out", room="hall")
    await manager.close_room("news")
    await manager.emit("headline", "closed", room="news")
    await manager.emit("headline", "to her alone", to=client.sid)
    await client.until_payload("headline", "to her alone", seconds=SECONDS)
    assert client.payloads() == ["in", "to her alone"]
    await manager.close()


MISUSES: list[tuple[Callable[[AsyncRecoveryManager], Any], type[Exception]]] = [
    (lambda manager: manager.emit("a", to="b", callback=print), RuntimeError),
    (lambda manager: manager.set_server(None), ConfigurationError),
    (lambda manager: manager.recovery("a"), KeyError),
]


@pytest.mark.parametrize(("misuse", "error"), MISUSES)
async def test_what_it_cannot_do_is_an_error(
    misuse: Callable[[AsyncRecoveryManager], Any], error: type[Exception], valkey_url: str
) -> None:
    manager = AsyncRecoveryManager(valkey_url, write_only=True)
    with pytest.raises(error):
        await misuse(manager)
    await manager.close()


async def test_one_that_was_never_used_closes(valkey_url: str) -> None:
    await AsyncRecoveryManager(valkey_url, write_only=True).close()
