"""One cluster of our servers and the real ones of Node, in both directions, on either client for Redis."""

import os
import signal

import pytest

from recovery.aio.roll_call import call_the_roll
from recovery.channels import HasChannels
from recovery.stores import open_async_store
from tests.cluster.mixed import Mixed
from tests.e2e import steps
from tests.e2e.conftest import Topology
from tests.e2e.js_clients import Disconnected
from tests.waiting import async_wait_until


@pytest.fixture
def topology(kind: str, request: pytest.FixtureRequest) -> Topology:
    """Our servers: asyncio with Node's usual client, threads with the others."""
    return Topology("valkey", 2, "asyncio" if kind == "redis" else "threading")


async def test_broadcasts_reach_clients_of_both(mixed: Mixed) -> None:
    await mixed.server.emit("n", 1)
    await mixed.ours.events(1, "n")
    await mixed.theirs.events(1, "n")
    await mixed.peer.emit("n", 2)
    assert await mixed.ours.events(2, "n") == [1, 2]
    assert await mixed.theirs.events(2, "n") == [1, 2]


async def test_rooms_are_joined_and_left_in_both_directions(mixed: Mixed) -> None:
    await mixed.manage("sockets_join", "a", room=mixed.theirs.sid)
    await mixed.peer.ask("join", to=mixed.ours.sid, rooms=["a", "b"])

    async def until_in_a(count: int) -> None:
        """Node's servers do not wait until Redis has a change."""

        async def so_many() -> bool:
            return len(await mixed.manage("fetch_sockets", room="a")) == count

        await async_wait_until(so_many, what=f"{count} clients in the room")

    await until_in_a(2)
    await mixed.server.emit("n", 1, room="a")
    assert await mixed.ours.events(1, "n") == await mixed.theirs.events(1, "n") == [1]
    await mixed.manage("sockets_leave", ["a", "b"], room=mixed.theirs.sid)
    await mixed.peer.ask("leave", to=mixed.ours.sid, rooms=["a"])
    await until_in_a(0)
    await mixed.server.emit("n", 2, room="a")
    await mixed.server.emit("n", 3, room="b")
    await mixed.server.emit("n", 4)
    assert await mixed.ours.events(3, "n") == [1, 3, 4]
    assert await mixed.theirs.events(2, "n") == [1, 4]


async def test_both_find_the_clients_of_both(mixed: Mixed) -> None:
    await mixed.cluster.first.save_session(mixed.ours.sid, {"user": "ann", "key": b"\x00"})
    await mixed.manage("sockets_join", "a")
    for found in (await mixed.manage("fetch_sockets"), await mixed.peer.ask("fetchSockets")):
        by_id = {each["id"]: each for each in found}
        assert set(by_id) == {mixed.ours.sid, mixed.theirs.sid}
        assert by_id[mixed.ours.sid]["data"] == {"user": "ann", "key": b"\x00"}
        assert by_id[mixed.theirs.sid]["data"] == {"host": "node"}
        assert set(by_id[mixed.ours.sid]["rooms"]) == {mixed.ours.sid, "a"}
        for each in by_id.values():
            assert each["handshake"]["query"]["transport"] == "websocket"
            assert each["handshake"]["headers"]["host"].startswith("127.0.0.1:")
    assert [each["id"] for each in await mixed.peer.ask("fetchSockets", to=[mixed.ours.sid])] == [
        mixed.ours.sid
    ]
    assert [each["id"] for each in await mixed.manage("fetch_sockets", except_=mixed.ours.sid)] == [
        mixed.theirs.sid
    ]


async def test_both_disconnect_clients_of_the_other(mixed: Mixed) -> None:
    await mixed.manage("disconnect_sockets", room=mixed.theirs.sid)
    await mixed.peer.ask("disconnectSockets", to=[mixed.ours.sid])
    await mixed.cluster.first.wait_log("disconnect", mixed.ours.sid)
    await mixed.theirs.next(Disconnected)
    assert await mixed.manage("fetch_sockets") == []


