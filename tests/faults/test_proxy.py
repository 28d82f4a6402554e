"""The proxy of the fault tests does to connections what it says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.proxy import Direction, Proxy
from tests.waiting import async_wait_until

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[Proxy], Awaitable[Stream]]

SOON = 5.0  # seconds within which what must come comes
NEVER = 0.1  # seconds after which it is believed not to come
_LIMIT = 2**24  # bytes of a line


class Echo:
    """A server that answers each line with ``<name>:<line>``, and keeps what it heard."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[bytes] = []
        self.open = 0
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self, path: Path | None = None) -> None:
        if path is not None:
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.url = f"unix://{path}"
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LIMIT)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while line := await reader.readline():
                self.heard.append(line.strip())
                writer.write(self.name.encode() + b":" + line)
                await writer.drain()
        self.open -= 1
        writer.close()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await async_wait_until(self._nobody, what="all connections ended")

    async def _nobody(self) -> bool:
        return self.open == 0


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo("one")
    await server.start()
    yield server
    await server.close()


@pytest_asyncio.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with Proxy(echo.url) as started:
        yield started


@pytest_asyncio.fixture
async def dial() -> AsyncIterator[Dial]:
    """Connects to a proxy; closes what it opened at the end."""
    opened: list[Stream] = []

    async def connect(proxy: Proxy) -> Stream:
        opened.append(await asyncio.open_connection("127.0.0.1", proxy.port, limit=_LIMIT))
        return opened[-1]

    yield connect
    for _, writer in opened:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def say(stream: Stream, line: bytes) -> None:
    stream[1].write(line + b"\n")
    await stream[1].drain()


async def hear(stream: Stream, seconds: float = SOON) -> bytes:
    async with asyncio.timeout(seconds):
        return (await stream[0].readline()).strip()


async def ask(stream: Stream, line: bytes) -> bytes:
    await say(stream, line)
    return await hear(stream)


async def hears_nothing(stream: Stream) -> None:
    with pytest.raises(TimeoutError):
        await hear(stream, NEVER)


async def test_it_forwards_to_a_port_and_to_a_unix_socket(dial: Dial, proxy: Proxy, tmp_path: Path) -> None:
    assert await ask(await dial(proxy), b"hello") == b"one:hello"
    unix = Echo("two")
    await unix.start(tmp_path / "socket")
    async with Proxy(unix.url) as other:
        assert other.url == f"redis://127.0.0.1:{other.port}"
        assert await ask(await dial(other), b"hello") == b"two:hello"
    await unix.close()


async def test_much_data_passes_whole(dial: Dial, proxy: Proxy) -> None:
    stream = await dial(proxy)
    line = b"x" * 2**22
    assert await ask(stream, line) == b"one:" + line


async def test_a_side_that_closes_closes_the_other(dial: Dial, proxy: Proxy, echo: Echo) -> None:
    stream = await dial(proxy)
    await ask(stream, b"hello")
    stream[1].close()
    await async_wait_until(lambda: _is(echo.open == 0), what="the server saw the end")
    assert proxy.connections == 0


async def test_while_it_refuses_nobody_gets_in_and_those_inside_are_reset(
    dial: Dial, proxy: Proxy, echo: Echo
) -> None:
    stream = await dial(proxy)
    await ask(stream, b"hello")
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        await hear(stream)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
    await proxy.forward()
    assert proxy.port == port
    assert await ask(await dial(proxy), b"again") == b"one:again"


async def test_what_a_hang_held_back_arrives_after_it(dial: Dial, proxy: Proxy, echo: Echo) -> None:
    old = await dial(proxy)
    await ask(old, b"before")
    proxy.hang()
    new = await dial(proxy)
    await say(old, b"old")
    await say(new, b"new")
    await hears_nothing(old)
    new[1].close()  # it gives up; what it said is on its way all the same
    assert echo.heard == [b"before"]
    await proxy.forward()
    assert await hear(old) == b"one:old"
    await async_wait_until(lambda: _is(b"new" in echo.heard), what="the late line")


async def test_one_direction_stalls_alone(dial: Dial, proxy: Proxy, echo: Echo) -> None:
    stream = await dial(proxy)
    await ask(stream, b"before")
    proxy.stall(Direction.TO_CLIENT)
    await say(stream, b"heard")
    await async_wait_until(lambda: _is(b"heard" in echo.heard), what="the way there")
    await hears_nothing(stream)
    await proxy.forward()
    assert await hear(stream) == b"one:heard"
    proxy.stall(Direction.TO_SERVER)
    await say(stream, b"unheard")
    await hears_nothing(stream)
    assert b"unheard" not in echo.heard
    await proxy.forward()
    assert await hear(stream) == b"one:unheard"


