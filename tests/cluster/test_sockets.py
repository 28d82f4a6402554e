"""Rooms, disconnects and lists of clients, across servers of ours."""

import os
import signal
from typing import Any

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster, Server, ServerError
from tests.e2e.wire import Json


async def fetch(server: Server, **options: Any) -> list[dict[str, Json]]:
    """The clients that a server finds."""
    found: list[dict[str, Json]] = (await server.run(steps.manager_method("fetch_sockets", **options)))[0]
    return found


async def test_clients_of_all_servers_are_found(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    for server in cluster.servers:
        found = await fetch(server)
        assert {each["id"] for each in found} == {here.sid, there.sid}
        assert all(set(each["rooms"]) == {each["id"]} for each in found)
        assert all(each["handshake"]["query"]["EIO"] == "4" for each in found)


async def test_a_room_that_was_just_entered_is_in_the_answer_with_rooms_and_data(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    await cluster.last.save_session(there.sid, {"user": "ann"})
    await cluster.first.run(steps.manager_method("sockets_join", ["news", "sport"]))
    found = await fetch(cluster.first, room="news", except_=here.sid)
    assert [each["id"] for each in found] == [there.sid]
    assert set(found[0]["rooms"]) == {there.sid, "news", "sport"}
    assert found[0]["data"] == {"user": "ann"}


async def test_rooms_are_joined_and_left_by_those_that_are_addressed(cluster: Cluster) -> None:
    one, two, three = [await cluster.client(server) for server in (cluster.first, cluster.last, cluster.last)]
    join, leave = steps.manager_method, steps.manager_method
    await cluster.first.run(
        join("sockets_join", "a", room=[one.sid, two.sid]),
        join("sockets_join", "b", except_="a"),
        leave("sockets_leave", "a", room=two.sid),
    )
    await cluster.first.emit("to-a", 1, room="a")
    await cluster.first.emit("to-b", 2, room="b")
    await cluster.settle(one, two, three)
    assert [client.payloads() for client in (one, two, three)] == [[1], [], [2]]


async def test_a_change_that_is_local_leaves_clients_of_other_servers_alone(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    await cluster.first.run(steps.manager_method("sockets_join", "a", local=True))
    assert [each["id"] for each in await fetch(cluster.last, room="a")] == [here.sid]
    await cluster.first.run(steps.manager_method("sockets_leave", "a", local=True))
    assert await fetch(cluster.last, room="a") == []
    assert [each["id"] for each in await fetch(cluster.last, local=True)] == [there.sid]


async def test_clients_that_are_away_join_too(cluster: Cluster) -> None:
    client = await cluster.client(cluster.first)
    await client.drop()
    await cluster.first.wait_log("disconnect-done", client.sid)
    await cluster.first.run(steps.manager_method("sockets_join", "news"))
    await cluster.last.emit("headline", "one", room="news")
    await cluster.come_back(client)
    assert await client.events(1, "headline") == ["one"]


async def test_clients_of_all_servers_are_disconnected_for_good(cluster: Cluster) -> None:
    here, there, stays = [
        await cluster.client(server) for server in (cluster.first, cluster.last, cluster.last)
    ]
    await cluster.first.run(steps.manager_method("disconnect_sockets", except_=stays.sid))
    for server, client in ((cluster.first, here), (cluster.last, there)):
        await server.wait_log("disconnect", client.sid)
    assert [each["id"] for each in await fetch(cluster.first)] == [stays.sid]


async def test_closing_the_transport_takes_the_other_namespaces_along(cluster: Cluster) -> None:
    client = await cluster.client(cluster.last)
    other = await cluster.client(cluster.last, "/chat", share=client)
    await cluster.first.run(steps.manager_method("disconnect_sockets", room=client.sid, close=True))
    await cluster.last.wait_log("disconnect", other.sid)


async def test_local_clients_are_disconnected_by_themselves(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    await cluster.first.run(steps.manager_method("disconnect_sockets", local=True))
    await cluster.first.wait_log("disconnect", here.sid)
    assert [each["id"] for each in await fetch(cluster.first)] == [there.sid]


async def test_a_server_that_does_not_answer_is_named(cluster: Cluster) -> None:
    await cluster.client(cluster.first)
    silent = (await cluster.last.run(steps.manager_method("servers")))[0][0]["server"]
    await cluster.first.run(steps.manager_method("servers"))
    os.kill(cluster.last.host.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ServerError) as caught:
            await fetch(cluster.first, timeout=0.5)
    finally:
        os.kill(cluster.last.host.pid, signal.SIGCONT)
    assert caught.value.kind == "NoAnswerError"
    assert "TimeoutError" in caught.value.bases
    assert tuple(caught.value.details["servers"]) == (silent,)
    assert silent in caught.value.text
    assert len(caught.value.details["answers"]) == 1, "what the others said is there"
