"""The examples of the guides about clients run, and do what the guides say."""

import asyncio
import contextlib
import functools
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from socketio import AsyncClient

from adapter import AsyncRecoveryManager
from tests.clients.drivers import quiet_engineio
from tests.clients.serving import serving
from tests.docs.pages import DOCS, blocks
from tests.faults.proxy import Proxy
from tests.waiting import async_wait_until

PAGE = DOCS / "how-to" / "recover-in-python-clients.md"
OTHERS = DOCS / "how-to" / "other-clients.md"


@pytest.fixture(autouse=True)
def unclosed_connections_of_python_engineio() -> Iterator[None]:
    with quiet_engineio():
        yield


class Service:
    """A server that lets clients subscribe, and the network before it."""

    def __init__(self, sio: Any, network: Proxy) -> None:
        self.sio = sio
        self.network = network
        self.subscribed = asyncio.Event()
        sio.on("subscribe", self._subscribe)
        sio.on("connect", self._accept)

    async def _subscribe(self, sid: str, room: str) -> None:
        await self.sio.enter_room(sid, room)
        self.subscribed.set()

    async def _accept(self, sid: str, environ: object, auth: object = None) -> None:
        pass

    async def announce(self, text: str) -> None:
        await self.sio.emit("headline", text, room="news")


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as (sio, url), Proxy(url) as network:
        yield Service(sio, network)


def _example(name: str, url: str) -> dict[str, Any]:
    """The names that a block defines, with the server where the test has it."""
    [block] = [block for block in blocks(PAGE) if (block.language, block.name) == ("python", name)]
    names: dict[str, Any] = {"__name__": "page"}
    text = block.text.replace("http://localhost:8000", url).replace(
        "RecoveryClient()", "RecoveryClient(handle_sigint=False, reconnection_delay=0.1)"
    )
    exec(compile(text, f"{PAGE.name}:{block.line}", "exec"), names)  # noqa: S102 - our own page
    return names


async def _printed(capsys: pytest.CaptureFixture[str], so_far: list[str], *lines: str) -> None:
    async def there() -> bool:
        so_far.extend(capsys.readouterr().out.split())
        return len(so_far) >= len(lines)

    await async_wait_until(there, what=f"{lines}")
    assert so_far == list(lines)


async def _miss_something(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    so_far: list[str] = []
    async with asyncio.timeout(20):
        await service.subscribed.wait()
    await service.announce("one")
    await _printed(capsys, so_far, "one")
    service.network.refuse()
    await service.announce("two")
    await service.network.forward()
    await _printed(capsys, so_far, "one", "two")


async def test_the_asyncio_client_prints_what_it_missed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    names = _example("asyncio", service.network.url)
    task = asyncio.create_task(names["main"]())
    await _miss_something(service, capsys)
    await names["sio"].disconnect()
    await asyncio.wait_for(task, 20)


async def test_the_client_with_threads_prints_what_it_missed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    names = _example("threads", service.network.url)
    task = asyncio.create_task(asyncio.to_thread(names["main"]))
    await _miss_something(service, capsys)
    await asyncio.to_thread(names["sio"].disconnect)
    await asyncio.wait_for(task, 20)


async def test_a_client_that_restarts_goes_on(
    service: Service,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    so_far: list[str] = []
    for text in ("one", "two"):
        names = _example("restart", service.network.url)
        told_to_stop = asyncio.Event()
        running = asyncio.create_task(names["main"](told_to_stop))
        await async_wait_until(functools.partial(_connected, names["sio"]))
        assert not (tmp_path / "client-state.json").exists()  # it is used once
        if text == "one":
            await service.sio.emit("headline", text)
        await _printed(capsys, so_far, *("one", "two")[: ("one", "two").index(text) + 1])
        told_to_stop.set()
        await running
        await service.sio.emit("headline", "two")
    assert _mode(tmp_path / "client-state.json") == 0o600


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def _connected(sio: Any) -> bool:
    return sio.get_sid() is not None


async def test_a_simple_client_receives_what_it_missed(service: Service) -> None:
    names = _example("simple", service.network.url)
    async with names["SimpleRecoveryClient"](handle_sigint=False, reconnection_delay=0.1) as client:
        await client.connect(service.network.url)
        await service.sio.emit("headline", "one")
        assert await client.receive(timeout=10) == ["headline", "one"]
        service.network.refuse()
        await service.sio.emit("headline", "two")
        await service.network.forward()
        assert await client.receive(timeout=10) == ["headline", "two"]
        assert client.client.recovered()


async def test_offsets_can_be_turned_off_on_either_side() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(OTHERS):
        if block.language == "python":
            exec(compile(block.text, f"{OTHERS.name}:{block.line}", "exec"), names)  # noqa: S102 - our own page
    assert isinstance(names["manager"], AsyncRecoveryManager)
    dart = {"HTTP_USER_AGENT": "Dart/3.5 (dart:io)"}
    assert not names["wants_offsets"](dart)
    assert names["wants_offsets"]({})
    stock = {"QUERY_STRING": "EIO=4&t=1700000000.1"}
    assert not names["wants_offsets_unless_dart"](dart)
    assert not names["wants_offsets_unless_dart"](stock)
    assert await _arguments_with("") == 1
    assert await _arguments_with("?offsets=0") == 1
    assert await _arguments_with("?offsets=1") == 2


async def _arguments_with(query: str) -> int:
    """How many arguments a stock client's handler gets of an event with one."""
    async with serving() as (sio, url):
        client = AsyncClient(handle_sigint=False, reconnection=False)
        got: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def count_arguments(*args: Any) -> None:
            got.set_result(len(args))

        client.on("n", count_arguments)
        await client.connect(f"{url}/{query}", transports=["websocket"])
        await sio.emit("n", 1)
        async with asyncio.timeout(10):
            count = await got
        with contextlib.suppress(Exception):
            await client.disconnect()
    return count
