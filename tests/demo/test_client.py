"""The demo's client: ways to lose a connection, and to come back. The rest is in tests/clients."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from adapter.demo.client import ConnectRefusedError, DemoClient, ProtocolError
from adapter.demo.server import EVENT
from tests.clients.drivers import quiet_engineio
from tests.clients.scripted import PID, event, joined, offset, refused, scripted
from tests.waiting import async_wait_until

Log = list[tuple[tuple[Any, ...], str | None]]


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


def client_with_log() -> tuple[DemoClient, Log]:
    log: Log = []
    return DemoClient({"token": 1}, lambda arguments, place: log.append((arguments, place))), log


async def logged(log: Log, count: int) -> None:
    async def there() -> bool:
        return len(log) >= count

    await async_wait_until(there)


async def test_it_comes_back_with_pid_and_the_last_offset_and_is_recovered_under_its_pid() -> None:
    first = [*joined(sid="s1"), *event(EVENT, 1, offset(1)), *event(EVENT, 2, offset(2))]
    async with scripted(first, [*joined(sid="s1"), *event(EVENT, 3, offset(3))]) as server:
        client, log = client_with_log()
        accepted = await client.connect(server.url)
        assert (accepted.sid, accepted.recovered) == ("s1", False)
        await logged(log, 2)
        await client.cut()
        assert (await client.connect(server.url)).recovered
        assert (await server.visited(2)).auths["/"] == {"pid": PID, "offset": offset(2), "token": 1}
        await logged(log, 3)
        await client.disconnect()
    assert log == [((number,), offset(number)) for number in (1, 2, 3)]


async def test_a_server_without_recovery_gives_no_offsets() -> None:
    async with scripted([*joined(None), *event(EVENT, 1)]) as server:
        client, log = client_with_log()
        assert not (await client.connect(server.url)).recovered
        await logged(log, 1)
        assert log == [((1,), None)]
        await client.disconnect()


async def test_a_refusal_is_an_error_of_its_own() -> None:
    async with scripted(refused(message="no"), joined()) as server:
        client, _ = client_with_log()
        with pytest.raises(ConnectRefusedError):
            await client.connect(server.url)
        await client.connect(server.url)
        await client.disconnect()


async def test_a_server_that_is_not_there_is_the_same() -> None:
    async with scripted(joined()) as server:
        url = server.url
    client, _ = client_with_log()
    with pytest.raises(ConnectRefusedError):
        await client.connect(url)


async def test_a_hang_up_ends_no_session_and_a_goodbye_does() -> None:
    async with scripted(joined()) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await client.hang_up()
        await client.connect(server.url)
        await client.disconnect()
        first, second = await server.visited(1), await server.visited(2)

        async def both_closed() -> bool:
            return first.closed and second.closed

        await async_wait_until(both_closed)
    assert (first.packets, second.packets) == ([], ["1"])


async def test_an_abandoned_connection_stays_open_and_is_not_read_any_more() -> None:
    async with scripted([*joined(), *event(EVENT, 1, offset(1))], joined()) as server:
        client, log = client_with_log()
        await client.connect(server.url)
        await logged(log, 1)
        await client.abandon()
        first = await server.visited(1)
        await first.send(event(EVENT, 2, offset(2)))
        assert (await client.connect(server.url)).recovered
        second = await server.visited(2)
        assert second.auths["/"]["offset"] == offset(1)
        await second.send(event(EVENT, 2, offset(2)))
        await logged(log, 2)
        assert not first.closed
        await client.disconnect()

        async def closed() -> bool:
            return first.closed

        await async_wait_until(closed)
    assert log == [((1,), offset(1)), ((2,), offset(2))]


async def test_a_connection_is_abandoned_in_the_middle_of_traffic() -> None:
    """A cancellation that Python loses to a packet must not leave the demo waiting."""
    async with scripted(joined()) as server:
        for turn in range(1, 21):
            client, log = client_with_log()
            await client.connect(server.url)
            visit = await server.visited(turn)
            sending = asyncio.create_task(visit.send(*(event(EVENT, n, offset(n)) for n in range(1, 40))))
            await logged(log, 1)
            await asyncio.wait_for(client.abandon(), 10)
            await sending
            assert [place for _, place in log] == [offset(n) for n in range(1, len(log) + 1)]
            await client.disconnect()


async def test_it_notices_when_the_server_closes() -> None:
    async with scripted(joined()) as server:
        client, _ = client_with_log()
        await client.connect(server.url)
        await (await server.visited(1)).connection.close()
        async with asyncio.timeout(10):
            await client.lost()
        begun = time.monotonic()
        await client.lost()  # there is none to lose
        await client.disconnect()
        assert time.monotonic() - begun < 60


async def test_an_error_in_the_handler_ends_the_connection_and_is_told() -> None:
    def refuse(arguments: tuple[Any, ...], _offset: str | None) -> None:
        raise ProtocolError(f"no use for {arguments}")

    async with scripted([*joined(), *event(EVENT)]) as server:
        client = DemoClient({}, refuse)
        await client.connect(server.url)
        async with asyncio.timeout(10):
            with pytest.raises(ProtocolError, match="no use for"):
                await client.lost()
        await client.disconnect()
