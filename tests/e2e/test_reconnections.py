"""The ways in which a client can be away and come back."""

import asyncio

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import OpenCluster
from tests.e2e.js_clients import Drop, Upgraded
from tests.waiting import async_wait_until

pytestmark = pytest.mark.colours

WAYS: list[Drop] = ["close", "abrupt", "silent"]


@pytest.mark.core
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_that_comes_back_misses_nothing(cluster: Cluster, transport: str, how: Drop) -> None:
    client = await cluster.client(transports=[transport])
    await cluster.first.emit_numbers("e", [1, 2])
    await client.events(2)
    await client.drop(how)
    await cluster.last.emit_numbers("e", [3, 4])
    await cluster.come_back(client)
    await cluster.first.emit_numbers("e", [5])
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 3, 4, 5]


async def test_a_client_that_changes_its_transport_misses_nothing(cluster: Cluster) -> None:
    client = await cluster.client(transports=["polling", "websocket"])
    await client.next(Upgraded)
    await cluster.first.emit_numbers("e", [1])
    await client.events(1)
    await client.drop("abrupt")
    await cluster.last.emit_numbers("e", [2, 3])
    mark = len(client.history)
    await cluster.come_back(client)
    await client.next(Upgraded, after=mark)
    await cluster.last.emit_numbers("e", [4])
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 3, 4]


async def test_packets_sent_during_an_upgrade_arrive_once_in_order(cluster: Cluster) -> None:
    client = await cluster.client(transports=["polling", "websocket"], keep=["n"])
    await cluster.first.flood("f", to=client.sid)
    await client.next(Upgraded)
    count = await cluster.first.stop_flood("f")
    await cluster.settle(client)
    assert [number for _, number, _ in await client.kept()] == list(range(1, count + 1))


@pytest.mark.core
async def test_a_tenth_reconnection_without_traffic_between_still_recovers(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.emit_numbers("e", [1])
    await client.events(1)
    for turn in range(10):
        await client.drop()
        await cluster.come_back(client, cluster.servers[turn % len(cluster.servers)])
    await client.drop()
    await cluster.first.emit_numbers("e", [2])
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1, 2]


async def test_a_second_recovery_does_not_repeat_the_first_ones_packets(cluster: Cluster) -> None:
    client = await cluster.client()
    for number in range(1, 6):
        await client.drop()
        await cluster.last.emit_numbers("e", [number])
        await cluster.come_back(client, cluster.servers[number % len(cluster.servers)])
        await client.events(number)
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 3, 4, 5]


