"""Rooms: given back with the session, and every packet judged by the membership at its own offset."""

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster

pytestmark = pytest.mark.colours


@pytest.mark.core
async def test_a_client_gets_its_rooms_back(cluster: Cluster) -> None:
    client = await cluster.client()
    for room in ("red", "blue", 7):
        await cluster.first.enter_room(client.sid, room)
    await cluster.first.leave_room(client.sid, "blue")
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.rooms(client.sid) == {"red", 7}
    await cluster.first.emit("e", 1, to=7)
    await cluster.first.emit("e", 2, to="blue")
    await cluster.settle(client)
    assert client.payloads() == [1]


async def test_a_room_left_before_the_drop_is_left(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.run(steps.emit("e", 1, to="red"), steps.leave_room(client.sid, "red"))
    await client.drop()
    await cluster.last.emit("e", 2, to="red")
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1]
    assert await cluster.last.rooms(client.sid) == set()


@pytest.mark.core
async def test_an_emit_just_before_leaving_arrives_and_one_just_after_does_not(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    for server in cluster.servers:
        await server.run(
            steps.enter_room(client.sid, "red"),
            steps.emit("e", "before", to="red"),
            steps.leave_room(client.sid, "red"),
            steps.emit("e", "after", to="red"),
        )
    await cluster.settle(client)
    assert client.payloads() == ["before"] * len(cluster.servers)


async def test_an_emit_just_after_entering_arrives(cluster: Cluster) -> None:
    client = await cluster.client()
    for number, server in enumerate(cluster.servers):
        await server.run(
            steps.emit("e", "too early", to=f"room-{number}"),
            steps.enter_room(client.sid, f"room-{number}"),
            steps.emit("e", number, to=f"room-{number}"),
        )
    await cluster.settle(client)
    assert client.payloads() == list(range(len(cluster.servers)))


async def test_an_emit_just_before_closing_a_room_arrives(cluster: Cluster) -> None:
    clients = [await cluster.client(server) for server in (cluster.first, cluster.last)]
    for client in clients:
        await cluster.first.enter_room(client.sid, "red")
    await cluster.last.run(
        steps.emit("e", "before", to="red"), steps.close_room("red"), steps.emit("e", "after", to="red")
    )
    await cluster.settle(*clients)
    assert [client.payloads() for client in clients] == [["before"], ["before"]]


@pytest.mark.core
async def test_a_room_entered_while_away_counts_from_then_on(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.last.run(
        steps.emit("e", "too early", to="red"),
        steps.enter_room(client.sid, "red"),
        steps.emit("e", 1, to="red"),
    )
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1]
    assert await cluster.last.rooms(client.sid) == {"red"}


@pytest.mark.parametrize("way", ["enter", "leave"])
async def test_a_room_changed_while_the_disconnect_handler_runs_counts_from_then_on(
    cluster: Cluster, way: str
) -> None:
    client = await cluster.client()
    if way == "leave":
        await cluster.first.enter_room(client.sid, "red")
    await cluster.first.behave("disconnect", steps.gate("bye"))
    await client.drop()
    await cluster.first.wait_log("gate")
    change = steps.enter_room if way == "enter" else steps.leave_room
    await cluster.last.run(
        steps.emit("e", 1, to="red"), change(client.sid, "red"), steps.emit("e", 2, to="red")
    )
    await cluster.first.open_gate("bye")
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == ([2] if way == "enter" else [1])
    assert await cluster.last.rooms(client.sid) == ({"red"} if way == "enter" else set())


@pytest.mark.core
@pytest.mark.parametrize("way", ["leave", "close"])
async def test_a_room_left_while_away_counts_until_then(cluster: Cluster, way: str) -> None:
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await client.drop()
    end = steps.leave_room(client.sid, "red") if way == "leave" else steps.close_room("red")
    await cluster.last.run(steps.emit("e", 1, to="red"), end, steps.emit("e", 2, to="red"))
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1]
    assert await cluster.last.rooms(client.sid) == set()


async def test_a_room_left_and_entered_again_while_away_has_a_hole(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await client.drop()
    await cluster.last.run(
        steps.emit("e", 1, to="red"),
        steps.leave_room(client.sid, "red"),
        steps.emit("e", 2, to="red"),
        steps.enter_room(client.sid, "red"),
        steps.emit("e", 3, to="red"),
    )
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1, 3]


async def test_a_packet_from_before_a_client_left_a_room_is_replayed_though_it_left(cluster: Cluster) -> None:
    """The drop is silent: the client never saw the packet, and its server took it out of the room after."""
    client = await cluster.client()
    await cluster.first.enter_room(client.sid, "red")
    await client.drop("silent")
    await cluster.first.run(
        steps.emit("e", 1, to="red"), steps.leave_room(client.sid, "red"), steps.emit("e", 2, to="red")
    )
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1]


async def test_rooms_are_changed_from_another_process(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.last.enter_room(client.sid, "red")
    await cluster.last.enter_room(client.sid, "blue")
    await cluster.last.leave_room(client.sid, "blue")
    await cluster.settle(client)
    assert await cluster.first.rooms(client.sid) == {"red"}
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.rooms(client.sid) == {"red"}


async def test_rooms_of_one_client_do_not_leak_to_another(cluster: Cluster) -> None:
    ann, bob = await cluster.client(name="ann"), await cluster.client(name="bob")
    await cluster.first.enter_room(ann.sid, "red")
    await ann.drop()
    await bob.drop()
    await cluster.last.emit("e", "for ann", to="red")
    await cluster.last.emit("e", "for bob", to=bob.sid)
    await cluster.come_back(ann)
    await cluster.come_back(bob)
    await cluster.settle(ann, bob)
    assert ann.payloads() == ["for ann"]
    assert bob.payloads() == ["for bob"]
