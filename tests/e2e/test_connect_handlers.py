"""Recovery and the application's connect handler: it always runs, it knows, and nothing leaves before it."""

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import OpenCluster
from tests.e2e.js_clients import Connected, Disconnected, Drop, JsClient, Received, Refused
from tests.waiting import async_wait_until

pytestmark = pytest.mark.colours

REFUSALS = {
    "false": Refused("Connection rejected by server", None),
    "refuse": Refused("go away", {"code": 403}),
    "refuse-builtin": Refused("Connection refused by server", None),
}


@pytest.mark.core
async def test_a_handler_knows_whether_its_client_was_recovered(cluster: Cluster) -> None:
    client = await cluster.client()
    (fresh,) = await cluster.first.log("connect", client.sid)
    assert fresh["recovery"] == fresh["environ_recovery"]
    assert (fresh["recovery"]["recovered"], fresh["recovery"]["reason"]) == (False, None)
    await client.drop()
    await cluster.first.wait_log("disconnect-done")
    await cluster.last.emit_numbers("e", [1, 2, 3])
    await cluster.come_back(client)
    again = (await cluster.last.log("connect", client.sid))[-1]
    assert again["recovery"] == again["environ_recovery"]
    assert (again["recovery"]["recovered"], again["recovery"]["reason"]) == (True, None)
    assert again["recovery"]["replayed"] == 3
    assert again["recovery"]["offline_for"] > 0
    assert await cluster.last.recovery(client.sid) == again["recovery"]


