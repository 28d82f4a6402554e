"""Handlers that come to no end of their own: cancelled, or waiting for an answer that cannot come."""

import asyncio
import threading
from typing import Any

import pytest
from socketio.exceptions import TimeoutError as NoAnswer

from tests.clients.drivers import Driver, driving
from tests.clients.scripted import event, joined, offset, scripted


def _note_failure(driver: Driver, name: str) -> None:
    """Register a handler that asks the server, and notes how that fails."""

    async def ask_in_loop(*_args: Any) -> None:
        try:
            await driver.client.call("ask", timeout=20)
        except NoAnswer:
            driver.note("/", "no answer")

    def ask_in_thread(*_args: Any) -> None:
        try:
            driver.client.call("ask", timeout=20)
        except NoAnswer:
            driver.note("/", "no answer")

    driver.client.on(name, ask_in_loop if driver.asynchronous else ask_in_thread)


async def test_a_handler_that_waits_for_an_answer_holds_up_nothing_when_the_connection_breaks(
    driver: Driver,
) -> None:
    """The answer would have come by that connection."""
    _note_failure(driver, "question")
    driver.listen("connect", "n")
    first = [*joined(), *event("question", offset(1))]
    async with scripted(first, [*joined(), *event("n", 2, offset(2))]) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await driver.until(lambda: visit.packets)
        visit.cut()
        await driver.until_got("n", 1)
    assert driver.names() == ["connect", "no answer", "connect", "n"]


async def test_a_call_outside_of_handlers_ends_with_its_connection_too(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        call = asyncio.create_task(driver.do("call", "ask", timeout=20))
        await driver.until(lambda: visit.packets)
        visit.cut()
        with pytest.raises(NoAnswer, match="broke"):
            await call


async def test_a_handler_that_is_cancelled_holds_up_nothing() -> None:
    async with driving("asyncio") as driver, scripted(joined()) as server:
        tasks: list[asyncio.Task[Any]] = []

        async def slow(*_args: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            await asyncio.Event().wait()

        driver.client.on("slow", slow)
        driver.listen("n")
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("slow", offset(1)), event("n", 2, offset(2)))
        await driver.until(lambda: tasks)
        tasks[0].cancel()
        assert await driver.until_got("n", 1) == [2]
        await visit.send(event("n", 3, offset(3)))
        assert await driver.until_got("n", 2) == [2, 3]


@pytest.mark.filterwarnings("error")
async def test_a_loop_that_closes_begins_no_further_handler() -> None:
    """It cancels all tasks, and waits for them."""
    seen: list[str] = []
    async with scripted([*joined(), *event("slow", offset(1)), *event("n", 2, offset(2))]) as server:

        async def leave_at_once() -> None:
            driver = Driver("asyncio")
            begun = asyncio.Event()

            async def slow(*_args: Any) -> None:
                seen.append("slow")
                begun.set()
                await asyncio.Event().wait()

            driver.client.on("slow", slow)
            driver.client.on("n", lambda *_args: seen.append("n"))
            await driver.connect(server.url)
            async with asyncio.timeout(10):
                await begun.wait()

        thread = threading.Thread(target=asyncio.run, args=(leave_at_once(),))
        thread.start()
        await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    assert seen == ["slow"]


async def test_a_server_that_disconnects_before_connect_has_returned_is_heard(driver: Driver) -> None:
    """With threads its DISCONNECT may be handled before python-socketio says that the client is connected."""
    driver.listen("connect", "disconnect")
    client, opened = driver.client, driver.client.eio.connect

    def open_slowly(*args: Any, **kwargs: Any) -> None:
        opened(*args, **kwargs)
        handled.wait(10)

    handled = threading.Event()
    async with scripted([*joined(), "41"]) as server:
        if not driver.asynchronous:
            client.eio.connect = open_slowly
        connecting = asyncio.create_task(driver.connect(server.url))
        await driver.until_got("connect", 1)
        await driver.until(lambda: not client._recovery.is_busy())
        handled.set()
        await connecting
        visit = await server.visited(1)
        await driver.until(lambda: visit.closed and not client.connected)
        assert driver.names() == ["connect", "disconnect"]
        assert len(server.visits) == 1
