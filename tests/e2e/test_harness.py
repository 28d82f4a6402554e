"""The harness proven on servers that are not ours: a stock python-socketio server, and Node's."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e import steps
from tests.e2e.cluster import Cluster, ServerError
from tests.e2e.js_clients import Disconnected, Drop, JsClients, Refused, Upgraded
from tests.e2e.node_process import NodeProcess
from tests.e2e.wire import Json
from tests.waiting import async_wait_until


async def test_a_client_connects_and_receives_an_event(stock: Cluster) -> None:
    client = await stock.client()
    await stock.first.emit("news", {"a": [1, None, "x"]})
    assert await client.events(1) == [{"a": [1, None, "x"]}]
    assert client.last.pid is None


async def test_binary_crosses_in_both_directions(stock: Cluster) -> None:
    client = await stock.client()
    await stock.first.emit("blob", {"deep": [b"\x00\xff"]})
    assert await client.events(1) == [{"deep": [b"\x00\xff"]}]
    assert await client.call("say", {"back": b"\x01"}, "text") == ({"back": b"\x01"}, "text")


async def test_a_client_answers_the_server(stock: Cluster) -> None:
    client = await stock.client()
    assert await stock.first.call("question", ("a", 1), to=client.sid) == ("a", 1)
    await client.set_ack([42])
    assert await stock.first.call("question", "a", to=client.sid) == 42
    await stock.first.emit("question", "b", to=client.sid, callback=steps.collect("answers"))
    await client.events(3)
    assert await client.call("sync") == ()
    assert await stock.first.collected("answers") == [[42]]


@pytest.mark.parametrize("how", ["close", "abrupt"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_dropped_client_comes_back_with_a_new_sid(stock: Cluster, transport: str, how: Drop) -> None:
    client = await stock.client(transports=[transport])
    before = client.sid
    await client.drop(how)
    connected = await client.reconnect()
    assert (connected.recovered, connected.transport) == (False, transport)
    assert connected.sid != before


async def test_the_server_hears_of_a_drop_but_not_of_a_silent_one(stock: Cluster) -> None:
    first, second = await stock.client(), await stock.client()
    await first.drop("silent")
    await second.drop("abrupt")
    await stock.first.wait_log("disconnect", second.sid)
    assert await stock.first.log("disconnect", first.sid) == []


async def test_a_client_comes_back_in_the_turn_in_which_it_noticed_the_drop(stock: Cluster) -> None:
    client = await stock.client()
    before = client.sid
    assert (await client.bounce()).sid != before


async def test_a_connection_upgrades(stock: Cluster) -> None:
    client = await stock.client(transports=["polling", "websocket"])
    assert (await client.next(Upgraded)).transport == "websocket"
    await stock.first.emit("news", 1)
    assert await client.events(1) == [1]


async def test_two_namespaces_share_a_connection(stock: Cluster) -> None:
    main = await stock.client()
    chat = await stock.client(namespace="/chat", share=main)
    await stock.first.emit("news", 1, namespace="/chat")
    assert await chat.events(1) == [1]
    assert main.received() == []
    assert (await main.state())["engineId"] == (await chat.state())["engineId"]


async def test_a_refused_client_is_told_why(stock: Cluster) -> None:
    await stock.first.behave("connect", then="refuse")
    client = await stock.open_client()
    assert await client.wait_answer() == Refused("go away", {"code": 403})


async def test_a_handler_waits_at_its_gate(stock: Cluster) -> None:
    await stock.first.behave("connect", steps.gate("door"), steps.enter_room(steps.SID, "hall"))
    client = await stock.open_client()
    await stock.first.wait_log("gate")
    assert await stock.first.log("connect-done") == []
    await stock.first.open_gate("door")
    await client.wait_connected()
    assert await stock.first.rooms(client.sid) == {"hall"}


async def test_a_server_disconnects_a_client(stock: Cluster) -> None:
    client = await stock.client()
    await stock.first.disconnect(client.sid)
    assert (await client.next(Disconnected)).reason == "io server disconnect"
    await stock.first.wait_log("disconnect-done", client.sid)


async def test_msgpack_clients_talk_to_msgpack_servers(js: JsClients, stock: Cluster) -> None:
    other = Cluster([stock.first.host], js)
    await other.open(None, {"serializer": "msgpack"})
    client = await other.client(parser="msgpack")
    await other.first.emit("news", {"b": b"\x01"})
    assert await client.events(1) == [{"b": b"\x01"}]
    await other.close()


async def test_kept_events_are_counted_in_node(stock: Cluster) -> None:
    client = await stock.client(keep=["n"])
    await stock.first.flood("f", batch=5)
    await stock.first.wait_log("connect")
    count = await stock.first.stop_flood("f")
    await stock.settle(client)
    assert await client.kept() == [("f", number) for number in range(1, count + 1)]
    assert client.received() == []


async def test_an_error_in_the_server_reaches_the_test(stock: Cluster) -> None:
    with pytest.raises(ServerError) as caught:
        await stock.first.enter_room("nobody", "hall", namespace="/nowhere")
    assert caught.value.kind == "ValueError"


async def test_an_error_that_a_handler_raises_fails_the_test(stock: Cluster) -> None:
    await stock.first.behave("say", then="raise")
    client = await stock.client()
    await client.emit("say")
    await stock.first.wait_log("event")
    await client.dispose()
    with pytest.raises(AssertionError, match="as the test wanted"):
        await stock.close()
    await stock.open(None)  # for the fixture to close


async def test_a_room_that_outlives_its_client_fails_the_test(stock: Cluster) -> None:
    client = await stock.client()
    await stock.first.run(steps.manager_method("basic_enter_room", "ghost", "/", "hall", eio_sid="gone"))
    await client.dispose()
    held = await stock.first.residue()
    assert "ghost" in held["rooms"]["/"]["hall"]
    await stock.first.run(steps.manager_method("basic_leave_room", "ghost", "/", "hall"))


class Peer:
    """A Node server with connection state recovery."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Json]] = []
        self.node = NodeProcess("peer.js", on_report=self.reports.append)
        self.url = ""

    async def start(self) -> None:
        await self.node.start()
        self.url = f"http://127.0.0.1:{await self.node.ask('port')}"

    async def knows_of_drop(self) -> bool:
        return any(report["t"] == "disconnect" for report in self.reports)


@pytest_asyncio.fixture(loop_scope="session")
async def peer(node: None) -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    await peer.node.stop()


async def test_a_client_recovers_from_nodes_own_server(peer: Peer, js: JsClients) -> None:
    client = await js.open(peer.url)
    before = await client.wait_connected()
    await peer.node.ask("emit", event="news", args=[1])
    await client.events(1)
    await client.drop()
    await async_wait_until(peer.knows_of_drop)  # Node saves the session only then
    await peer.node.ask("emit", event="news", args=[2])
    after = await client.reconnect()
    assert (after.recovered, after.sid, after.pid) == (True, before.sid, before.pid)
    await client.events(2)
    numbers = [
        received.raw[0] for received in client.received()
    ]  # Node's offsets in memory are no stream ids
    assert numbers == [1, 2]
    await client.dispose()
