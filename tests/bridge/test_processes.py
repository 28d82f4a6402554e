"""Two regions with real stores, servers, clients and bridges, which are killed and cut off."""

import asyncio
import os
import urllib.request

import pytest

from recovery.reasons import Reason
from tests.bridge.conftest import STREAM, Place, Two
from tests.bridge.processes import BridgeProcess
from tests.e2e import steps
from tests.e2e.js_clients import Connected, Disconnected, JsClient
from tests.waiting import async_wait_until, wait_until

KILLS = int(os.environ.get("BRIDGE_KILLS", "2"))
PACE = 0.002  # seconds between two packets of a flood


async def test_what_is_emitted_in_either_region_reaches_the_clients_of_both(two: Two) -> None:
    """By one process for both directions; and it ends as it is told to."""
    bridge = two.bridge("--both-ways", "--metrics-port", "0")
    bridge.start()
    await bridge.begun(2)
    here, there = [await place.cluster.client(place.server) for place in two.places]
    await two.east.server.emit("news", "from east")
    await two.west.server.emit("news", "from west")
    await two.east.server.emit("bytes", b"\x00\x01")
    for client in (here, there):
        await client.until_payload("news", "from east")
        await client.until_payload("news", "from west")
        await client.until_payload("bytes", b"\x00\x01")
        assert len(client.received()) == 3
    samples = await asyncio.to_thread(_metrics, bridge.output())
    assert f'socketio_recovery_bridge_crossed_total{{bridge="{_name(two.east)}"}} 2.0' in samples
    assert f'socketio_recovery_bridge_crossed_total{{bridge="{_name(two.west)}"}} 1.0' in samples
    assert await asyncio.to_thread(bridge.terminate) == 0
    assert "Traceback" not in bridge.output()


async def test_rooms_and_disconnections_cross_and_sessions_stay(two: Two) -> None:
    bridge = two.bridge("--both-ways")
    bridge.start()
    await bridge.begun(2)
    here, there = [await place.cluster.client(place.server) for place in two.places]
    await two.east.server.run(steps.manager_method("sockets_join", "lobby"))
    await two.east.server.emit("news", "for the lobby", room="lobby")
    for client in (here, there):
        await client.until_payload("news", "for the lobby")
    assert await two.west.server.rooms(there.sid) == {"lobby"}

    await here.drop()
    moved = await here.reconnect(two.west.server.url)
    assert not moved.recovered
    record = await two.west.server.recovery(moved.sid)
    assert record["reason"] == Reason.SESSION_UNKNOWN

    await two.east.server.run(steps.manager_method("disconnect_sockets", room="lobby"))
    await there.next(Disconnected)
    assert not here.all(Disconnected)[1:], "it was in the lobby of a session that it has left"


@pytest.mark.parametrize("spare", [False, True], ids=["alone", "with-a-spare"])
async def test_nothing_is_lost_or_doubled_when_bridges_are_killed(two: Two, spare: bool) -> None:
    """With a spare, two processes of one name carry on at once, and one is killed after the other."""
    forth = [two.bridge() for _ in range(1 + spare)]
    back = [two.bridge(source=two.west, target=two.east) for _ in range(1 + spare)]
    for bridge in (*forth, *back):
        bridge.start()
    for bridge in (*forth, *back):
        await bridge.begun()
    listeners = [[await place.listener(number) for number in range(2)] for place in two.places]
    for place in two.places:
        await place.server.flood(place.name, interval=PACE)
    for kill in range(KILLS):
        await _flows(*listeners)
        for bridge in (forth[kill % len(forth)], back[kill % len(back)]):
            bridge.kill()
            bridge.start()
        for clients in listeners:
            await clients[kill % 2].lose("close")
    floods = {place.name: await place.server.stop_flood(place.name) for place in two.places}
    await two.assert_all_arrived(floods, *listeners)
    _assert_recovered(*listeners)


@pytest.mark.parametrize("gone", ["east", "west"])
async def test_nothing_is_lost_or_doubled_when_a_side_was_away(two: Two, gone: str) -> None:
    """The store of either region restarts with its data, while both go on to emit."""
    bridge = two.bridge("--both-ways")
    bridge.start()
    await bridge.begun(2)
    listeners = [[await place.listener(0)] for place in two.places]
    for place in two.places:
        await place.server.flood(place.name, interval=PACE)
    await _flows(*listeners)
    away = two.east if gone == "east" else two.west
    for kill in (away.redis.stop, away.redis.kill):
        before = _failures(bridge)
        await asyncio.to_thread(kill)
        wait_until(lambda: _failures(bridge) > before, what="the bridge notices")  # noqa: B023 - now
        await asyncio.to_thread(away.redis.start)
        await _flows(*listeners)
    floods = {place.name: await place.server.stop_flood(place.name) for place in two.places}
    await two.assert_all_arrived(floods, *listeners)
    assert "goes on\n" in bridge.output()


async def test_a_bridge_that_was_away_carries_over_what_was_emitted_meanwhile(two: Two) -> None:
    bridge = two.bridge()
    bridge.start()
    await bridge.begun()
    listener = await two.west.listener(0)
    await two.east.server.emit("n", ("east", 1))
    await two.assert_all_arrived({"east": 1}, [listener])
    assert await asyncio.to_thread(bridge.terminate) == 0
    await two.east.server.flood("later", batch=50)
    wait_until(lambda: two.east.redis.client.xlen(STREAM) > 2000, timeout=60.0, what="2000 packets")
    later = await two.east.server.stop_flood("later")
    bridge.start()
    await two.assert_all_arrived({"east": 1, "later": later}, [listener])


async def test_both_ends_at_one_store_are_refused(two: Two) -> None:
    await two.east.server.emit("news", "so that there is a stream")
    bridge = two.bridge(source=two.east, target=two.east)
    bridge.start()
    assert await asyncio.to_thread(bridge.wait) == 2
    assert "have one stream" in bridge.output()


async def _flows(*regions: list[JsClient], more: int = 40) -> None:
    """Wait until every listener has some more packets of each region than now."""
    clients = [client for listeners in regions for client in listeners]
    counts = [await client.kept_count() for client in clients]
    for client, count in zip(clients, counts, strict=True):

        async def has_more(client: JsClient = client, count: int = count) -> bool:
            return await client.kept_count() >= count + more

        await async_wait_until(has_more, timeout=60.0, what=f"{client.name} gets packets")


def _assert_recovered(*regions: list[JsClient]) -> None:
    for client in (client for listeners in regions for client in listeners):
        again = client.all(Connected)[1:]
        assert again, client.name
        assert all(each.recovered for each in again), client.history


def _failures(bridge: BridgeProcess) -> int:
    return bridge.output().count("stands still")


def _name(place: Place) -> str:
    return f"127.0.0.1:{place.redis.port}/0/{STREAM}"


def _metrics(output: str) -> str:
    address = next(line.rsplit(" ", 1)[1] for line in output.splitlines() if "metrics on" in line)
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - our own process
        return str(answer.read().decode())
