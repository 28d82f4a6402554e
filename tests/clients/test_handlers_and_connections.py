"""What handlers may do with the connection, and what becomes of them when it ends."""

from typing import Any

import pytest
from socketio import AsyncClientNamespace, ClientNamespace
from socketio.exceptions import BadNamespaceError

from adapter.client_state import ClientRecovery
from tests.clients.drivers import Driver, Gate, driving
from tests.clients.scripted import PID, event, joined, offset, scripted

FRESH, RECOVERED = ClientRecovery(), ClientRecovery(recovered=True)


async def test_a_handler_may_disconnect_and_no_further_handler_begins(driver: Driver) -> None:
    driver.listen_and_call("bye", "disconnect")
    driver.listen("n", "disconnect")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("bye", offset(1)), event("n", 2, offset(2)))
        await driver.until_got("disconnect returned", 1)
        await driver.until(lambda: visit.closed)
        assert visit.packets == ["1"]
    assert driver.names() == ["bye", "disconnect", "disconnect returned"]


async def test_a_connect_handler_may_disconnect(driver: Driver) -> None:
    driver.listen_and_call("connect", "disconnect")
    async with scripted(joined()) as server:
        with pytest.raises(Exception, match="closed before"):
            await driver.connect(server.url)
        visit = await server.visited(1)
        await driver.until(lambda: visit.closed)
        assert visit.packets == ["1"]


async def test_a_handler_may_connect_again(colour: str) -> None:
    async with driving(colour, reconnection=False) as driver, scripted(joined()) as server:
        driver.listen_and_call("again", "connect", server.url, transports=["websocket"])
        driver.listen("disconnect", "n")
        gate = Gate(driver)
        gate.handler("slow")
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("again", offset(2)))
        await driver.until_got("slow", 1)
        visit.cut()
        await driver.until_got("disconnect", 1)
        gate.open()
        await driver.until_got("connect returned", 1)
        await (await server.visited(2)).send(event("n", 3, offset(3)))
        assert await driver.until_got("n", 1) == [3]


async def test_a_handler_may_not_suspend(driver: Driver) -> None:
    errors: list[BaseException] = []

    async def suspend_in_loop() -> None:
        try:
            await driver.client.suspend()
        except RuntimeError as error:
            errors.append(error)

    def suspend_in_thread() -> None:
        try:
            driver.client.suspend()
        except RuntimeError as error:
            errors.append(error)

    driver.client.on("n", suspend_in_loop if driver.asynchronous else suspend_in_thread)
    async with scripted([*joined(), *event("n", offset(1))]) as server:
        await driver.connect(server.url)
        await driver.until(lambda: errors)
    assert "start a" in str(errors[0])


async def test_a_disconnect_by_the_server_waits_for_the_handlers_before_it(driver: Driver) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("disconnect", "n")
    async with scripted([*joined(), *event("slow", offset(1)), *event("n", 2, offset(2)), "41"]) as server:
        await driver.connect(server.url)
        await driver.until_got("slow", 1)
        assert driver.got("disconnect") == []
        gate.open()
        await driver.until_got("disconnect", 1)
        await driver.until(lambda: server.visits[0].closed)
        assert len(server.visits) == 1  # it does not reconnect
    assert driver.names() == ["slow", "slow done", "n", "disconnect"]


async def test_a_disconnect_by_the_server_that_comes_to_its_turn_too_late_ends_no_new_connection(
    driver: Driver,
) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect", "n")
    async with scripted([*joined(), *event("slow", offset(1)), "41"], joined()) as server:
        await driver.connect(server.url)
        await driver.until_got("slow", 1)
        (await server.visited(1)).cut()
        again = await server.visited(2)
        gate.open()
        await driver.until_got("connect", 2)
        await again.send(event("n", 2, offset(2)))
        await driver.until_got("n", 1)
        assert driver.client.connected


async def test_a_handler_may_emit_on_the_connection_that_there_is(driver: Driver) -> None:
    """Its packet came by the old one, which is no matter."""
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen_and_call("n", "emit", "echo")
    async with scripted([*joined(), *event("slow", offset(1)), *event("n", offset(2))], joined()) as server:
        await driver.connect(server.url)
        await driver.until_got("slow", 1)
        (await server.visited(1)).cut()
        again = await server.visited(2)
        await driver.until(lambda: driver.client.get_sid() is not None)
        gate.open()
        await driver.until(lambda: again.packets == ['2["echo"]'])


async def test_a_class_of_handlers_gets_what_was_emitted(colour: str) -> None:
    base: Any = AsyncClientNamespace if colour == "asyncio" else ClientNamespace
    async with driving(colour) as driver:

        class Everything(base):
            def on_connect(self) -> None:
                driver.note("/chat", "connect", self.client.recovered("/chat"))

            def on_n(self, *args: Any) -> None:
                driver.note("/chat", "n", *args)

        driver.client.register_namespace(Everything("/chat"))
        frames = [*joined(PID, "/chat"), *event("n", 1, offset(1), namespace="/chat")]
        async with scripted(frames, joined(PID, "/chat")) as server:
            await driver.connect(server.url)
            await driver.until_got("n", 1, "/chat")
            (await server.visited(1)).cut()
            await driver.until_got("connect", 2, "/chat")
    assert driver.got("n", "/chat") == [1]
    assert driver.got("connect", "/chat") == [False, True]


async def test_a_handler_may_connect_again_while_the_client_reconnects(driver: Driver) -> None:
    """It takes over from the reconnection, which must not wait for it."""
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect", "n")
    async with scripted(joined()) as server:
        driver.listen_and_call("again", "connect", server.url, transports=["websocket"])
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("again", offset(2)))
        await driver.until_got("slow", 1)
        visit.cut()
        gate.open()
        await driver.until_got("again", 1)
        await driver.until_got("connect", 2)
        await server.visits[-1].send(event("n", 3, offset(3)))
        await driver.until_got("n", 1)


async def test_emitting_where_it_is_not_connected_is_an_error_as_ever(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        with pytest.raises(BadNamespaceError):
            await driver.do("emit", "n", namespace="/chat")
