"""What the clients rely on in python-socketio and python-engineio is there, and is what they take it for."""

import asyncio
import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
import socketio
from socketio.base_client import reconnecting_clients

from adapter.client_seams import abort_reconnection, forget_reconnection, reconnection, surround_handlers
from tests.clients.drivers import Driver, driving
from tests.clients.scripted import joined, scripted

STOCK: dict[str, Any] = {"asyncio": socketio.AsyncClient, "threads": socketio.Client}


def test_the_names_about_reconnection_are_there(colour: str) -> None:
    client = STOCK[colour](handle_sigint=False)
    assert (client._reconnect_task, client._reconnect_abort) == (None, None)
    assert reconnection(client) is None
    abort_reconnection(client)  # harmless before any began


async def test_a_reconnection_is_found_stopped_and_forgotten(colour: str) -> None:
    async with driving(colour, reconnection_delay=60, reconnection_delay_max=60) as driver:
        async with scripted(joined()) as server:
            await driver.connect(server.url)
            visit = await server.visited(1)
        visit.cut()
        await driver.until(lambda: driver.client in reconnecting_clients)
        task = reconnection(driver.client)
        assert task is not None
        abort_reconnection(driver.client)
        await driver.until(lambda: task.done() if driver.asynchronous else not task.is_alive())
        assert reconnection(driver.client) is task  # what makes `forget_reconnection` necessary
        forget_reconnection(driver.client)
        assert reconnection(driver.client) is None


async def test_handlers_are_run_by_the_method_that_we_surround(colour: str) -> None:
    driver, surrounded = Driver(colour), list[str]()

    @contextmanager
    def around(event: str) -> Generator[None]:
        surrounded.append(event)
        yield

    surround_handlers(driver.client, around)
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        await driver.do("disconnect")
    assert surrounded == ["connect", "disconnect", "__disconnect_final"]


@pytest.mark.parametrize("name", ["message", "disconnect"])
def test_engineio_keeps_handlers_where_we_look_for_them(colour: str, name: str) -> None:
    client = STOCK[colour](handle_sigint=False)
    handler = client.eio.handlers[name]
    assert inspect.iscoroutinefunction(handler) is (colour == "asyncio")
    assert handler.__self__ is client


def test_what_is_replaced_is_public(colour: str) -> None:
    eio = STOCK[colour](handle_sigint=False).eio
    for name in ("connect", "start_background_task", "create_queue", "create_event", "send", "disconnect"):
        assert callable(getattr(eio, name))
    for name in ("queue", "state", "read_loop_task", "ws"):
        assert hasattr(eio, name)


async def test_a_message_is_handled_by_a_background_task_of_its_own(colour: str) -> None:
    """That start is where packets are taken over; without it nothing would arrive."""
    driver = Driver(colour)
    started: list[Any] = []
    start = driver.client.eio.start_background_task

    def noting(target: Any, *args: Any, **kwargs: Any) -> Any:
        started.append(target)
        return start(target, *args, **kwargs)

    driver.client.eio.start_background_task = noting
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        await driver.do("disconnect")
    assert driver.client._message in started


async def test_a_stock_client_loses_its_disconnect() -> None:
    """Why ours waits until it is sent. When this fails, `FLUSH_SECONDS` may go."""
    client = socketio.AsyncClient(handle_sigint=False)
    async with scripted(joined()) as server:
        await client.connect(server.url, transports=["websocket"])
        await client.disconnect()
        visit = await server.visited(1)
        async with asyncio.timeout(10):
            while not visit.closed:
                await asyncio.sleep(0.005)
        assert visit.packets == []
