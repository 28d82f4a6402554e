"""A program that ended without closing the manager hung for ever.

When its event loop ends, `asyncio.run` cancels each task once, and waits for all of them. On Python 3.11
`asyncio.wait_for`, through which redis-py sends, swallows a cancellation that comes just as the inner call
completes; the reader went on then, and the process never ended. It took traffic, and a few attempts.
"""

import asyncio
import contextlib
from typing import Any

from recovery.commands import Read
from recovery.offsets import Offset
from recovery.stores.redis.endpoints import endpoint_of_url
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.links import AsyncLink
from recovery.stores.redis.protocol import exchange


class Connection:
    """redis-py's, as far as a link uses it: what is sent swallows a cancellation, and an answer never comes.

    Args:
        cancelled_before: nothing is cancelled while it sends.
        introduces_itself: it sends while it connects, as redis-py's do.
    """

    socket_timeout: float | None = None

    def __init__(
        self, link: AsyncLink, *, cancelled_before: bool = False, introduces_itself: bool = False
    ) -> None:
        self._link = link
        self._cancelled_before = cancelled_before
        self._introduces_itself = introduces_itself
        self.answers_awaited = 0
        self.connected = False
        self.host, self.port = "localhost", 1

    async def connect(self) -> None:
        if self._introduces_itself:
            await self.send_packed_command([], check_health=False)
        self.connected = True

    async def disconnect(self, *, nowait: bool) -> None:
        self.connected = False

    def pack_commands(self, commands: Any) -> list[bytes]:
        return []

    async def send_packed_command(self, command: list[bytes], *, check_health: bool) -> None:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.current_task()
        assert task is not None, "a link is used in a task"

        def complete() -> None:
            sent.set_result(None)
            if not (self._cancelled_before or task.cancelling()):
                task.cancel()

        asyncio.get_running_loop().call_soon(complete)
        with contextlib.suppress(asyncio.CancelledError):  # Python 3.12 swallows nothing
            await asyncio.wait_for(sent, 5)

    async def read_response(self) -> Any:
        self.answers_awaited += 1
        if self._cancelled_before:
            return None
        await asyncio.Event().wait()


def _link(**options: bool) -> tuple[AsyncLink, Connection]:
    link = AsyncLink(endpoint_of_url("redis://localhost:1"))
    connection = Connection(link, **options)
    link._connection = connection
    return link, connection


def _read() -> Any:
    return exchange(Read(Offset(0, 0), count=1, block_ms=0), Keys("s", "p:"))


async def test_a_cancellation_that_is_lost_while_sending_ends_the_task_all_the_same() -> None:
    link, connection = _link()
    task = asyncio.create_task(link.run([_read()]))
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "the task goes on, and waits for an answer"
    assert task.cancelled()
    assert connection.answers_awaited == 0


async def test_a_cancellation_that_is_lost_while_connecting_ends_the_task_all_the_same() -> None:
    """A manager that was closed right after its first emit waited 5 s for its heartbeats to end."""
    link, connection = _link(introduces_itself=True)
    task = asyncio.create_task(link.run([_read()]))
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "the task goes on, and waits for an answer"
    assert task.cancelled()
    assert (connection.connected, connection.answers_awaited) == (False, 0)


async def test_a_task_that_was_cancelled_before_may_still_clear_up() -> None:
    link, connection = _link(cancelled_before=True)

    async def clear_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await link.run([_read()])

    task = asyncio.create_task(clear_up())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert connection.answers_awaited == 1
