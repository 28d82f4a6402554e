"""A poll takes packets out of a socket's queue as python-engineio's own does."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from engineio import AsyncServer
from engineio import packet as eio_packet
from engineio.async_socket import AsyncSocket
from engineio.exceptions import QueueEmpty

from adapter.packet_queues import PacketQueue
from adapter.polls import Poll, keep_close_apart, use_packet_queues
from adapter.seams import message

Polled = Callable[[Any], Callable[[], Any]]


@pytest.fixture(params=["ours", "stock"])
def polled(request: pytest.FixtureRequest) -> Polled:
    """Makes the poll of a socket: what is said here holds for both."""
    return _ours if request.param == "ours" else lambda socket: socket.poll


def _ours(socket: AsyncSocket) -> Poll:
    packets, socket.queue = socket.queue, PacketQueue()
    while not packets.empty():
        socket.queue.put_nowait(packets.get_nowait())
    return Poll(socket)


def _socket(*, patience: float = 60.0) -> AsyncSocket:
    half: Any = patience / 2  # fractions of a second are allowed, whatever pyright reads in the defaults
    server = AsyncServer(async_mode="asgi", ping_interval=half, ping_timeout=half)
    return AsyncSocket(server, "sid")


async def test_a_poll_returns_all_that_is_there(polled: Polled) -> None:
    socket = _socket()
    packets = [message("a"), message("b")]
    for packet in packets:
        socket.queue.put_nowait(packet)
    assert await polled(socket)() == packets
    await asyncio.wait_for(socket.queue.join(), 1)


async def test_a_poll_waits_for_the_first_packet(polled: Polled) -> None:
    socket = _socket()
    polling = asyncio.create_task(polled(socket)())
    await asyncio.sleep(0)
    packet = message("a")
    socket.queue.put_nowait(packet)
    assert await polling == [packet]
    await asyncio.wait_for(socket.queue.join(), 1)


async def test_the_word_to_end_stays_behind_packets_and_is_taken_alone(polled: Polled) -> None:
    socket = _socket()
    poll, packet = polled(socket), message("a")
    socket.queue.put_nowait(packet)
    socket.queue.put_nowait(None)
    assert await poll() == [packet]
    assert await poll() == []
    await asyncio.wait_for(socket.queue.join(), 1)


async def test_a_poll_gives_up_when_nothing_comes_in_time(polled: Polled) -> None:
    socket = _socket(patience=0.05)
    with pytest.raises(QueueEmpty):
        await polled(socket)()
    assert socket.queue.empty()


async def test_each_wait_has_the_whole_time() -> None:
    socket = _socket(patience=0.4)
    poll, packet = _ours(socket), message("a")
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        asyncio.get_running_loop().call_later(0.25, socket.queue.put_nowait, packet)
        assert await poll() == [packet]
    with pytest.raises(QueueEmpty):
        await poll()
    assert asyncio.get_running_loop().time() - began >= 0.25 + 0.25 + 0.4 - 0.05


async def test_a_poll_that_is_cancelled_has_nothing(polled: Polled) -> None:
    socket = _socket()
    polling = asyncio.create_task(polled(socket)())
    await asyncio.sleep(0)
    polling.cancel()
    with pytest.raises(QueueEmpty):
        await polling
    packet = message("a")
    socket.queue.put_nowait(packet)
    assert socket.queue.get_nowait() is packet


async def test_the_timer_of_a_poll_keeps_no_socket_in_memory() -> None:
    socket = _socket()
    socket.poll = _ours(socket)
    socket.queue.put_nowait(eio_packet.Packet(eio_packet.NOOP))
    polling = asyncio.create_task(socket.poll())
    await polling
    polling = asyncio.create_task(socket.poll())
    await asyncio.sleep(0)
    polling.cancel()
    await asyncio.wait([polling])
    assert polling.exception() is not None
    gone = ref(socket)
    del socket, polling
    gc.collect()
    assert gone() is None


async def test_all_polls_that_wait_give_up_in_time(polled: Polled) -> None:
    socket = _socket(patience=0.05)
    poll = polled(socket)
    results = await asyncio.gather(poll(), poll(), return_exceptions=True)
    assert [type(result) for result in results] == [QueueEmpty, QueueEmpty]


async def test_of_two_polls_the_second_waits_for_the_next_packet(polled: Polled) -> None:
    socket = _socket()
    poll, packets = polled(socket), [message("a"), message("b")]
    first, second = (asyncio.create_task(poll()) for _ in range(2))
    await asyncio.sleep(0)
    socket.queue.put_nowait(packets[0])
    assert await first == packets[:1]
    socket.queue.put_nowait(packets[1])
    assert await second == packets[1:]


async def test_only_sockets_get_a_packet_queue() -> None:
    server = AsyncServer(async_mode="asgi")
    use_packet_queues(server)
    assert isinstance(AsyncSocket(server, "sid").queue, PacketQueue)
    assert isinstance(server.create_queue(maxsize=3), asyncio.Queue)


async def test_a_socket_that_was_there_before_keeps_its_own_way() -> None:
    socket = _socket()
    keep_close_apart(socket)
    socket.queue.put_nowait(message("a"))
    assert [packet.data for packet in await socket.poll()] == ["a"]
