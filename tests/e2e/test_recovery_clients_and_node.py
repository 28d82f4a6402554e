"""This project's Python clients recover from real Node servers, as the JavaScript client does."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from adapter.client_state import ClientRecovery
from tests.clients.drivers import COLOURS, Driver, driving, quiet_engineio
from tests.e2e.node_process import NodeProcess
from tests.e2e.wire import Json
from tests.faults.proxy import Proxy

FRESH, RECOVERED = ClientRecovery(), ClientRecovery(recovered=True)


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


class Peer:
    """A Node server, and the network before it."""

    def __init__(self, *arguments: str) -> None:
        self.reports: list[dict[str, Json]] = []
        self.node = NodeProcess("peer.js", *arguments, on_report=self.reports.append)

    async def start(self, stack: AsyncExitStack) -> None:
        await self.node.start()
        stack.push_async_callback(self.node.stop)
        self.network = await stack.enter_async_context(
            Proxy(f"http://127.0.0.1:{await self.node.ask('port')}")
        )

    async def emit(self, event: str, *args: Any, **options: Any) -> None:
        await self.node.ask("emit", event=event, args=list(args), **options)

    def drops(self) -> int:
        return sum(report["t"] == "disconnect" for report in self.reports)

    async def cut(self, driver: Driver) -> None:
        """Cut the network until `forward`; Node saves a session only when it notices."""
        before = self.drops()
        self.network.refuse()
        await driver.until(lambda: self.drops() > before)

    async def restore(self, driver: Driver) -> None:
        """Let the client come back."""
        before = len(driver.got("connect"))
        await self.network.forward()
        await driver.until_got("connect", before + 1)


OpenPeer = Callable[..., Awaitable[Peer]]


@pytest_asyncio.fixture(loop_scope="session")
async def open_peer(node: None) -> AsyncIterator[OpenPeer]:
    async with AsyncExitStack() as stack:

        async def opened(*arguments: str) -> Peer:
            peer = Peer(*arguments)
            await peer.start(stack)
            return peer

        yield opened


@pytest.fixture(params=["in memory", "redis streams"])
def adapter_flags(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "in memory":
        return []
    return ["--redis", request.getfixturevalue("valkey_url")]


async def _connected(driver: Driver, peer: Peer, **options: Any) -> None:
    driver.listen("connect", "n")
    await driver.connect(peer.network.url, **options)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids="-".join)
async def test_a_client_recovers_from_node_and_again(
    open_peer: OpenPeer, adapter_flags: list[str], colour: str, transports: list[str]
) -> None:
    peer = await open_peer(*adapter_flags)
    async with driving(colour) as driver:
        await _connected(driver, peer, transports=transports, auth={"token": "t"})
        sid = driver.client.get_sid()
        await peer.emit("n", 0)
        await driver.until_got("n", 1)
        for turn in range(3):
            await peer.cut(driver)
            await peer.emit("n", {"turn": turn, "blob": b"\x01"}, to=sid)
            await peer.emit("n", "text")
            await peer.restore(driver)
            await driver.until_got("n", 3 + 2 * turn)
            assert driver.client.get_sid() == sid
        await peer.emit("n", "live")
        await driver.until_got("n", 8)
    missed = [each for turn in range(3) for each in ({"turn": turn, "blob": b"\x01"}, "text")]
    assert driver.got("n") == [0, *missed, "live"]
    assert driver.got("connect") == [FRESH, RECOVERED, RECOVERED, RECOVERED]
    assert driver.names()[2] == "connect"  # Node sends it after what was missed; handlers see it before


async def test_the_string_of_a_volatile_packet_is_no_offset(
    open_peer: OpenPeer, adapter_flags: list[str], colour: str
) -> None:
    peer = await open_peer(*adapter_flags)
    async with driving(colour) as driver:
        await _connected(driver, peer)
        await peer.emit("n", 1)
        await driver.until_got("n", 1)
        await peer.emit("n", "goodbye", volatile=True)
        await driver.until_got("n", 2)
        await peer.cut(driver)
        await peer.emit("n", 2)
        await peer.restore(driver)
        await driver.until_got("n", 3)
    again = ["goodbye"] if adapter_flags else []  # redis-streams-adapter 0.3.1 replays volatile packets, too
    assert driver.got("n") == [1, "goodbye", *again, 2]
    assert driver.got("connect") == [FRESH, RECOVERED]


async def test_a_session_that_node_does_not_know_begins_anew(open_peer: OpenPeer, colour: str) -> None:
    first, second = await open_peer(), await open_peer()
    async with driving(colour) as driver:
        await _connected(driver, first)
        await first.emit("n", 1)
        await driver.until_got("n", 1)
        first.network.redirect(second.network.url)
        await driver.until_got("connect", 2)
        await second.emit("n", 2)
        await driver.until_got("n", 2)
        first.network.reset()
        await driver.until_got("connect", 3)
    assert driver.got("n") == [1, 2]
    assert driver.got("connect")[:2] == [FRESH, FRESH]


async def test_node_without_recovery(open_peer: OpenPeer, colour: str) -> None:
    peer = await open_peer("--no-recovery")
    async with driving(colour) as driver:
        await _connected(driver, peer)
        await peer.emit("n", "a", "b")
        await driver.until_got("n", 1)
        await peer.cut(driver)
        await peer.emit("n", "missed")
        await peer.restore(driver)
        await peer.emit("n", "c")
        await driver.until_got("n", 2)
    assert driver.got("n") == [("a", "b"), "c"]
    assert driver.got("connect") == [FRESH, FRESH]


async def test_messagepack(open_peer: OpenPeer, colour: str) -> None:
    peer = await open_peer("--msgpack")
    async with driving(colour, serializer="msgpack") as driver:
        await _connected(driver, peer)
        await peer.emit("n", {"b": b"\x01"})
        await driver.until_got("n", 1)
        await peer.cut(driver)
        await peer.emit("n", {"b": b"\x02"})
        await peer.restore(driver)
        await driver.until_got("n", 2)
    assert driver.got("n") == [{"b": b"\x01"}, {"b": b"\x02"}]
    assert driver.got("connect") == [FRESH, RECOVERED]


async def test_a_state_that_another_client_exported(
    open_peer: OpenPeer, adapter_flags: list[str], colour: str
) -> None:
    peer = await open_peer(*adapter_flags)
    async with driving(colour) as driver:
        await _connected(driver, peer)
        await peer.emit("n", 1)
        await driver.until_got("n", 1)
        state = await driver.do("suspend")
    await driver.until(lambda: peer.drops() == 1)
    await peer.emit("n", 2)
    async with driving(colour) as driver:
        driver.client.import_state(state)
        await _connected(driver, peer)
        await driver.until_got("n", 1)
        assert driver.got("n") == [2]
        assert driver.got("connect") == [RECOVERED]


async def test_a_client_calls_node(open_peer: OpenPeer, colour: str) -> None:
    peer = await open_peer()
    async with driving(colour) as driver:
        await _connected(driver, peer)
        assert await driver.do("call", "q", ("a", 1)) == ("a", 1)
