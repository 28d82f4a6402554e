"""A session changes hands at one offset of the stream, between processes that are alive."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Server
from tests.e2e.js_clients import JsClient
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_whole, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.waiting import async_wait_until


@pytest.mark.parametrize("how", ["close", "silent"])
async def test_the_old_servers_disconnect_handler_ends_before_the_new_connect_handler_begins(
    open_nodes: OpenNodes, store_url: str, how: str
) -> None:
    cluster = await open_nodes(
        takeover_timeout=RECOVERY_SECONDS,
        server={"ping_interval": 10.0, "ping_timeout": 2 * RECOVERY_SECONDS},
    )
    client = await cluster.client(keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.behave("disconnect", steps.gate("bye"))
    await cluster.last.flood("f", interval=0.002)
    await until_more([client])
    mark = len(client.history)
    await client.drop("silent" if how == "silent" else "close")
    await client.start_reconnect(cluster.last.url)
    await cluster.first.wait_log("gate")
    somebody = await cluster.client(cluster.last)  # somebody else gets in meanwhile
    await cluster.last.wait_log("connect", somebody.sid)
    assert await cluster.last.log("connect", client.sid) == []
    await cluster.first.open_gate("bye")
    assert (await client.wait_connected(after=mark, seconds=RECOVERY_SECONDS)).recovered
    await until_more([client])
    assert await cluster.last.rooms(client.sid) == {"red"}
    await cluster.last.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


async def test_a_disconnect_handler_that_takes_too_long_is_not_waited_for(
    cluster: Nodes, store_url: str
) -> None:
    client = await cluster.client(keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.behave(
        "disconnect",
        steps.gate("bye"),
        steps.leave_room(steps.SID, "red"),
        steps.save_session(steps.SID, {"seen": "late"}),
    )
    await cluster.first.flood("f", interval=0.002)
    await until_more([client])
    await client.drop("silent")
    await cluster.come_back(client, cluster.last)
    await cluster.first.open_gate("bye")  # the late handler tidies up what is not its own any more
    await cluster.first.wait_log("disconnect-done", client.sid)
    await until_more([client])
    assert await cluster.last.rooms(client.sid) == {"red"}
    assert await cluster.last.get_session(client.sid) == {"seen": "late"}, "said on purpose, it is not lost"
    assert len(await cluster.first.log("disconnect", client.sid)) == 1
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


async def test_in_one_process_the_old_handler_outlasts_everything_and_strips_nothing(
    cluster: Nodes, store_url: str
) -> None:
    """It has to be waited for, however long it takes: python-socketio keeps its tables by sid."""
    client = await cluster.client(keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.behave("disconnect", steps.gate("bye"), steps.leave_room(steps.SID, "red"))
    await cluster.first.flood("f", interval=0.002)
    await until_more([client])
    await client.drop("silent")
    mark = len(client.history)
    await client.start_reconnect(cluster.first.url)
    await cluster.first.wait_log("gate")
    await asyncio.sleep(1.5)  # three times takeover_timeout
    assert len(await cluster.first.log("connect", client.sid)) == 1
    await cluster.first.open_gate("bye")
    assert (await client.wait_connected(after=mark, seconds=RECOVERY_SECONDS)).recovered
    lines = [line["handler"] for line in await cluster.first.log(sid=client.sid)]
    assert lines[-3:] == ["disconnect-done", "connect", "connect-done"]
    await until_more([client])
    assert await cluster.first.rooms(client.sid) == {"red"}
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


@pytest.mark.parametrize("place", ["same-server", "two-servers"])
async def test_one_of_several_who_present_a_pid_at_one_moment_goes_on(cluster: Nodes, place: str) -> None:
    """The newest claim has it. Who came before is cut off, and sees nothing that it should not."""
    client = await cluster.client(keep=["n"])
    await cluster.first.flood("f", interval=0.002)
    await until_more([client])
    servers = cluster.servers if place == "two-servers" else [cluster.first]
    for _ in range(5):
        rivals = await _rivals_of(cluster, client, servers)
        for rival in rivals:
            await rival.until(lambda r=rival: bool(r.history), "any answer", seconds=RECOVERY_SECONDS)  # type: ignore[misc]  # bound per turn
        winner = await _winner(rivals, client.sid)
        await until_more([winner])
        assert await _winner(rivals, client.sid) is winner
        await _sees_no_gap(winner)
        await asyncio.gather(*(rival.dispose() for rival in rivals if rival is not winner))
        await winner.drop("abrupt")
        client = winner
    await cluster.first.stop_flood("f")


async def _rivals_of(cluster: Nodes, client: JsClient, servers: Sequence[Server]) -> list[JsClient]:
    """Let four clients present the pid of one, all at once."""
    state = await client.state()
    auth = {"pid": state["pid"], "offset": state["lastOffset"]}
    places = [servers[number % len(servers)] for number in range(4)]
    return list(
        await asyncio.gather(*(cluster.open_client(place, auth=auth, keep=["n"]) for place in places))
    )


async def _winner(rivals: Sequence[JsClient], sid: str) -> JsClient:
    """Wait until one of them, and only one, is connected under a sid."""

    async def holders() -> list[JsClient]:
        return [rival for rival in rivals if (await rival.state())["sid"] == sid]

    async def one_is_left() -> bool:
        return len(await holders()) == 1

    await async_wait_until(one_is_left, timeout=RECOVERY_SECONDS, what="one owner")
    return (await holders())[0]


async def _sees_no_gap(client: JsClient) -> None:
    numbers = [number for _, number, _ in await client.kept()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
