"""The behaviours that the Engine.IO 4 and Socket.IO 5 specifications ask for, with recovery on and off.

Where python-socketio itself departs from them, so does a server with recovery: the parametrization "off" is a
stock server, and one test body speaks for both.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, HostProcess, Server, real_time_passes
from tests.e2e.js_clients import JsClients
from tests.e2e.raw import RawPolling, RawWebSocket, engine_url

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(loop_scope="session", params=["off", "on"], ids=["recovery-off", "recovery-on"])
async def server(
    request: pytest.FixtureRequest, js: JsClients, hosts: list[HostProcess], report_output: None
) -> AsyncIterator[Server]:
    cluster = Cluster(hosts[:1], js)
    recovery = {"stream_name": cluster.app} if request.param == "on" else None
    await cluster.open(recovery, {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT})
    yield cluster.first
    await cluster.close()


# --- Engine.IO: handshake


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_session_opens(server: Server, http: aiohttp.ClientSession, transport: str) -> None:
    if transport == "polling":
        answer = await RawPolling(http, server).open()
    else:
        async with RawWebSocket(http, server) as socket:
            answer = await socket.handshake()
    assert answer.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert answer["upgrades"] == (["websocket"] if transport == "polling" else [])
    assert answer["pingInterval"] == int(PING_INTERVAL) * 1000  # python-engineio truncates
    assert answer["pingTimeout"] == PING_TIMEOUT * 1000
    assert answer["maxPayload"] == 1_000_000


@pytest.mark.parametrize("query", [{"EIO": ""}, {"EIO": "abc"}, {"transport": "abc"}, {"sid": "nobody"}])
async def test_a_bad_query_is_refused(
    server: Server, http: aiohttp.ClientSession, query: dict[str, str]
) -> None:
    async with http.get(engine_url(server, **query)) as response:
        assert response.status == 400
    async with http.get(engine_url(server, **{"transport": "websocket", **query})) as response:
        assert response.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_bad_method_is_refused(server: Server, http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, engine_url(server)) as response:
        assert response.status in {400, 405}


# --- Engine.IO: heartbeat, close, upgrade


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_pings_are_answered_by_pongs(
    server: Server, http: aiohttp.ClientSession, transport: str
) -> None:
    if transport == "polling":
        polling = RawPolling(http, server)
        await polling.open()
        for _ in range(2):
            assert await polling.poll() == ["2"]
            assert await polling.push("3") == 200
    else:
        async with RawWebSocket(http, server) as socket:
            await socket.handshake()
            for _ in range(2):
                assert await socket.receive(pings=True) == "2"
                await socket.send("3")


async def test_a_websocket_that_does_not_answer_pings_is_closed(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with RawWebSocket(http, server) as socket:
        answer = await socket.connect()
        await socket.closes()
    await server.wait_log("disconnect-done", answer["sid"])


async def test_a_polling_session_that_does_not_poll_is_closed(
    server: Server, http: aiohttp.ClientSession
) -> None:
    polling = RawPolling(http, server)
    await polling.open()
    await polling.push("40")
    await server.wait_log("disconnect-done")
    assert (await polling.get())[0] == 400


async def test_a_polling_client_closes_its_session(server: Server, http: aiohttp.ClientSession) -> None:
    polling = RawPolling(http, server)
    await polling.open()
    await polling.push("40")
    await polling.poll_for("40")
    assert await polling.push("1") == 200
    await server.wait_log("disconnect-done")
    assert (await polling.get())[0] == 400


async def test_a_websocket_client_closes_its_session(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        await socket.send("1")
        await server.wait_log("disconnect-done")


async def test_a_session_is_upgraded(server: Server, http: aiohttp.ClientSession) -> None:
    polling = RawPolling(http, server)
    await polling.open()
    await polling.push("40")
    await polling.poll_for("40")
    async with RawWebSocket(http, server, sid=polling.sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert await polling.poll() == ["6"]
        await socket.send("5")
        await socket.send('42["say","over the websocket"]')
        await server.wait_log("event")
        assert (await polling.get())[0] == 400
        await server.emit("e", "to the websocket")
        packet = await socket.receive()
        assert isinstance(packet, str)
        assert json.loads(packet[2:])[:2] == ["e", "to the websocket"]


async def test_a_second_websocket_for_an_upgraded_session_is_refused(
    server: Server, http: aiohttp.ClientSession
) -> None:
    polling = RawPolling(http, server)
    await polling.open()
    async with RawWebSocket(http, server, sid=polling.sid) as socket:
        await socket.send("2probe")
        await socket.receive()
        await socket.send("5")
        await socket.join()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with RawWebSocket(http, server, sid=polling.sid):
                pass


# --- Socket.IO: connect and disconnect


@pytest.mark.parametrize("namespace", ["", "/chat,"])
@pytest.mark.parametrize("auth", [None, {"token": "123"}])
async def test_a_namespace_lets_clients_in(
    server: Server, http: aiohttp.ClientSession, namespace: str, auth: dict[str, str] | None
) -> None:
    async with RawWebSocket(http, server) as socket:
        answer = await socket.connect(auth, namespace)
        assert isinstance(answer["sid"], str)
        assert answer.keys() in ({"sid"}, {"sid", "pid"})
        assert (await server.log("connect"))[0]["auth"] == auth


async def test_only_a_server_with_recovery_hands_out_a_pid(
    server: Server, http: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> None:
    async with RawWebSocket(http, server) as socket:
        answer = await socket.connect()
    assert ("pid" in answer) == ("recovery-on" in request.node.name)


async def test_an_unknown_namespace_is_a_connect_error(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.handshake()
        await socket.send("40/unknown,")
        packet = await socket.receive()
        assert isinstance(packet, str)
        assert packet.startswith("44/unknown,")
        assert (await socket.join()).keys() >= {"sid"}, "the connection is still good"


async def test_a_namespace_is_left_and_the_others_stay(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        chat = await socket.join(namespace="/chat,")
        await socket.send("41/chat,")
        await server.wait_log("disconnect-done", chat["sid"])
        await socket.send('421["say","still here"]')
        assert await socket.receive() == '431["still here"]'


async def test_a_second_connect_to_the_same_namespace_is_an_error(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        await socket.send("40")
        packet = await socket.receive()
        assert isinstance(packet, str)
        assert packet.startswith("44")
        await socket.send('421["say","still here"]')
        assert await socket.receive() == '431["still here"]'


# --- Socket.IO: messages


async def test_text_is_sent_in_both_directions(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        await socket.send('42["say",1,"2",{"3":[true]}]')
        assert (await server.wait_log("event"))[0]["args"] == [1, "2", {"3": [True]}]
        await server.emit("back", (1, "2", {"3": [True]}))
        packet = await socket.receive()
        assert isinstance(packet, str)
        assert json.loads(packet[2:])[:4] == ["back", 1, "2", {"3": [True]}]


async def test_binary_is_sent_in_both_directions(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        await socket.send('452-["say",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        await socket.send(b"\x01\x02\x03")
        await socket.send(b"\x04\x05\x06")
        assert (await server.wait_log("event"))[0]["args"] == [b"\x01\x02\x03", b"\x04\x05\x06"]
        await server.emit("back", (b"\x01", b"\x02"))
        header = await socket.receive()
        assert isinstance(header, str)
        assert header.startswith("452-")
        assert [await socket.receive(), await socket.receive()] == [b"\x01", b"\x02"]


async def test_events_are_acknowledged_under_their_number(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.connect()
        await socket.send('42456["say",1,"2",{"3":[false]}]')
        assert await socket.receive() == '43456[1,"2",{"3":[false]}]'
        await socket.send('451-789["say",{"_placeholder":true,"num":0}]')
        await socket.send(b"\x01")
        header = await socket.receive()
        assert isinstance(header, str)
        assert header.startswith("461-789")
        assert await socket.receive() == b"\x01"


async def test_the_server_asks_for_an_acknowledgement(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        answer = await socket.connect()
        asking = asyncio.create_task(server.call("q", "a", to=answer["sid"]))
        packet = await socket.receive()
        assert isinstance(packet, str)
        match = re.fullmatch(r'42([0-9]+)\["q","a"\]', packet)
        assert match is not None, f"{packet}: a packet with an acknowledgement carries no offset"
        await socket.send(f'43{match[1]}["b"]')
        assert await asking == "b"


@pytest.mark.parametrize("packet", ["4abc", "42{}", "42abc", '42abc["say"]', "49", "44{}", "451-", "48"])
async def test_an_invalid_packet_never_hurts_the_server_or_another_client(
    server: Server, http: aiohttp.ClientSession, packet: str
) -> None:
    """python-socketio logs such a packet; it closes the connection only for some. Ours must do the same."""
    async with RawWebSocket(http, server) as bad, RawWebSocket(http, server) as good:
        await good.connect()
        await bad.connect()
        await bad.send(packet)
        await real_time_passes(0.05)
        await good.send('421["say","still here"]')
        assert await good.receive() == '431["still here"]'
    await server.host.ask("errors")  # that the packet was complained of is all right


async def test_an_event_before_the_connect_is_ignored(server: Server, http: aiohttp.ClientSession) -> None:
    async with RawWebSocket(http, server) as socket:
        await socket.handshake()
        await socket.send('421["say","too early"]')
        await socket.join()
        await socket.send('422["say","in time"]')
        assert await socket.receive() == '432["in time"]'
        assert len(await server.log("event")) == 1
