"""Networks that break: between a server and the store, while a session changes hands, and under a client."""

import asyncio

import pytest

from recovery.stores.redis.scripts import SCRIPTS, ScriptName
from tests.e2e.js_clients import Connected, Disconnected
from tests.faults.conftest import OpenNodes
from tests.faults.ledger import assert_stored, assert_whole, until_more
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.faults.proxy import Direction, Proxy


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_an_owner_that_is_cut_off_from_the_store_loses_its_client_quietly(
    proxy: Proxy, open_nodes: OpenNodes, store_url: str, how: str
) -> None:
    cluster = await open_nodes(urls=[proxy.url, store_url], publish_timeout=1.0)
    client = await cluster.client(keep=["n"])
    bystander = await cluster.client(cluster.last, keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.flood("cut off", interval=0.01, sturdy=True)
    await cluster.last.flood("f", interval=0.002)
    await until_more([client, bystander])
    if how == "refuses":
        proxy.refuse()
    else:
        proxy.hang()
    await client.drop("silent")  # its old connection stays open at the server that knows nothing
    await cluster.come_back(client, cluster.last)
    await cluster.last.enter_room(client.sid, "blue")
    await cluster.last.save_session(client.sid, {"version": 2})
    await until_more([client], 100)
    await proxy.forward()
    await cluster.first.wait_log("disconnect-done", client.sid, seconds=RECOVERY_SECONDS)
    await cluster.wait_gone(cluster.first, [client])
    await until_more([client])
    assert len(client.all(Disconnected)) == 1, "the end of its old connection is not its own business"
    count = await cluster.first.stop_flood("cut off")
    failures = await cluster.first.failures("cut off")
    await client.drop()
    await cluster.come_back(client, cluster.first)
    assert await cluster.first.rooms(client.sid) == {"red", "blue"}
    assert await cluster.first.get_session(client.sid) == {"version": 2}
    await cluster.last.stop_flood("f")
    truth = await assert_whole(cluster, store_url, [client, bystander])
    assert_stored(truth, "cut off", count, failures)


async def test_a_client_that_stays_with_a_server_that_is_cut_off_misses_nothing(
    proxy: Proxy, open_nodes: OpenNodes, store_url: str
) -> None:
    """Its server reads on where it was, once it can."""
    cluster = await open_nodes(urls=[proxy.url, store_url])
    client = await cluster.client(keep=["n"])
    await cluster.last.flood("f", interval=0.002)
    await until_more([client])
    for _ in range(3):
        proxy.refuse()
        await asyncio.sleep(0.2)  # that long it is cut off
        await proxy.forward()
        await until_more([client])
    await cluster.last.stop_flood("f")
    await assert_whole(cluster, store_url, [client])
    assert len(client.all(Connected)) == 1


@pytest.mark.parametrize("script", [ScriptName.CLAIM, ScriptName.SAVE], ids=["claim", "save"])
@pytest.mark.parametrize("what", ["the reply is lost", "the server dies, too"])
async def test_a_claim_or_a_save_whose_reply_is_lost_costs_nothing(
    proxy: Proxy, open_nodes: OpenNodes, store_url: str, script: ScriptName, what: str
) -> None:
    cluster = await open_nodes(urls=[store_url, proxy.url])
    client = await cluster.client(keep=["n"])
    await cluster.first.enter_room(client.sid, "red")
    await cluster.first.flood("f", interval=0.002)
    await until_more([client])
    await client.drop()
    strike = proxy.swallow_reply(to=SCRIPTS[script].text[:100])  # it travels whole the first time
    mark = len(client.history)
    await client.start_reconnect(cluster.last.url)
    async with asyncio.timeout(RECOVERY_SECONDS):
        await strike.seen.wait()
    if what == "the server dies, too":
        await cluster.kill(cluster.last)
        await client.until(
            lambda: len(client.history) > mark, "the end of its attempt", seconds=RECOVERY_SECONDS
        )
        if not client.all(Disconnected)[1:]:
            await client.give_up()
    else:
        answer = await client.wait_answer(after=mark, seconds=RECOVERY_SECONDS)
        assert isinstance(answer, Connected)
        assert answer.recovered
        await until_more([client])
        await client.drop()
    await cluster.come_back(client, cluster.first)
    assert await cluster.first.rooms(client.sid) == {"red"}
    await until_more([client])
    await cluster.first.stop_flood("f")
    await assert_whole(cluster, store_url, [client])


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_network_that_dies_silently_under_a_client_costs_nothing(
    cluster: Nodes, store_url: str, transport: str
) -> None:
    """Packets go on into the dead connection until the server misses a PONG; the client comes back later."""
    async with Proxy(cluster.first.url) as network:
        client = await cluster.client(keep=["n"], transports=[transport])  # its sid is known to the test
        await client.drop()
        await client.reconnect(network.url)
        await cluster.first.flood("f", interval=0.005)
        await until_more([client])
        network.stall(Direction.TO_CLIENT)
        network.stall(Direction.TO_SERVER)
        await cluster.first.wait_log("disconnect-done", client.sid, count=2, seconds=RECOVERY_SECONDS)
        await cluster.wait_gone(cluster.first, [client])
        await client.until(
            lambda: len(client.all(Disconnected)) == 2, "its own notice", seconds=RECOVERY_SECONDS
        )
        await cluster.come_back(client, cluster.first)
        await until_more([client])
        await network.forward()  # what lay in the dead connection arrives where nobody listens any more
        await until_more([client])
        await cluster.first.stop_flood("f")
        await assert_whole(cluster, store_url, [client])
        await client.drop()
        await cluster.come_back(client, cluster.last)
