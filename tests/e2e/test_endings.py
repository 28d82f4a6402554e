"""Ends that are meant: an explicit disconnect cannot be recovered, a lost transport can."""

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster, Server
from tests.e2e.js_clients import Disconnected, JsClient

pytestmark = pytest.mark.colours


async def _assert_fresh(client: JsClient, server: Server, reason: str) -> None:
    before = client.last
    after = await client.reconnect(server.url)
    assert not after.recovered
    assert after.sid != before.sid
    assert after.pid != before.pid
    assert (await server.recovery(after.sid))["reason"] == reason


@pytest.mark.core
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_that_disconnects_is_not_recovered(cluster: Cluster, transport: str) -> None:
    client = await cluster.client(transports=[transport])
    await client.disconnect()
    await cluster.first.wait_log("disconnect-done")
    await cluster.last.emit("e", "missed")
    await _assert_fresh(client, cluster.last, "disconnected")
    await cluster.settle(client)
    assert client.payloads() == []


@pytest.mark.core
@pytest.mark.parametrize("place", ["own-server", "other-server"])
async def test_a_client_that_the_server_disconnects_is_not_recovered(cluster: Cluster, place: str) -> None:
    client = await cluster.client()
    await (cluster.first if place == "own-server" else cluster.last).disconnect(client.sid)
    assert (await client.next(Disconnected)).reason == "io server disconnect"
    await cluster.first.wait_log("disconnect-done", client.sid)
    await _assert_fresh(client, cluster.last, "disconnected")


@pytest.mark.core
@pytest.mark.parametrize("place", ["own-server", "other-server"])
async def test_a_client_disconnected_while_away_is_not_recovered(cluster: Cluster, place: str) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.first.wait_log("disconnect-done", client.sid)
    await (cluster.first if place == "own-server" else cluster.last).disconnect(client.sid)
    await _assert_fresh(client, cluster.last, "disconnected")


@pytest.mark.parametrize("place", ["own-server", "other-server"])
async def test_a_client_disconnected_while_its_disconnect_handler_runs_is_not_recovered(
    cluster: Cluster, place: str
) -> None:
    client = await cluster.client()
    await cluster.first.behave("disconnect", steps.gate("bye"))
    await client.drop()
    await cluster.first.wait_log("gate")
    await (cluster.first if place == "own-server" else cluster.last).disconnect(client.sid)
    await cluster.first.open_gate("bye")
    await cluster.first.wait_log("disconnect-done", client.sid)
    await _assert_fresh(client, cluster.last, "disconnected")


async def test_a_client_disconnected_while_its_old_connection_lingers_is_not_recovered(
    cluster: Cluster,
) -> None:
    client = await cluster.client()
    await client.drop("silent")
    await cluster.last.disconnect(client.sid)
    await _assert_fresh(client, cluster.last, "disconnected")
    await cluster.first.wait_log("disconnect-done")


async def test_the_session_after_an_end_is_recoverable_again(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.last.disconnect(client.sid)
    await client.next(Disconnected)
    await client.reconnect(cluster.last.url)
    await client.drop()
    await cluster.first.emit("e", 1)
    await cluster.come_back(client, cluster.first)
    assert await client.events(1) == [1]


@pytest.mark.core
@pytest.mark.parametrize("place", ["own-server", "other-server"])
async def test_an_emit_before_a_disconnect_in_one_task_arrives_first(cluster: Cluster, place: str) -> None:
    client = await cluster.client()
    await (cluster.first if place == "own-server" else cluster.last).run(
        steps.emit("e", "goodbye", to=client.sid), steps.disconnect(client.sid)
    )
    await client.next(Disconnected)
    assert client.payloads() == ["goodbye"]


async def test_an_emit_before_a_disconnect_in_a_handler_arrives_first(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.behave("leave", steps.emit("e", "goodbye", to=steps.SID), steps.disconnect(steps.SID))
    await client.emit("leave")
    await client.next(Disconnected)
    assert client.payloads() == ["goodbye"]


async def test_one_namespace_ends_and_the_other_recovers(cluster: Cluster) -> None:
    main = await cluster.client()
    chat = await cluster.client(namespace="/chat", share=main)
    before = main.last
    await chat.disconnect()
    await cluster.first.wait_log("disconnect-done", chat.sid)
    await main.drop()
    await cluster.last.emit("e", 1)
    await cluster.come_back(main)
    assert main.last.sid == before.sid
    assert await main.events(1) == [1]
    mark = len(chat.history)
    await chat.start_reconnect()
    assert not (await chat.wait_connected(after=mark)).recovered


async def test_disconnecting_a_recovered_client_ends_its_session(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.come_back(client)
    await cluster.first.disconnect(client.sid)
    await client.next(Disconnected, after=len(client.history) - 1)
    await _assert_fresh(client, cluster.first, "disconnected")


async def test_disconnecting_nobody_is_harmless(cluster: Cluster) -> None:
    await cluster.last.disconnect("nobody")
    client = await cluster.client()
    await cluster.last.emit("e", 1)
    assert await client.events(1) == [1]


async def test_an_event_that_a_poll_has_taken_when_the_transport_is_closed_is_handled_once(
    cluster: Cluster,
) -> None:
    """In one payload with CLOSE, JavaScript would handle it after it has come back, and get it replayed."""
    client = await cluster.client(transports=["polling"])
    (emitted,) = await cluster.first.run(steps.close_while_polled(client.sid))
    await client.next(Disconnected)
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads("e") == list(range(emitted))


@pytest.mark.parametrize("reason_of", ["close", "abrupt", "client", "server"])
async def test_the_disconnect_handler_hears_the_reason_that_a_stock_server_gives(
    cluster: Cluster, stock: Cluster, reason_of: str
) -> None:
    reasons: list[str] = []
    for place in (stock, cluster):
        client = await place.client()
        sid = client.sid
        match reason_of:
            case "close":
                await client.drop("close")
            case "abrupt":
                await client.drop("abrupt")
            case "client":
                await client.disconnect()
            case _:
                await place.first.disconnect(sid)
        reasons.append((await place.first.wait_log("disconnect", sid))[0]["reason"])
    assert reasons[0] == reasons[1]
