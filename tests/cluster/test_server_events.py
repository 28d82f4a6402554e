"""Events for servers, the roll of servers, and acknowledged broadcasts, across servers of ours."""

import os
import signal

import pytest

from tests.cluster.conftest import OpenCluster, opened
from tests.e2e import steps
from tests.e2e.cluster import Cluster, Server, ServerError
from tests.e2e.wire import Json
from tests.waiting import async_wait_until

ANSWER = {"from": "python", "args": [1, b"two"]}
ASKED = {"$fn": True}  # the last argument of an event that asks for an acknowledgement


async def own_id(server: Server) -> str:
    """A server's id in the cluster."""
    records: list[dict[str, Json]] = (await server.run(steps.manager_method("servers")))[0]
    return str(records[0]["server"])


async def asked(server: Server) -> list[Json]:
    """The arguments of each event for servers that it got."""
    return [line["args"] for line in await server.log("ask")]


async def test_an_event_for_servers_reaches_the_others_and_not_its_own(cluster: Cluster) -> None:
    await cluster.first.run(
        steps.manager_method("server_side_emit", "ask", 1, b"two"),
        steps.manager_method("server_side_emit", "ask", 3, namespace="/chat"),
    )
    lines = await cluster.last.wait_log("ask", count=2)
    assert sorted((line["namespace"], line["args"]) for line in lines) == [("/", [1, b"two"]), ("/chat", [3])]
    assert await asked(cluster.first) == []


async def test_servers_answer(cluster: Cluster) -> None:
    answers = (await cluster.first.run(steps.manager_method("server_side_call", "ask", 1, b"two")))[0]
    assert answers == {await own_id(cluster.last): ANSWER}


async def test_answers_are_kept_when_a_server_has_none(cluster: Cluster) -> None:
    name = await own_id(cluster.last)
    cluster.expected_errors.append("the handler of server event 'ask' failed")
    await cluster.last.behave("ask", then="raise")
    with pytest.raises(ServerError) as caught:
        await cluster.first.run(steps.manager_method("server_side_call", "ask", timeout=0.3))
    assert caught.value.kind == "NoAnswerError"
    assert tuple(caught.value.details["servers"]) == (name,)
    assert caught.value.details["answers"] == {}


async def test_an_event_without_a_handler_has_no_answer(cluster: Cluster) -> None:
    with pytest.raises(ServerError, match=r"no answer within 0\.3 s"):
        await cluster.first.run(steps.manager_method("server_side_call", "unheard", timeout=0.3))


async def test_the_roll_is_called(cluster: Cluster) -> None:
    await cluster.client(cluster.last)
    records = (await cluster.first.run(steps.manager_method("servers")))[0]
    assert len(records) == 2
    assert [record["kind"] for record in records] == ["python", "python"]
    assert all(record["answered"] for record in records)
    assert [record["clients"] for record in records] == [0, 1]
    assert [record["name"].rpartition(":")[2] for record in records] == [
        str(server.host.pid) for server in cluster.servers
    ]


async def test_a_server_that_stands_still_is_known_to_be_silent(cluster: Cluster) -> None:
    await cluster.first.run(steps.manager_method("servers"))
    os.kill(cluster.last.host.pid, signal.SIGSTOP)
    try:
        records = (await cluster.first.run(steps.manager_method("servers", timeout=0.3)))[0]
    finally:
        os.kill(cluster.last.host.pid, signal.SIGCONT)
    assert [record["answered"] for record in records] == [True, False]


async def test_servers_know_of_each_other_by_heartbeats(open_cluster: OpenCluster) -> None:
    """Nobody asks, and a server that does not answer is named: it was heard of before."""
    cluster = await opened(open_cluster, heartbeat_interval=0.1, heartbeat_timeout=5.0)

    async def is_named() -> bool:
        try:
            await cluster.first.run(steps.manager_method("server_side_call", "unheard", timeout=0.05))
        except ServerError as error:
            return len(error.details["servers"]) == 1
        return False

    await async_wait_until(is_named, what="a server known by name")


async def test_clients_of_all_servers_acknowledge_a_broadcast(cluster: Cluster) -> None:
    here, there, other = [
        await cluster.client(server) for server in (cluster.first, cluster.last, cluster.last)
    ]
    for client, answer in ((here, ["a"]), (there, []), (other, ["b", "c"])):
        await client.set_ack(answer)
    answers = (await cluster.first.run(steps.manager_method("broadcast_call", "vote", (7, b"\x00"))))[0]
    assert answers["by_client"] == {here.sid: "a", there.sid: None, other.sid: ["b", "c"]}
    assert len(answers["responses"]) == 3
    assert not answers["silent"]
    assert here.payloads("vote") == there.payloads("vote") == [(7, b"\x00", ASKED)]


async def test_those_that_do_not_acknowledge_are_told_apart(cluster: Cluster) -> None:
    here, there, mute = [
        await cluster.client(server) for server in (cluster.first, cluster.last, cluster.last)
    ]
    for client, answer in ((here, ["a"]), (there, ["b"])):
        await client.set_ack(answer)
    await mute.set_ack("never")
    call = steps.manager_method("broadcast_call", "vote", timeout=2)
    answers = (await cluster.first.run(call))[0]
    assert answers["by_client"] == {here.sid: "a", there.sid: "b"}
    assert list(answers["silent"]) == [mute.sid]
    assert (answers["unknown"], list(answers["servers"])) == (0, [])


async def test_a_broadcast_that_is_acknowledged_follows_what_was_emitted_before(cluster: Cluster) -> None:
    there = await cluster.client(cluster.last)
    await there.set_ack("echo")
    todo = [
        step
        for number in range(20)
        for step in (
            steps.emit("n", number),
            steps.manager_method("broadcast_call", "n", f"call {number}", timeout=5),
        )
    ]
    await cluster.first.run(*todo)
    expected = [item for number in range(20) for item in (number, (f"call {number}", ASKED))]
    assert there.payloads("n") == expected


async def test_an_acknowledged_broadcast_can_be_local_and_addressed(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    await here.set_ack("echo")
    call = steps.manager_method("broadcast_call", "vote", 1, local=True)
    assert (await cluster.first.run(call))[0]["by_client"] == {here.sid: 1}
    await there.set_ack("echo")
    call = steps.manager_method("broadcast_call", "vote", 2, except_=here.sid, timeout=5)
    assert (await cluster.first.run(call))[0]["by_client"] == {there.sid: 2}
    assert here.payloads("vote") == [(1, ASKED)]
