"""What else uses a store, before a failover and after it: servers that ask others, and the command line."""

import asyncio
from typing import Any

import pytest

from recovery.errors import RecoveryError
from tests.faults.outage import until
from tests.inspect.commands import Answer, run
from tests.sentinel.conftest import World
from tests.sentinel.processes import PATIENCE

pytestmark = pytest.mark.timeout(240)


async def test_servers_and_the_command_line_find_one_another_again(world: World) -> None:
    nodes = [world.node() for _ in range(2)]
    clients = [await world.client(node) for node in nodes]
    sids = {client.sid for client in clients}
    await _see(world, sids)
    await asyncio.to_thread(world.group.await_replicated)
    old = await world.kill_primary()
    await asyncio.to_thread(world.group.await_failover, old)
    for node in nodes:
        await _until_all_listen(node, sids)
    await _see(world, sids)


async def _see(world: World, sids: set[str]) -> None:
    """Every way to look at the cluster shows these clients."""
    for node in world.nodes:
        assert {each.id for each in await node.manager.fetch_sockets()} == sids
    shown = await _command(world, "sessions", "--json")
    assert {each["sid"] for each in shown.json_lines} == sids
    servers = await _command(world, "servers", "--json", "--timeout", "10")
    assert sum(each["clients"] for each in servers.json["servers"]) == len(sids)
    assert "epoch" in (await _command(world, "stream", "--json")).out


async def _command(world: World, *words: str) -> Answer:
    answer = await asyncio.to_thread(run, *words, "--url", world.group.url)
    assert answer.status == 0, answer.err
    return answer


async def _until_all_listen(node: Any, sids: set[str]) -> None:
    """Wait until a server hears all others again."""
    asking: asyncio.Task[Any] = asyncio.create_task(_all_heard(node, sids))
    await until(asking.done, "all servers hear one another", seconds=PATIENCE)
    await asking


async def _all_heard(node: Any, sids: set[str]) -> None:
    while True:
        try:
            if {each.id for each in await node.manager.fetch_sockets(timeout=2.0)} == sids:
                return
        except RecoveryError:
            pass  # whoever does not listen yet does not answer
        await asyncio.sleep(0.05)
