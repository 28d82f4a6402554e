"""Handlers run once, in order, one after the other, whatever becomes of the connection; none deadlocks."""

import asyncio
import time
from typing import Any

import pytest

from adapter.client_state import ClientRecovery
from tests.clients.drivers import Driver, Gate, driving
from tests.clients.scripted import PID, Visit, event, joined, offset, scripted
from tests.faults.proxy import Proxy

FRESH, RECOVERED = ClientRecovery(), ClientRecovery(recovered=True)


async def test_two_hundred_packets_are_handled_in_order(driver: Driver) -> None:
    def dawdle(number: int) -> None:
        if not driver.asynchronous:
            time.sleep(0.002 if number % 7 == 0 else 0)

    driver.listen("n", then=dawdle)
    many = [frame for number in range(200) for frame in event("n", number, offset(number))]
    async with scripted([*joined(), *many]) as server:
        await driver.connect(server.url)
        assert await driver.until_got("n", 200) == list(range(200))


async def test_a_handler_ends_before_the_next_one_of_its_namespace_begins(driver: Driver) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("n")
    driver.listen("n", namespace="/chat")

    def answer(_visit: Visit, namespace: str, _auth: Any) -> Any:
        return joined(PID, namespace)

    async with scripted(answer) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("n", 2, offset(2)))
        await visit.send(event("n", 3, offset(3), namespace="/chat"))
        await driver.until_got("n", 1, "/chat")  # its own line goes on
        assert driver.got("n") == []
        gate.open()
        await driver.until_got("n", 1)
    assert [name for place, name, _ in driver.seen if place == "/"] == ["slow", "slow done", "n"]


async def test_packets_that_wait_outlive_their_connection_and_come_before_those_of_the_next(
    driver: Driver,
) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect", "n")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("n", 2, offset(2)))
        await driver.until_got("slow", 1)
        visit.cut()
        again = await server.visited(2)
        assert again.auths["/"]["offset"] == offset(2)  # it was taken over, and will be handled
        await again.send(event("n", 3, offset(3)))
        gate.open()
        await driver.until_got("n", 2)
    assert driver.names() == ["connect", "slow", "slow done", "n", "connect", "n"]
    assert driver.got("n") == [2, 3]


async def test_they_come_before_the_connect_handler_of_a_session_that_was_not_recovered(
    driver: Driver,
) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect", "n")
    async with scripted(joined(), joined("q" * 20)) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("n", 2, offset(2)))
        await driver.until_got("slow", 1)
        visit.cut()
        await (await server.visited(2)).send(event("n", 3, offset(3)))
        gate.open()
        await driver.until_got("n", 2)
    assert driver.names() == ["connect", "slow", "slow done", "n", "connect", "n"]
    assert driver.got("connect") == [FRESH, FRESH]


async def test_each_connect_handler_is_told_of_its_own_connection(driver: Driver) -> None:
    """One that waits must not hear of a later one: it would not know that a session has ended."""
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect")
    other = "q" * 20
    async with scripted(joined(), joined(other), joined(other)) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)))
        await driver.until_got("slow", 1)
        visit.cut()
        (await server.visited(2)).cut()
        await server.visited(3)
        gate.open()
        await driver.until_got("connect", 3)
    assert driver.got("connect") == [FRESH, FRESH, RECOVERED]


async def test_a_client_stays_connected_while_a_handler_takes_longer_than_it_waits(driver: Driver) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("connect")
    async with scripted(joined()) as server:
        await driver.connect(server.url, wait_timeout=0.2)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)))
        await driver.until_got("slow", 1)
        visit.cut()
        again = await server.visited(2)
        await driver.until(lambda: driver.client.get_sid() == "s")
        await asyncio.to_thread(time.sleep, 0.5)  # longer than it waits for CONNECT
        assert not again.closed
        gate.open()
        await driver.until_got("connect", 2)
        assert len(server.visits) == 2