@pytest.mark.core
@pytest.mark.parametrize("how", ["close", "abrupt"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_may_come_back_at_once(cluster: Cluster, transport: str, how: Drop) -> None:
    client = await cluster.client(transports=[transport])
    before = client.last
    for turn in range(6):
        await cluster.first.emit_numbers("e", [turn])
        after = await client.bounce(cluster.servers[turn % len(cluster.servers)].url, how)
        assert (after.recovered, after.sid) == (True, before.sid), f"turn {turn}"
    await cluster.settle(client)
    assert client.payloads() == [0, 1, 2, 3, 4, 5]


@pytest.mark.core
async def test_a_client_that_never_received_a_packet_recovers(cluster: Cluster) -> None:
    client = await cluster.client()
    assert (await client.state())["lastOffset"] is None
    await client.drop()
    await cluster.last.emit_numbers("e", [1, 2])
    await cluster.come_back(client)
    assert await client.events(2) == [1, 2]


async def test_a_client_that_dropped_before_anything_was_ever_emitted_recovers(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == []


@pytest.mark.parametrize("how", ["close", "silent"])
async def test_an_idle_client_recovers_though_its_offset_was_trimmed(
    open_cluster: OpenCluster, how: Drop
) -> None:
    cluster = await open_cluster(
        {"max_disconnection_duration": 0.4, "checkpoint_interval": 0.1},
        server={"ping_interval": 0.1, "ping_timeout": 0.4},
    )
    idle = await cluster.client()
    await cluster.first.emit("e", 1)
    await idle.events(1)
    retention = 0.4 + 0.1 + 0.1 + 0.4
    await _traffic_for_others(cluster, seconds=1.5 * retention)
    await idle.drop(how)
    await cluster.last.emit("e", 2)
    await cluster.come_back(idle)
    await cluster.settle(idle)
    assert idle.payloads() == [1, 2]


@pytest.mark.core
async def test_a_burst_of_clients_comes_back_at_once(cluster: Cluster) -> None:
    clients = await asyncio.gather(*(cluster.client() for _ in range(40)))
    await cluster.first.emit("e", 0)
    await asyncio.gather(*(client.events(1) for client in clients))
    await asyncio.gather(*(client.drop("abrupt") for client in clients))
    await cluster.last.emit_numbers("e", range(1, 6))
    await asyncio.gather(
        *(
            cluster.come_back(client, cluster.servers[n % len(cluster.servers)])
            for n, client in enumerate(clients)
        )
    )
    await cluster.settle(*clients)
    assert {client.name: client.payloads() for client in clients} == {
        client.name: [0, 1, 2, 3, 4, 5] for client in clients
    }


@pytest.mark.core
@pytest.mark.parametrize("place", ["same-process", "other-process"])
async def test_a_client_whose_old_connection_is_still_open_takes_over(cluster: Cluster, place: str) -> None:
    there = cluster.first if place == "same-process" else cluster.last
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await client.drop("silent")
    await cluster.first.emit("e", 1, to="red")
    await cluster.come_back(client, there)
    await cluster.first.emit("e", 2, to="red")
    await cluster.settle(client)
    assert client.payloads() == [1, 2]
    await cluster.first.wait_log("disconnect-done", client.sid)
    assert await there.rooms(client.sid) == {"red"}


@pytest.mark.topologies("valkey-2")
async def test_a_moved_client_is_gone_from_its_old_server(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop("silent")
    await cluster.come_back(client, cluster.last)
    await cluster.first.wait_log("disconnect-done", client.sid)
    assert (await cluster.first.residue())["rooms"] == {}


@pytest.mark.topologies("valkey-2")
async def test_what_was_made_for_a_connection_goes_with_it(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(server={"ping_interval": 0.2})
    client = await cluster.client()
    before = await cluster.first.host.ask("sockets")
    for _ in range(20):
        await client.drop()
        await cluster.come_back(client, cluster.first)

    async def gone() -> bool:
        return bool(
            await cluster.first.host.ask("sockets") <= before + 2
        )  # python-engineio looks at one or two

    await async_wait_until(gone, what="the sockets are collected")


async def test_the_old_connections_disconnect_handler_ends_before_the_new_one_is_accepted(
    cluster: Cluster,
) -> None:
    client = await cluster.client()
    await cluster.first.behave("disconnect", steps.gate("bye"))
    await client.drop()
    await cluster.first.wait_log("gate")
    mark = len(client.history)
    await client.start_reconnect()
    await cluster.first.emit("e", 1)
    await cluster.client()  # somebody else gets in meanwhile
    assert len(await cluster.first.log("connect", client.sid)) == 1
    await cluster.first.open_gate("bye")
    assert (await client.wait_connected(after=mark)).recovered
    lines = await cluster.first.log(sid=client.sid)
    handlers = [line["handler"] for line in lines if line["handler"] != "gate"]
    assert handlers == ["connect", "connect-done", "disconnect", "disconnect-done", "connect", "connect-done"]
    await cluster.settle(client)
    assert client.payloads() == [1]


@pytest.mark.topologies("valkey-2")  # one process waits without limit
async def test_a_late_disconnect_handler_does_not_strip_the_new_connection(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster({"takeover_timeout": 0.1})
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.behave("disconnect", steps.gate("bye"))
    await client.drop()
    await cluster.first.wait_log("gate")
    await cluster.come_back(client, cluster.last)
    await cluster.first.open_gate("bye")
    await cluster.first.wait_log("disconnect-done", client.sid)
    await cluster.first.emit("e", 1, to="red")
    await cluster.settle(client)
    assert client.payloads() == [1]
    assert await cluster.last.rooms(client.sid) == {"red"}


async def test_an_offset_from_before_the_session_counts_as_none(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.emit_numbers("e", [1, 2])
    await client.events(2)
    await client.disconnect()
    await cluster.first.emit_numbers("e", [3])
    after = await client.reconnect(cluster.last.url)
    assert not after.recovered
    assert after.last_offset is not None, "the JavaScript client keeps its old offset"
    await client.drop()
    await cluster.first.emit_numbers("e", [4])
    await cluster.come_back(client, cluster.first)
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 4]


async def test_a_client_dropped_while_it_catches_up_gets_the_rest_later(cluster: Cluster) -> None:
    client = await cluster.client(keep=["n"])
    await client.drop()
    await cluster.last.emit_numbers("n", range(300))
    for turn in range(4):
        await client.reconnect(cluster.servers[turn % len(cluster.servers)].url)
        assert client.last.recovered
        await client.drop("abrupt" if turn % 2 else "close")
    await cluster.come_back(client)
    await cluster.settle(client)
    assert [number for number, _ in await client.kept()] == list(range(300))


async def test_a_client_that_reconnects_by_itself_recovers(cluster: Cluster) -> None:
    client = await cluster.client(reconnection=True, reconnectionDelay=1)
    mark = len(client.history)
    await client.drop("abrupt")
    assert (await client.wait_connected(after=mark)).recovered
    await cluster.last.emit("e", 1)
    assert await client.events(1) == [1]


async def test_what_a_client_emits_after_its_recovery_reaches_the_handlers(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await client.emit("say", "buffered")  # JavaScript keeps it until it is connected again
    await cluster.come_back(client)
    await client.emit("say", "live")
    lines = await cluster.last.wait_log("event", client.sid, count=2)
    assert [line["args"] for line in lines] == [["buffered"], ["live"]]


async def _traffic_for_others(cluster: Cluster, *, seconds: float) -> None:
    """Keep the stream moving for longer than its retention: real time must pass, on the store's clock."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await cluster.first.emit_numbers("other", range(20), to="others")
