"""Connections that come and go leave nothing behind in a client, and a client that is gone nothing at all."""

import gc
from weakref import ref

import pytest

from tests.clients.drivers import COLOURS, Driver, driving
from tests.clients.scripted import PID, event, joined, offset, scripted
from tests.waiting import async_wait_until

_ASKED = 0.2  # seconds in which nobody collects garbage: to do so takes much longer, each time


async def test_many_connections_leave_no_more_than_one(driver: Driver) -> None:
    driver.listen("n")
    answer = [*joined(), *event("n", 1, offset(1)), *event("q", packet_id=1)]
    async with scripted(answer) as server:
        await driver.connect(server.url)
        for number in range(1, 8):
            await driver.until_got("n", number)
            (await server.visited(number)).cut()
        await driver.until_got("n", 8)
        client = driver.client
        line = client._recovery.line("/")
        await driver.until(lambda: not (line.busy or line.jobs or line.early), "nothing waiting")
        assert not client._recovery_watchers
        assert not client.callbacks
        assert list(client._recovery._lines) == ["/"]
        if driver.asynchronous:
            await driver.until(lambda: not (client._line_tasks or client._other_tasks), "no task")
        else:
            await driver.until(lambda: not client._line_threads, "no thread")


@pytest.mark.parametrize("colour", COLOURS)
async def test_nothing_is_left_of_a_client(colour: str) -> None:
    async with scripted(joined(PID)) as server:
        async with driving(colour) as driver:
            client = driver.client
            gone = [ref(client), ref(client._recovery), ref(client._recovery_reader), ref(client.eio)]
            del client
            await driver.connect(server.url)
            (await server.visited(1)).cut()
            await server.visited(2)
        del driver

        async def are_collected() -> bool:
            gc.collect()
            return not any(one() for one in gone)

        await async_wait_until(are_collected, timeout=_ASKED, what="the client collected")