async def test_a_handler_may_call_the_server(driver: Driver) -> None:
    driver.listen_and_call("ask", "call", "question", 7)
    driver.listen("n")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("ask", offset(1)), event("n", 2, offset(2)))
        await driver.until(lambda: visit.packets == ['21["question",7]'])
        assert driver.got("n") == []
        await visit.send(['431["answer"]'])
        await driver.until_got("n", 1)
    assert driver.got("call returned") == ["answer"]
    assert driver.names() == ["ask", "call returned", "n"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_server_may_ask_back_before_it_answers(driver: Driver, when: str) -> None:
    """Its question must not wait behind the handler that waits for its answer."""
    driver.listen_and_call("ask", "call", "question")
    driver.listen("n")
    driver.listen("back", then=(1).__add__)
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        question = event("back", 1, packet_id=9)
        first = [event("ask", offset(1)), event("n", 2, offset(2))]
        await visit.send(*first, *([question] if when == "before" else []))
        await driver.until(lambda: '21["question"]' in visit.packets)
        if when == "after":
            await visit.send(question)
        await driver.until(lambda: "39[2]" in visit.packets)
        assert driver.got("n") == []
        await visit.send(['431["answer"]'])
        await driver.until_got("n", 1)
    assert driver.got("call returned") == ["answer"]


async def test_questions_wait_in_line_otherwise(driver: Driver) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    driver.listen("back", then=lambda: "late")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("back", packet_id=3))
        await driver.until_got("slow", 1)
        assert driver.got("back") == []
        gate.open()
        await driver.until(lambda: visit.packets == ['33["late"]'])
    assert driver.names() == ["slow", "slow done", "back"]


async def test_an_acknowledgement_does_not_wait_in_line(driver: Driver) -> None:
    gate = Gate(driver)
    gate.handler("slow")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)))
        await driver.until_got("slow", 1)
        called = asyncio.create_task(driver.do("call", "question"))
        await driver.until(lambda: visit.packets == ['21["question"]'])
        await visit.send(["431[5]"])
        assert await asyncio.wait_for(called, 10) == 5
        gate.open()


async def test_a_handler_that_raises_is_logged_and_the_next_one_runs(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise ValueError("of the application")

    driver.listen("n", then=fail)
    async with scripted([*joined(), *event("n", 1, offset(1)), *event("n", 2, offset(2))]) as server:
        await driver.connect(server.url)
        await driver.until_got("n", 2)
        await driver.until(lambda: "of the application" in caplog.text)
    assert [getattr(record, "event", "") for record in caplog.records].count("handler.failed") == 1


async def test_a_disconnect_handler_that_raises_keeps_the_client_from_nothing(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    """With python-socketio 5.18 it takes itself for connected from then on, and never comes back."""

    def fail(*_args: Any) -> None:
        raise ValueError("of the application")

    driver.listen("connect")
    for namespace in ("/", "/chat"):
        driver.listen("disconnect", namespace=namespace, then=fail)
    async with scripted(lambda _visit, namespace, _auth: joined(PID, namespace)) as server:
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        await driver.until_got("connect", 2)
        assert (await server.visited(2)).auths["/"] == {"pid": PID}
        assert (len(driver.got("disconnect")), len(driver.got("disconnect", "/chat"))) == (1, 1)
        assert [getattr(record, "event", "") for record in caplog.records].count("handler.failed") == 2


async def test_a_connect_error_handler_that_raises_does_not_end_the_reconnection(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: Any) -> None:
        raise KeyError("of the application")

    driver.listen("connect")
    driver.listen("connect_error", then=fail)
    async with scripted(joined()) as server, Proxy(server.url) as network:
        await driver.connect(network.url)
        network.refuse()
        await driver.until_got("connect_error", 2)
        await network.forward()
        await driver.until_got("connect", 2)
    assert "handler.failed" in [getattr(record, "event", "") for record in caplog.records]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_handler_that_ends_its_thread_does_not_end_the_line() -> None:
    def leave(number: int) -> None:
        if number == 1:
            raise SystemExit

    async with driving("threads") as driver:
        driver.listen("n", then=leave)
        async with scripted([*joined(), *event("n", 1, offset(1)), *event("n", 2, offset(2))]) as server:
            await driver.connect(server.url)
            await driver.until_got("n", 2)


async def test_a_loop_that_closes_is_not_held_up_by_a_handler() -> None:
    def run() -> float:
        async def main() -> None:
            driver = Driver("asyncio")

            async def for_ever() -> None:
                driver.note("/", "n")
                await asyncio.sleep(3600)

            driver.client.on("n", for_ever)
            async with scripted([*joined(), *event("n"), *event("n")]) as server:
                await driver.connect(server.url)
                await driver.until_got("n", 1)

        begun = time.monotonic()
        asyncio.run(main())
        return time.monotonic() - begun

    assert await asyncio.to_thread(run) < 60
