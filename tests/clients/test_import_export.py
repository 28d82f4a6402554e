"""States that are exported and imported: plain, checked, and of the right moment."""

import json
from typing import Any

import pytest

from recovery.errors import ConfigurationError
from tests.clients.drivers import Driver, driving
from tests.clients.scripted import PID, event, joined, offset, scripted


def state_of(**fields: Any) -> dict[str, Any]:
    return {"version": 1, "namespaces": {"/": {"pid": PID, "offset": None, "exact": False, **fields}}}


async def test_a_state_is_plain_and_opens_the_session_again(colour: str) -> None:
    async with scripted([*joined(), *event("n", 1, offset(1))], joined()) as server:
        async with driving(colour) as driver:
            driver.listen("n")
            await driver.connect(server.url)
            await driver.until_got("n", 1)
            state = await driver.do("suspend")
        assert state == state_of(offset=offset(1))
        async with driving(colour) as driver:
            driver.listen("connect")
            driver.client.import_state(json.loads(json.dumps(state)))
            await driver.connect(server.url)
            assert (await server.visited(2)).auths["/"] == {"pid": PID, "offset": offset(1)}
            assert driver.client.recovered()
            assert driver.client.export_state() == state_of(offset=offset(1), exact=True)


async def test_a_state_of_a_running_client_says_that_more_may_have_come(colour: str) -> None:
    """Its process may be killed at any time; the server is told once, until it has answered."""
    states: list[Any] = []
    async with scripted(
        [*joined(), *event("n", 1, offset(1)), *event("n", 2, offset(2))], [], joined()
    ) as server:
        async with driving(colour) as driver:

            def export(_number: int) -> None:
                states.append(driver.client.export_state())

            driver.listen("n", then=export)
            await driver.connect(server.url)
            await driver.until(lambda: len(states) == 2)
        assert states == [state_of(offset=offset(number), exact=True) for number in (1, 2)]
        async with driving(colour) as driver:
            driver.client.import_state(states[0])
            await driver.do("connect", server.url, transports=["websocket"], wait=False)
            (await server.visited(2)).cut()
            again = await server.visited(3)
            expected = {"pid": PID, "offset": offset(1), "offset_exact": True}
            assert (server.visits[1].auths["/"], again.auths["/"]) == (expected, expected)
            await again.send(event("n", 2, offset(2)))
            await driver.until(lambda: driver.client.get_sid() is not None)
            again.cut()
            assert "offset_exact" not in (await server.visited(4)).auths["/"]


async def test_suspending_ends_no_session_and_waits_for_handlers(driver: Driver) -> None:
    driver.listen("n", "disconnect")
    many = [frame for number in range(50) for frame in event("n", number, offset(number))]
    async with scripted([*joined(), *many]) as server:
        await driver.connect(server.url)
        await driver.until_got("n", 1)
        state = await driver.do("suspend")
        visit = await server.visited(1)
        await driver.until(lambda: visit.closed)
        assert visit.packets == []
    handled = driver.got("n")
    assert state["namespaces"]["/"]["offset"] == offset(handled[-1])
    assert handled == list(range(len(handled)))


async def test_suspending_ends_a_reconnection(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
    visit.cut()
    await driver.until(lambda: not driver.client.connected)
    assert await driver.do("suspend") == state_of()
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        assert (await server.visited(1)).auths["/"] == {"pid": PID}


def test_a_client_that_was_never_connected_has_nothing_to_export(colour: str) -> None:
    assert Driver(colour).client.export_state() == {"version": 1, "namespaces": {}}


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (None, "version 1"),
        ({}, "version 1"),
        ({**state_of(), "version": 2}, "version 1"),
        ({"version": 1}, "expected a dict"),
        ({"version": 1, "namespaces": [PID]}, "expected a dict"),
        ({"version": 1, "namespaces": {"chat": {"pid": PID, "offset": None}}}, "no namespace"),
        ({"version": 1, "namespaces": {"/": PID}}, "pid, offset and exact"),
        ({"version": 1, "namespaces": {"/": {"pid": PID}}}, "pid, offset and exact"),
        (state_of(pid=None), "the pid of '/'"),
        (state_of(pid=""), "the pid of '/'"),
        (state_of(offset=7), "the offset of '/'"),
        (state_of(exact=None), "exact of '/'"),
    ],
)
def test_anything_else_is_refused_without_showing_it(colour: str, state: Any, complaint: str) -> None:
    client = Driver(colour).client
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        client.import_state(state)
    assert PID[:8] not in str(caught.value)
    assert client.export_state()["namespaces"] == {}


async def test_a_state_is_imported_before_connecting(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        with pytest.raises(ConfigurationError, match="before connect"):
            driver.client.import_state(state_of())