async def test_a_handler_of_a_recovered_client_finds_rooms_and_data(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.save_session(client.sid, {"user": "ann"})
    await client.drop()
    await cluster.come_back(client)
    seen = (await cluster.last.log("connect", client.sid))[-1]
    assert set(seen["rooms"]) == {client.sid, "red"}
    assert seen["session"] == {"user": "ann"}


async def test_the_recovery_record_of_each_namespace_is_its_own(cluster: Cluster) -> None:
    main = await cluster.client()
    await main.drop()
    mark = len(main.history)
    await main.start_reconnect(cluster.last.url)
    await main.wait_connected(after=mark)
    chat = await cluster.client(namespace="/chat", share=main)
    assert (await cluster.last.recovery(main.sid))["recovered"] is True
    assert (await cluster.last.recovery(chat.sid, "/chat"))["recovered"] is False


@pytest.mark.parametrize("auth", [None, {"token": "t"}])
async def test_pid_and_offset_are_not_in_the_auth_that_a_handler_gets(
    cluster: Cluster, auth: dict[str, str] | None
) -> None:
    client = await cluster.client(auth=auth)
    await cluster.first.emit("e", 1)
    await client.events(1)
    await client.drop()
    await cluster.come_back(client)
    assert (await cluster.first.log("connect"))[0]["auth"] == auth
    assert (await cluster.last.log("connect"))[-1]["auth"] == auth


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_handler_with_two_arguments_serves_recovered_clients(
    open_cluster: OpenCluster, always_connect: bool
) -> None:
    cluster = await open_cluster(connect_takes_auth=False, server={"always_connect": always_connect})
    client = await cluster.client()
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.come_back(client)
    assert await client.events(1) == [1]


@pytest.mark.core
@pytest.mark.parametrize("way", REFUSALS)
async def test_a_refused_client_gets_nothing_and_recovers_with_a_better_token(
    cluster: Cluster, way: str
) -> None:
    client = await cluster.client(auth={"token": "old"})
    sid = client.sid
    await client.drop()
    await cluster.last.emit_numbers("e", [1, 2])
    await cluster.last.behave("connect", then=way)
    assert await client.try_reconnect(cluster.last.url) == REFUSALS[way]
    assert client.received() == []
    await cluster.last.behave("connect")
    await client.set_auth({"token": "new"})
    mark = len(client.history)
    await client.start_reconnect()
    after = await client.wait_connected(after=mark)
    assert (after.recovered, after.sid) == (True, sid)
    assert await client.events(2) == [1, 2]


@pytest.mark.parametrize("way", REFUSALS)
async def test_a_new_client_that_is_refused_leaves_nothing_behind(cluster: Cluster, way: str) -> None:
    await cluster.first.behave("connect", steps.enter_room(steps.SID, "red"), then=way)
    client = await cluster.open_client()
    assert await client.wait_answer() == REFUSALS[way]

    async def nothing_is_left() -> bool:
        held = await cluster.first.residue()
        return (held["rooms"], held["pending_connect"]) == ({}, {})

    await async_wait_until(nothing_is_left, what="nothing left, once the server has said its word")


async def test_a_refusal_with_always_connect_disconnects_and_the_session_survives(
    open_cluster: OpenCluster,
) -> None:
    cluster = await open_cluster(server={"always_connect": True})
    client = await cluster.client()
    sid = client.sid
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.last.behave("connect", then="false")
    mark = len(client.history)
    await client.start_reconnect(cluster.last.url)
    await client.next(Disconnected, after=mark)
    assert client.received() == []
    await cluster.last.behave("connect")
    assert (await cluster.come_back(client)).sid == sid
    assert await client.events(1) == [1]


@pytest.mark.parametrize("way", ["raise", "type-error"])
async def test_a_handler_that_raises_counts_as_a_refusal_and_the_session_survives(
    cluster: Cluster, way: str
) -> None:
    cluster.expected_errors.append("as the test wanted")
    client = await cluster.client()
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.last.behave("connect", steps.enter_room(steps.SID, "red"), then=way)
    assert isinstance(await client.try_reconnect(cluster.last.url), Refused)
    await cluster.wait_empty()
    assert client.received() == []
    await cluster.last.behave("connect")
    await cluster.come_back(client)
    assert await client.events(1) == [1]


@pytest.mark.core
async def test_missed_packets_leave_only_after_the_handler_accepted(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.last.emit_numbers("e", [1, 2])
    await cluster.last.behave("connect", steps.gate("door"))
    mark = len(client.history)
    await client.start_reconnect(cluster.last.url)
    await cluster.last.wait_log("gate")
    await cluster.first.emit_numbers("e", [3])
    witness = await cluster.client(cluster.first, namespace="/chat")
    await cluster.settle(witness)
    assert client.history[mark:] == []
    await cluster.last.open_gate("door")
    await client.events(3)
    assert isinstance(client.history[mark], Connected)
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 3]


async def test_packets_emitted_while_a_handler_takes_its_time_arrive_once_in_order(
    cluster: Cluster,
) -> None:
    client = await cluster.client(keep=["n"])
    await client.drop()
    await cluster.last.behave("connect", steps.gate("door"))
    await cluster.first.flood("before")
    await client.start_reconnect(cluster.last.url)
    await cluster.last.wait_log("gate")
    before = await cluster.first.stop_flood("before")
    await cluster.last.flood("after")
    mark = len(client.history)
    await cluster.last.open_gate("door")
    await client.wait_connected(after=mark)
    after = await cluster.last.stop_flood("after")
    await cluster.settle(client)
    expected = [("before", n) for n in range(1, before + 1)] + [("after", n) for n in range(1, after + 1)]
    assert [(tag, number) for tag, number, _ in await client.kept()] == expected


async def test_a_new_client_in_a_slow_handler_gets_what_was_emitted_meanwhile(cluster: Cluster) -> None:
    await cluster.first.behave("connect", steps.enter_room(steps.SID, "red"), steps.gate("door"))
    client = await cluster.open_client()
    await cluster.first.wait_log("gate")
    await cluster.last.emit("e", 1, to="red")
    await cluster.last.emit("e", 2)
    assert client.history == []
    await cluster.first.open_gate("door")
    await client.wait_connected()
    await cluster.settle(client)
    assert client.payloads() == [1, 2]


@pytest.mark.core
@pytest.mark.parametrize("always_connect", [False, True])
async def test_emits_from_within_the_handler_arrive_after_the_connect_in_order(
    open_cluster: OpenCluster, always_connect: bool
) -> None:
    cluster = await open_cluster(server={"always_connect": always_connect})
    for server in cluster.servers:
        await server.behave(
            "connect",
            steps.emit("e", "to the sid", to=steps.SID),
            steps.enter_room(steps.SID, "red"),
            steps.emit("e", "to the room", to="red"),
            steps.emit("e", "to all"),
            steps.send("sent", to=steps.SID),
        )
    client = await cluster.client()
    own = ["to the sid", "to the room", "to all", "sent"]
    assert await client.events(4) == own
    assert isinstance(client.history[0], Connected)
    assert isinstance(client.history[1], Received)
    await client.drop()
    await cluster.first.emit("e", "missed")
    await cluster.come_back(client)
    await client.events(9)
    await cluster.settle(client)
    assert client.payloads() == [*own, "missed", *own]


@pytest.mark.core
@pytest.mark.parametrize("how", ["close", "abrupt"])
@pytest.mark.parametrize("recovering", [False, True])
async def test_a_transport_that_dies_within_the_handler_leaks_nothing(
    cluster: Cluster, how: Drop, recovering: bool
) -> None:
    absent = await _away(cluster)
    await cluster.last.behave("connect", steps.enter_room(steps.SID, "red"), steps.gate("door"))
    client = absent if recovering else await cluster.open_client(cluster.last)
    if recovering:
        await client.start_reconnect(cluster.last.url)
    await cluster.last.wait_log("gate")
    await client.drop(how)
    await cluster.last.open_gate("door")
    await cluster.wait_empty()
    await cluster.last.behave("connect")
    if recovering:
        await cluster.come_back(client)
        assert await client.events(1) == ["missed"]


async def _away(cluster: Cluster) -> JsClient:
    client = await cluster.client()
    await client.drop()
    await cluster.first.emit("e", "missed")
    return client
