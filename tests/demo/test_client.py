"""The demo's client speaks the protocol, and keeps pid and offset as ``socket.io-client`` 4.8 does."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from adapter.demo.client import (
    ConnectRefusedError,
    DemoClient,
    PacketType,
    ProtocolError,
    SocketPacket,
    parse_packet,
)

OPEN = '0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


@dataclass(slots=True)
class ScriptedServer:
    """Accepts connections, and answers each CONNECT with the next of `answers`; the rest is up to the test.

    Attributes:
        paths: request targets of the connections so far.
        received: frames of all connections, except CONNECT.
        auths: what came with each CONNECT.
    """

    answers: list[list[str]] = field(default_factory=list[list[str]])
    url: str = ""
    paths: list[str] = field(default_factory=list[str])
    received: list[str] = field(default_factory=list[str])
    auths: list[Any] = field(default_factory=list[Any])
    closed: int = 0
    connections: list[ServerConnection] = field(default_factory=list[ServerConnection])

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.connections.append(connection)
        await connection.send(OPEN)
        try:
            async for frame in connection:
                await self._answer(connection, str(frame))
        except ConnectionClosed:
            pass
        finally:
            self.closed += 1

    async def _answer(self, connection: ServerConnection, frame: str) -> None:
        if not frame.startswith("40"):
            self.received.append(frame)
            return
        self.auths.append(json.loads(frame[2:]))
        for answer in self.answers.pop(0):
            await connection.send(answer)


@asynccontextmanager
async def scripted(*answers: list[str]) -> AsyncGenerator[ScriptedServer]:
    server = ScriptedServer(list(answers))
    async with serve(server.talk, "127.0.0.1", 0) as listener:
        server.url = f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}"
        yield server


async def wait_until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not predicate():
            await asyncio.sleep(0.005)


def joined(sid: str, pid: str | None = None) -> str:
    return "40" + json.dumps({"sid": sid} | ({} if pid is None else {"pid": pid}))


def event(*arguments: Any) -> str:
    return "42" + json.dumps(arguments)


def client_with_log() -> tuple[DemoClient, list[list[Any]]]:
    log: list[list[Any]] = []
    return DemoClient({"token": 1}, log.append), log


async def test_the_server_takes_it_for_a_javascript_client() -> None:
    async with scripted([joined("s1")]) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        assert server.paths == ["/socket.io/?EIO=4&transport=websocket"]
        assert server.auths == [{"token": 1}]
        await client.disconnect()


async def test_it_answers_pings() -> None:
    async with scripted([joined("s1"), "2"]) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await wait_until(lambda: server.received == ["3"])
        await client.disconnect()


async def test_it_comes_back_with_pid_and_the_last_offset_and_is_recovered_under_its_pid() -> None:
    first = [joined("s1", "p1"), event("e", {"n": 1}, "5-0"), event("e", {"n": 2}, "6-0")]
    async with scripted(first, [joined("s1", "p1"), event("e", {"n": 3}, "7-0")]) as server:
        client, log = client_with_log()
        accepted = await client.connect(server.url)
        assert (accepted.sid, accepted.pid, accepted.recovered) == ("s1", "p1", False)
        await wait_until(lambda: len(log) == 2)
        await client.cut()
        accepted = await client.connect(server.url)
        assert server.auths[1] == {"pid": "p1", "offset": "6-0", "token": 1}
        assert (accepted.sid, accepted.recovered) == ("s1", True)
        await wait_until(lambda: client.offset == "7-0")
        await client.disconnect()
    assert [arguments[1]["n"] for arguments in log] == [1, 2, 3]


async def test_before_its_first_offset_it_sends_the_pid_alone() -> None:
    async with scripted([joined("s1", "p1")], [joined("s1", "p1")]) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await client.cut()
        await client.connect(server.url)
        assert server.auths[1] == {"pid": "p1", "token": 1}
        await client.disconnect()


async def test_another_pid_is_a_new_session_and_the_offset_stays() -> None:
    async with scripted(
        [joined("s1", "p1"), event("e", "5-0")], [joined("s2", "p2")], [joined("s2", "p2")]
    ) as server:
        client, log = client_with_log()
        await client.connect(server.url)
        await wait_until(lambda: len(log) == 1)
        await client.cut()
        assert not (await client.connect(server.url)).recovered
        assert client.offset == "5-0"
        await client.cut()
        assert (await client.connect(server.url)).recovered
        assert server.auths[2] == {"pid": "p2", "offset": "5-0", "token": 1}
        await client.disconnect()


@pytest.mark.parametrize(
    "answers", [[joined("s1"), event("e", "text")], [joined("s1", "p1"), '427["e","text"]']]
)
async def test_a_string_is_no_offset_without_a_pid_or_with_an_ack(answers: list[str]) -> None:
    async with scripted(answers) as server:
        client, log = client_with_log()
        await client.connect(server.url)
        await wait_until(lambda: len(log) == 1)
        assert client.offset is None
        await client.disconnect()


async def test_events_before_connect_are_handled_after_it() -> None:
    async with scripted([event("early"), joined("s1")]) as server:
        client, log = client_with_log()
        await client.connect(server.url)
        assert log == []
        await wait_until(lambda: log == [["early"]])
        await client.disconnect()


@pytest.mark.parametrize("answer", ['44{"message":"no"}', "41"])
async def test_a_refusal_is_an_error_of_its_own(answer: str) -> None:
    async with scripted([answer]) as server:
        client, _ = client_with_log()
        with pytest.raises(ConnectRefusedError):
            await client.connect(server.url)
        await wait_until(lambda: server.closed == 1)


async def test_a_hang_up_tells_engine_io_and_a_goodbye_tells_socket_io() -> None:
    async with scripted([joined("s1")], [joined("s1")]) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await client.hang_up()
        await client.connect(server.url)
        await client.disconnect()
        await wait_until(lambda: server.received == ["1", "41"])


async def test_an_abandoned_connection_stays_open_and_is_not_read_any_more() -> None:
    async with scripted([joined("s1", "p1")], [joined("s1", "p1")]) as server:
        client, log = client_with_log()
        await client.connect(server.url)
        await client.abandon()
        await server.connections[0].send("2")
        await server.connections[0].send(event("e", "5-0"))
        await client.connect(server.url)
        await server.connections[1].send("2")
        await wait_until(lambda: server.received == ["3"])
        assert server.closed == 0
        assert log == []
        await client.disconnect()
        await wait_until(lambda: server.closed == 2)


async def test_it_notices_when_the_server_closes() -> None:
    async with scripted([joined("s1")]) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await server.connections[0].close()
        async with asyncio.timeout(5):
            await client.lost()
        await client.disconnect()


async def test_an_error_in_the_handler_ends_the_connection_and_is_told() -> None:
    def refuse(arguments: list[Any]) -> None:
        raise ProtocolError(f"no use for {arguments}")

    async with scripted([joined("s1"), event("e")]) as server:
        client = DemoClient({}, refuse)
        await client.connect(server.url)
        with pytest.raises(ProtocolError, match="no use for"):
            await client.lost()
        await wait_until(lambda: server.closed == 1)


def test_packets_of_the_main_namespace_are_read() -> None:
    assert parse_packet('217["e",{"a":"1,2"}]') == SocketPacket(PacketType.EVENT, 17, ["e", {"a": "1,2"}])
    assert parse_packet("1") == SocketPacket(PacketType.DISCONNECT, None, None)


@pytest.mark.parametrize(
    "text", ["", "x", '2/admin,["e"]', '51-["e",{"_placeholder":true,"num":0}]', "2[", "9"]
)
def test_other_packets_are_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_packet(text)
