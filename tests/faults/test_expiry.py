"""The handler ``session_expired`` with real processes: on one server, also when another was killed."""

from typing import Any

from tests.e2e.js_clients import Connected
from tests.faults.conftest import OpenNodes
from tests.faults.nodes import Nodes
from tests.waiting import async_wait_until

_SECONDS = 30.0  # what it usually takes is a fifth of it
_SHORT: dict[str, Any] = {"max_disconnection_duration": 1.5, "publish_timeout": 1.0, "notes_expiry": True}


async def test_the_session_of_a_killed_server_expires_on_another(open_nodes: OpenNodes) -> None:
    cluster = await open_nodes(2, **_SHORT)
    await cluster.last.emit("awake")
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "lobby")
    await cluster.first.save_session(client.sid, {"user": "ann"})
    sid, mark = client.sid, len(client.history)
    await cluster.kill(cluster.first)
    [call] = await cluster.last.wait_log("session-expired", sid, seconds=_SECONDS)
    assert (call["data"], call["offline_for"]) == ({"user": "ann"}, None)
    assert set(call["rooms"]) == {sid, "lobby"}
    await client.start_reconnect(cluster.last.url)
    connected = await client.next(Connected, after=mark, seconds=_SECONDS)
    assert not connected.recovered
    assert len(await cluster.last.log("session-expired")) == 1


async def test_whoever_does_not_return_expires_on_one_server(open_nodes: OpenNodes) -> None:
    cluster = await open_nodes(2, **_SHORT)
    staying = [await cluster.client(server) for server in cluster.servers]
    leaving = [await cluster.client(server) for server in cluster.servers for _ in range(5)]
    for client in leaving:
        await client.drop()
    sids = sorted(client.sid for client in leaving)

    async def all_expired() -> bool:
        return len(await _expired(cluster)) >= len(sids)

    await async_wait_until(all_expired, timeout=_SECONDS, what="all have expired")
    await leaving[0].reconnect()
    await cluster.settle(leaving[0], *staying)
    assert await _expired(cluster) == sids
    assert all(len(client.all(Connected)) == 1 for client in staying)


async def _expired(cluster: Nodes) -> list[str]:
    logs = [await server.log("session-expired") for server in cluster.servers]
    return sorted(line["sid"] for log in logs for line in log)