async def test_a_delay_is_added_to_each_way(dial: Dial, proxy: Proxy) -> None:
    stream = await dial(proxy)
    await ask(stream, b"before")
    proxy.slow_down(0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await ask(stream, b"slow") == b"one:slow"
    assert loop.time() - began >= 0.1


async def test_a_reset_is_an_error_on_both_sides_and_later_connections_are_good(
    dial: Dial, proxy: Proxy, echo: Echo
) -> None:
    streams = [await dial(proxy) for _ in range(3)]
    for stream in streams:
        await ask(stream, b"hello")
    assert proxy.reset() == 3
    for stream in streams:
        with pytest.raises(ConnectionResetError):
            await hear(stream)
    await async_wait_until(lambda: _is(echo.open == 0), what="the server was told")
    assert await ask(await dial(proxy), b"again") == b"one:again"


@pytest.mark.parametrize("after", range(len(b"one:hello\n") + 1))
async def test_a_reply_is_cut_after_so_many_bytes(dial: Dial, proxy: Proxy, after: int) -> None:
    other, stream = await dial(proxy), await dial(proxy)
    strike = proxy.cut_reply(after=after, to=b"hel")
    assert await ask(other, b"another") == b"one:another"
    await say(stream, b"hello")
    got = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        async with asyncio.timeout(NEVER if after == 10 else SOON):
            while chunk := await stream[0].read(100):
                got += chunk
    assert got == b"one:hello\n"[:after]
    assert strike.struck.is_set() == (after < 10)
    assert await ask(other, b"hello") == b"one:hello", "it strikes once"


async def test_a_reply_is_lost_although_the_command_was_carried_out(
    dial: Dial, proxy: Proxy, echo: Echo
) -> None:
    stream = await dial(proxy)
    strike = proxy.swallow_reply(to=b"second")
    assert await ask(stream, b"first") == b"one:first"
    await say(stream, b"second")
    with pytest.raises(ConnectionResetError):
        await hear(stream)
    assert strike.struck.is_set()
    assert echo.heard == [b"first", b"second"]


async def test_a_connection_on_which_a_reply_was_lost_may_stay_silent(
    dial: Dial, proxy: Proxy, echo: Echo
) -> None:
    stream, other = await dial(proxy), await dial(proxy)
    proxy.swallow_reply(to=b"hello", resets=False)
    await say(stream, b"hello")
    await hears_nothing(stream)
    await say(stream, b"more")
    await hears_nothing(stream)
    assert echo.heard == [b"hello", b"more"]
    assert await ask(other, b"hello") == b"one:hello"


async def test_a_command_is_recognized_in_two_halves_and_only_once(dial: Dial, proxy: Proxy) -> None:
    stream = await dial(proxy)
    first = proxy.swallow_reply(to=b"secret", resets=False)
    stream[1].write(b"sec")
    await stream[1].drain()
    await hears_nothing(stream)
    assert not first.seen.is_set()
    await say(stream, b"ret")
    await async_wait_until(lambda: _is(first.struck.is_set()), what="it was recognized")
    second = proxy.swallow_reply(to=b"secret", resets=False)
    await say(stream, b"x")
    await hears_nothing(stream)
    assert not second.seen.is_set(), "what was said before it does not count"


async def test_a_held_command_arrives_after_its_sender_has_gone(dial: Dial, proxy: Proxy, echo: Echo) -> None:
    old, new = await dial(proxy), await dial(proxy)
    held = proxy.hold_command(b"write")
    await say(old, b"write 1")
    async with asyncio.timeout(SOON):
        await held.caught.wait()
    old[1].close()
    assert await ask(new, b"write 2") == b"one:write 2"
    held.release()
    async with asyncio.timeout(SOON):
        await held.delivered.wait()
    await async_wait_until(lambda: _is(len(echo.heard) == 2), what="the late command")
    assert echo.heard == [b"write 2", b"write 1"]


async def test_it_leads_to_another_server(dial: Dial, proxy: Proxy) -> None:
    other = Echo("two")
    await other.start()
    stream = await dial(proxy)
    await ask(stream, b"hello")
    proxy.redirect(other.url)
    with pytest.raises(ConnectionResetError):
        await hear(stream)
    stream = await dial(proxy)
    assert await ask(stream, b"hello") == b"two:hello"
    stream[1].close()
    await other.close()


async def test_a_server_that_is_not_there_looks_like_a_reset(dial: Dial, proxy: Proxy) -> None:
    proxy.redirect("redis://127.0.0.1:1")
    stream = await dial(proxy)
    await say(stream, b"hello")
    with contextlib.suppress(ConnectionResetError):
        assert await hear(stream) == b""
    assert proxy.accepted == 1


async def _is(value: bool) -> bool:
    return value
