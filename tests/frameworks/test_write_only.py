"""Processes without a server emit to the clients of all servers, as their page has it."""

from collections.abc import Callable
from typing import Any

import pytest

from adapter import AsyncRecoveryManager
from recovery import ConfigurationError
from tests.frameworks.recipes import ANNOUNCE, FASTAPI, TORNADO
from tests.frameworks.serving import Site
from tests.frameworks.visitors import SECONDS, Visitors, come_back


async def test_a_script_reaches_clients_of_all_servers_and_those_who_are_away(
    site: Site, visitors: Visitors
) -> None:
    for recipe in (FASTAPI, TORNADO, ANNOUNCE):
        recipe.prepare(site)
    first, second = await site.serve(FASTAPI.command), await site.serve(TORNADO.command)
    here, there, away = [await visitors.client(place) for place in (first, second, first)]
    await away.drop()
    site.run(ANNOUNCE.command)
    await come_back(away, second.url)
    for client in (here, there, away):
        assert await client.events(1, seconds=SECONDS) == ["read all about it"]


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
