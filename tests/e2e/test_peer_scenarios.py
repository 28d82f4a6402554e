"""The scenarios of Socket.IO's own recovery tests, ported by idea: raw long-polling, no client library.

The peer's tests are ``packages/socket.io/test/connection-state-recovery.ts``. Where ours does better than
Node (CONNECT comes before what was missed; the connect handler always runs), the test says so.
"""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e import steps
from tests.e2e.cluster import Cluster, Server
from tests.e2e.raw import RawPolling
from tests.e2e.wire import Json

pytestmark = pytest.mark.core


class Door:
    """Opens long-polling sessions, and closes them all at the end of a test."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._opened: list[RawPolling] = []

    async def knock(self, server: Server, auth: Json = None) -> RawPolling:
        """Open Engine.IO and send CONNECT."""
        polling = RawPolling(self._http, server)
        await polling.open()
        self._opened.append(polling)
        await polling.push("40" if auth is None else f"40{json.dumps(auth)}")
        return polling

    async def close(self) -> None:
        for polling in self._opened:
            await polling.close()


@pytest_asyncio.fixture(loop_scope="session")
async def door() -> AsyncIterator[Door]:
    async with aiohttp.ClientSession() as session:
        opened = Door(session)
        yield opened
        await opened.close()


async def _visit(door: Door, cluster: Cluster) -> dict[str, str]:
    """Connect, receive one packet, and close the transport; return sid, pid and offset."""
    polling = await door.knock(cluster.first)
    answer = json.loads((await polling.poll_for("40"))[2:])
    await cluster.first.emit("hello")
    event, offset = json.loads((await polling.poll_for("42"))[2:])
    assert event == "hello"
    await polling.close()
    return {"sid": answer["sid"], "pid": answer["pid"], "offset": offset}


def _auth(visit: dict[str, str]) -> dict[str, str]:
    return {"pid": visit["pid"], "offset": visit["offset"]}


async def _collect(polling: RawPolling, count: int) -> list[str]:
    packets: list[str] = []
    while len(packets) < count:
        packets += [packet for packet in await polling.poll() if packet != "2"]
    return packets


async def test_session_and_missed_packets_are_restored(cluster: Cluster, door: Door) -> None:
    await cluster.first.behave("connect", steps.enter_room(steps.SID, "room1"))
    visit = await _visit(door, cluster)
    await cluster.last.emit("hello1")
    await cluster.last.emit("hello2", to="room1")
    await cluster.last.emit("hello3", to=visit["sid"])
    packets = await _collect(await door.knock(cluster.last, _auth(visit)), 4)
    assert json.loads(packets[0][2:]) == {"sid": visit["sid"], "pid": visit["pid"]}  # Node sends it last
    assert [json.loads(packet[2:])[0] for packet in packets[1:]] == ["hello1", "hello2", "hello3"]


async def test_rooms_and_data_are_restored(cluster: Cluster, door: Door) -> None:
    await cluster.first.behave(
        "connect",
        steps.enter_room(steps.SID, "room1"),
        steps.enter_room(steps.SID, "room2"),
        steps.edit_session(steps.SID, {"foo": "bar"}),
    )
    visit = await _visit(door, cluster)
    await cluster.first.behave("connect")
    (await (await door.knock(cluster.last, _auth(visit))).poll_for("40"))
    seen = (await cluster.last.log("connect", visit["sid"]))[-1]
    assert seen["recovery"]["recovered"] is True
    assert set(seen["rooms"]) == {visit["sid"], "room1", "room2"}
    assert seen["session"] == {"foo": "bar"}


async def test_the_connect_handler_runs_upon_recovery(cluster: Cluster, door: Door) -> None:
    """Node skips its middlewares by default, and lets revoked users in; ours has no such switch."""
    visit = await _visit(door, cluster)
    await cluster.last.behave("connect", then="refuse")
    refused = await door.knock(cluster.last, _auth(visit))
    assert json.loads((await refused.poll_for("44"))[2:])["message"] == "go away"


async def test_an_unknown_session_is_not_restored(cluster: Cluster, door: Door) -> None:
    polling = await door.knock(cluster.last, {"pid": "foo", "offset": "bar"})
    answer = json.loads((await polling.poll_for("40"))[2:])
    assert answer["sid"] != "foo"
    assert answer["pid"] != "foo"


async def test_recovery_is_off_without_our_manager(stock: Cluster, door: Door) -> None:
    polling = await door.knock(stock.first, {"pid": "foo", "offset": "bar"})
    answer = json.loads((await polling.poll_for("40"))[2:])
    assert answer.keys() == {"sid"}


async def test_a_packet_that_was_queued_when_a_poll_ended_is_not_lost(cluster: Cluster, door: Door) -> None:
    """The server put packets into a poll that nobody fetched: they count as missed."""
    visit = await _visit(door, cluster)
    polling = await door.knock(cluster.first, _auth(visit))
    await polling.poll_for("40")
    await cluster.first.emit_numbers("n", [1, 2])
    again = await door.knock(cluster.last, _auth(visit))
    packets = await _collect(again, 3)
    assert [json.loads(packet[2:])[:2] for packet in packets[1:]] == [["n", 1], ["n", 2]]
