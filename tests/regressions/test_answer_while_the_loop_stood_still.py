"""A store was taken for silent because the event loop stood still.

Five thousand clients that came back at once kept the loop of their server busy for seconds. An answer lay in
the socket all that time, and the timer that waited for it ran out in the turn of the loop in which it was
read: the connection was dropped, and sessions were said not to be saved.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from recovery.commands import Command, GetStream, OpenStream, Read
from recovery.errors import StoreUnavailableError
from recovery.offsets import ORIGIN
from recovery.records import Epoch
from recovery.stores import open_async_store
from tests.contract.silent_server import silent_server
from tests.faults.outage import short_timeouts

NAMES = {"stream_name": "socket.io", "session_key_prefix": "sio:session:"}


@pytest.mark.parametrize("command", [GetStream(), Read(ORIGIN, 10, 100)], ids=["asks", "reads"])
async def test_a_loop_that_stands_still_is_no_silent_store(valkey_url: str, command: Command[Any]) -> None:
    with short_timeouts(0.05):
        store = open_async_store(valkey_url, **NAMES)
        await store.execute(OpenStream(Epoch("e")))
        await store.execute(Read(ORIGIN, 1, 10))  # both connections stand
        asking = asyncio.create_task(store.execute(command))
        while not asking.done():
            await asyncio.sleep(0)
            time.sleep(0.12)  # noqa: ASYNC251 - the loop stands still
        assert asking.result() is not None
        await store.close()


async def test_a_store_that_is_silent_is_given_up_however_busy_the_loop_is(tmp_path: Path) -> None:
    heard = asyncio.Event()
    async with silent_server(tmp_path / "server.sock", hangs_up=False, heard=heard) as url:
        with short_timeouts(0.05):
            store = open_async_store(url, **NAMES)
        asking = asyncio.create_task(store.execute(GetStream()))
        await heard.wait()
        for _ in range(40):
            await asyncio.sleep(0)
            time.sleep(0.06)  # noqa: ASYNC251 - the loop stands still
        assert isinstance(asking.exception(), StoreUnavailableError)
        await store.close()
