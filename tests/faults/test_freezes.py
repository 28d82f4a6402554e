"""Servers that stop in the middle of everything (SIGSTOP), are given up, and wake up later (SIGCONT).

What wakes up believes that it still has its clients. It must not overwrite their sessions, deliver to them,
or act for them.
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Server
from tests.e2e.js_clients import JsClient
from tests.e2e.steps import Step
from tests.e2e.wire import Json
from tests.faults.ledger import assert_whole, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.waiting import async_wait_until


async def test_clients_of_a_frozen_server_recover_on_the_other_and_again_when_it_is_back(
    cluster: Nodes, store_url: str
) -> None:
    clients = await cluster.travellers(10)
    for client in clients[::2]:
        await cluster.first.enter_room(client.sid, "red")
        await cluster.first.save_session(client.sid, {"version": 1})
    await cluster.first.flood("frozen", interval=0.005)
    await cluster.last.flood("awake", interval=0.005)
    await until_more(clients)
    marks = [len(client.history) for client in clients[::2]]
    await cluster.node(cluster.first).freeze()
    await cluster.all_recovered(clients[::2], marks)  # they notice by themselves that no PING comes
    for client in clients[::2]:
        await cluster.last.leave_room(client.sid, "red")
        await cluster.last.enter_room(client.sid, "blue")
        await cluster.last.save_session(client.sid, {"version": 2})
    await until_more(clients)
    cluster.node(cluster.first).thaw()
    for client in clients[::2]:
        await cluster.first.wait_log("disconnect-done", client.sid, seconds=RECOVERY_SECONDS)
    await until_more(clients, 100)  # checkpoints of both servers, too
    await cluster.wait_gone(cluster.first, clients[::2])
    for server in (cluster.first, cluster.last):
        for client in clients[::2]:
            await client.follow([])
            await client.bounce(server.url, "abrupt")
            assert client.last.recovered
            assert await server.rooms(client.sid) == {"blue"}
            assert await server.get_session(client.sid) == {"version": 2}
    await cluster.first.stop_flood("frozen")
    await cluster.last.stop_flood("awake")
    await assert_whole(cluster, store_url, clients)


@pytest.mark.parametrize("moment", ["at once", "when it knows better"])
async def test_a_handler_that_wakes_up_does_not_act_as_the_owner(
    cluster: Nodes, store_url: str, moment: str
) -> None:
    """Its change is refused, or goes to whoever has the client now; it is never written over the session."""
    client = await cluster.client(keep=["n"])
    await cluster.first.save_session(client.sid, {"version": 1})
    await _act_later(cluster.first, "enter", steps.enter_room(steps.SID, "late"))
    await _act_later(cluster.first, "save", steps.save_session(steps.SID, {"version": "late"}))
    cluster.expected_errors.append("has moved to another server")
    for act in ("enter", "save"):
        await client.emit(act)
    await cluster.first.wait_log("gate", client.sid, count=2)
    await cluster.last.flood("f", interval=0.002)
    await until_more([client])
    await cluster.node(cluster.first).freeze()
    await client.drop("silent")
    await cluster.come_back(client, cluster.last)
    await cluster.last.enter_room(client.sid, "blue")
    await cluster.last.save_session(client.sid, {"version": 2})
    cluster.node(cluster.first).thaw()
    if moment != "at once":
        await cluster.first.wait_log("disconnect-done", client.sid, seconds=RECOVERY_SECONDS)
    await cluster.first.open_gate("asleep")
    await cluster.first.wait_log("disconnect-done", client.sid, seconds=RECOVERY_SECONDS)
    await until_more([client])
    done = {line["namespace"] for line in await cluster.first.log("gate", client.sid)}
    if moment != "at once":
        assert {"enter done", "save done"} <= done, "the stream takes it to the client"
    await _comes_to({"blue", "late"} if "enter done" in done else {"blue"}, cluster.last.rooms, client)
    await _comes_to({"version": "late" if "save done" in done else 2}, cluster.last.get_session, client)
    before = await cluster.last.rooms(client.sid), await cluster.last.get_session(client.sid)
    await client.drop()
    await cluster.come_back(client, cluster.first)
    assert (await cluster.first.rooms(client.sid), await cluster.first.get_session(client.sid)) == before
    await cluster.last.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


async def _act_later(server: Server, event: str, change: Step) -> None:
    """Let a handler wait until a gate is opened, and note whether its change went through."""
    await server.behave(event, steps.gate("asleep"), change, steps.gate(f"{event} done"))
    await server.open_gate(f"{event} done")


async def _comes_to(expected: Json, ask: Callable[[str], Awaitable[Json]], client: JsClient) -> None:
    """Wait until the owner's answer is as expected: what goes through the stream takes its time."""
    found: list[Json] = []

    async def so() -> bool:
        found.append(await ask(client.sid))
        return bool(found[-1] == expected)

    try:
        await async_wait_until(so, timeout=3.0)
    except AssertionError:
        raise AssertionError(f"expected {expected}, found {found[-1]}") from None
