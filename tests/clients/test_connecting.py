"""How the clients connect, try again, give up and leave, against a server that follows a script."""

import asyncio
import threading
from typing import Any

import pytest
from socketio import packet as sio_packet
from socketio.base_client import reconnecting_clients
from socketio.exceptions import ConnectionError as SocketIOConnectionError

from adapter.client_state import ClientRecovery
from tests.clients.drivers import Driver, Gate, driving
from tests.clients.scripted import PID, event, frames, joined, offset, refused, scripted
from tests.faults.proxy import Proxy

RECOVERED, FRESH = ClientRecovery(recovered=True), ClientRecovery()


async def test_a_refused_namespace_is_an_error_and_ends_no_session(colour: str) -> None:
    def answer(_visit: Any, namespace: str, _auth: Any) -> Any:
        return joined() if namespace == "/" else refused(namespace, message="no")

    async with driving(colour) as driver, scripted(answer) as server:
        driver.listen("connect_error", namespace="/chat")
        with pytest.raises(SocketIOConnectionError, match="/chat"):
            await driver.connect(server.url, namespaces=["/", "/chat"])
        visit = await server.visited(1)
        await driver.until(lambda: visit.closed)
        assert visit.packets == []  # no DISCONNECT
        assert driver.got("connect_error", "/chat") == [{"message": "no"}]
        assert not driver.client.connected
        with pytest.raises(SocketIOConnectionError):
            await driver.connect(server.url, namespaces=["/", "/chat"])
        assert (await server.visited(2)).auths["/"] == {"pid": PID}


async def test_a_server_that_does_not_answer_is_given_up(driver: Driver) -> None:
    async with scripted([], joined()) as server:
        with pytest.raises(SocketIOConnectionError, match="no answer"):
            await driver.connect(server.url, wait_timeout=0.1)
        assert not driver.client.connected
        await driver.connect(server.url, wait_timeout=5)
        assert driver.client.connected


async def test_connect_goes_on_when_the_connection_breaks_before_it_was_let_in(driver: Driver) -> None:
    def hang_up(visit: Any, _namespace: str, _auth: Any) -> Any:
        visit.cut()
        return []

    driver.listen("connect")
    async with scripted(hang_up, hang_up, joined()) as server:
        await driver.connect(server.url)
        assert driver.got("connect") == [FRESH]
        assert driver.client.connected


async def test_a_break_before_connect_of_python_socketio_returns_is_noticed() -> None:
    """It sets `connected` at its end, whatever has happened; the reconnection would find it connected."""

    def answer(visit: Any, _namespace: str, _auth: Any) -> Any:
        return [] if visit is server.visits[0] else joined()

    async with driving("threads") as driver, scripted(answer) as server:
        client = driver.client
        loop, stock_open = asyncio.get_running_loop(), client.eio.connect

        def open_and_break(*args: Any, **kwargs: Any) -> None:
            stock_open(*args, **kwargs)
            if len(server.visits) == 1:
                loop.call_soon_threadsafe(server.visits[0].cut)
                client.eio.read_loop_task.join(10)

        client.eio.connect = open_and_break
        await driver.connect(server.url)
        assert client.connected


async def test_connect_waits_for_no_server_that_has_disconnected_the_client(driver: Driver) -> None:
    """DISCONNECT waits behind the connect handler; python-socketio takes such a client for let in."""
    gate = Gate(driver)
    gate.handler("connect")
    driver.listen("disconnect")
    async with scripted([*joined(), *frames(sio_packet.DISCONNECT, None)]) as server:
        connecting = asyncio.create_task(driver.connect(server.url, wait_timeout=60))
        await driver.until(lambda: driver.client._recovery.line("/").jobs, "DISCONNECT waiting")
        gate.open()
        await asyncio.wait_for(connecting, 10)
        await driver.until(lambda: "disconnect" in driver.names(), "the handler called")
        assert driver.names() == ["connect", "connect done", "disconnect"]
        assert not driver.client.connected


async def test_a_first_connection_may_be_tried_again(driver: Driver) -> None:
    driver.listen("connect")
    async with scripted(joined()) as server, Proxy(server.url) as network:
        network.refuse()
        connecting = asyncio.create_task(driver.connect(network.url, retry=True))
        await driver.until(lambda: driver.client in reconnecting_clients)
        await network.forward()
        await asyncio.wait_for(connecting, 20)
        assert driver.got("connect") == [FRESH]
        network.reset()
        await driver.until_got("connect", 2)
        assert driver.client.recovered()


async def test_without_reconnection_it_does_not_go_on(colour: str) -> None:
    def hang_up(visit: Any, _namespace: str, _auth: Any) -> Any:
        visit.cut()
        return []

    async with driving(colour, reconnection=False) as driver, scripted(hang_up, joined()) as server:
        with pytest.raises(SocketIOConnectionError, match="closed before"):
            await driver.connect(server.url)
        await driver.connect(server.url)
        assert driver.client.connected


async def test_it_reconnects_again_after_a_reconnection_was_given_up(colour: str) -> None:
    """python-socketio 5.18 never would: the reconnection that has ended stays noted."""
    async with driving(colour, reconnection_attempts=1) as driver:
        async with scripted(joined()) as server:
            driver.listen("connect", "__disconnect_final")
            await driver.connect(server.url)
            gone = await server.visited(1)
        gone.cut()
        await driver.until_got("__disconnect_final", 1)
        async with scripted(joined()) as server:
            await driver.connect(server.url)
            (await server.visited(1)).cut()
            assert (await server.visited(2)).auths["/"] == {"pid": PID}


async def test_a_client_that_is_told_to_be_gone_while_it_reconnects_stays_away(driver: Driver) -> None:
    async with scripted(joined(), []) as server:
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        await server.visited(2)  # which does not let it in
        await driver.do("disconnect")
        await driver.until(lambda: driver.client not in reconnecting_clients)
        await driver.until(lambda: all(visit.closed for visit in server.visits))
        assert not driver.client.connected


async def test_a_client_that_is_told_so_when_it_notices_a_break_stays_away(colour: str) -> None:
    """The reconnection is started after the disconnect handler."""
    async with driving(colour) as driver, scripted(joined()) as server:

        def leave(_reason: str) -> None:
            driver.client._recovery.end()  # what `disconnect` begins with

        driver.listen("disconnect", then=leave)
        driver.listen("__disconnect_final")
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        await driver.until_got("__disconnect_final", 1)
        assert len(server.visits) == 1


async def test_disconnect_ends_the_session_and_is_said_to_the_server(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        await driver.do("disconnect")
        visit = await server.visited(1)
        await driver.until(lambda: visit.packets == ["1"])
        await driver.connect(server.url)
        assert (await server.visited(2)).auths["/"] == {}


async def test_no_thread_is_left(colour: str) -> None:
    before = threading.active_count()
    async with driving(colour) as driver, scripted(joined()) as server:
        driver.listen("n")
        await driver.connect(server.url)
        await (await server.visited(1)).send(event("n", 1, offset(1)))
        await driver.until_got("n", 1)
        await driver.do("disconnect")
        await driver.until(lambda: threading.active_count() <= before + 1)  # one of `asyncio.to_thread`