async def test_servers_of_both_hear_each_other(mixed: Mixed) -> None:
    await mixed.manage("server_side_emit", "ask", 1, b"two")
    await mixed.peer.ask("serverSideEmit", event="ask", args=[{"$bin": "AA=="}, "x"])
    for server in mixed.cluster.servers:
        await server.wait_log("ask", count=2 if server is mixed.cluster.first else 1)
    answers = await mixed.manage("server_side_call", "ask", 3)
    assert sorted(answer["from"] for answer in answers.values()) == ["node", "python"]
    assert mixed.peer.asked() == [[1, b"two"], [3]]
    answers = await mixed.peer.ask("serverSideCall", event="ask", args=[4])
    assert answers == [{"from": "python", "args": [4]}] * 2


async def test_the_roll_has_servers_of_both(mixed: Mixed) -> None:
    records = await mixed.manage("servers")
    assert sorted(record["kind"] for record in records) == ["node", "python", "python"]
    assert all(record["answered"] for record in records)


async def test_the_roll_can_be_called_from_outside(mixed: Mixed, store_url: str, kind: str) -> None:
    store = open_async_store(store_url, stream_name=mixed.cluster.app, session_key_prefix="sio:session:")
    assert isinstance(store, HasChannels)
    sharded = kind == "sharded"
    roll = await call_the_roll(store, channel_prefix=mixed.cluster.app, use_sharded_pubsub=sharded)
    assert sorted(server.kind for server in roll.servers) == ["node", "python", "python"]
    assert sorted(server.clients for server in roll.servers if server.clients is not None) == [0, 1]
    assert roll.silent == 0
    os.kill(mixed.server.host.pid, signal.SIGSTOP)
    try:
        roll = await call_the_roll(
            store, channel_prefix=mixed.cluster.app, use_sharded_pubsub=sharded, patience=2.0
        )
    finally:
        os.kill(mixed.server.host.pid, signal.SIGCONT)
    assert (len(roll.servers), roll.silent) == (2, 1)
    await store.close()


async def test_clients_of_both_acknowledge_a_broadcast_of_either(mixed: Mixed) -> None:
    await mixed.ours.set_ack(["ours"])
    await mixed.theirs.set_ack(["theirs"])
    answers = await mixed.manage("broadcast_call", "vote", 1, timeout=5)
    assert sorted(answers["responses"]) == ["ours", "theirs"]
    assert answers["by_client"] == {mixed.ours.sid: "ours"}
    answers = await mixed.peer.ask("call", event="vote", args=[2])
    assert "error" not in answers
    assert sorted(answers["responses"]) == ["ours", "theirs"]


async def test_clients_of_either_that_do_not_acknowledge_are_counted(mixed: Mixed) -> None:
    await mixed.ours.set_ack("never")
    await mixed.theirs.set_ack("never")
    answers = await mixed.manage("broadcast_call", "vote", 1, timeout=2)
    assert (answers["responses"], list(answers["silent"]), answers["unknown"]) == ([], [mixed.ours.sid], 1)
    answers = await mixed.peer.ask("call", event="vote", args=[2], timeout=500)
    assert (answers["responses"], answers["error"]) == ([], "operation has timed out")


async def test_a_client_of_nodes_acknowledges_a_call_and_a_callback(mixed: Mixed) -> None:
    await mixed.theirs.set_ack(["theirs"])
    assert await mixed.server.call("vote", 1, to=mixed.theirs.sid) == "theirs"
    await mixed.server.emit("vote", 2, to=mixed.theirs.sid, callback=steps.collect("votes"))
    assert await mixed.server.wait_collected("votes") == [["theirs"]]


async def test_a_callback_is_called_in_a_namespace_that_only_node_has_clients_of(mixed: Mixed) -> None:
    theirs = await mixed.cluster.open_client(url=mixed.peer.url, namespace="/quiet")
    await theirs.wait_connected()
    await theirs.set_ack(["theirs"])
    callback = steps.collect("quiet votes")
    await mixed.server.emit("vote", 1, to=theirs.sid, namespace="/quiet", callback=callback)
    assert await mixed.server.wait_collected("quiet votes") == [["theirs"]]


async def test_a_server_of_nodes_that_left_is_not_waited_for(mixed: Mixed) -> None:
    await mixed.peer.node.stop()
    await mixed.theirs.next(Disconnected)
    answers = await mixed.manage("server_side_call", "ask", 1, timeout=5)
    assert [answer["from"] for answer in answers.values()] == ["python"]
