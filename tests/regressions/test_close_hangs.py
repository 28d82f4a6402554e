"""Closing hung for ever when the reader lost its cancellation.

On Python 3.11 `asyncio.wait_for`, through which redis-py sends, swallows a cancellation that comes just as
the inner call completes; the reader then went on, and `close()` waited for it without end.
"""

import asyncio

from recovery.aio.tasks import end_tasks


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def reader() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(reader())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks([task])

    assert task.cancelled()
    assert swallowed == 2
