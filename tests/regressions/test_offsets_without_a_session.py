"""A client whose session cannot be saved is let in without a pid, and its packets carry offsets all the same.

JavaScript ignores them. A Python client strips them if there is a pid: its handlers got an argument too many,
which raises, so that it handled nothing as long as it stayed connected.
"""

from typing import Any

import pytest

from recovery.commands import SaveSession
from recovery.errors import StoreUnavailableError
from recovery.stores.memory import AsyncMemoryStore
from tests.clients.drivers import COLOURS, driving
from tests.clients.serving import serving


class _Forgetful(AsyncMemoryStore):
    """Saves no session."""

    async def execute_many(self, commands: Any) -> list[Any]:
        if any(isinstance(command, SaveSession) for command in commands):
            raise StoreUnavailableError("it is full", maybe_applied=False)
        return await super().execute_many(commands)


@pytest.mark.parametrize("colour", COLOURS)
async def test_handlers_get_what_was_emitted_where_no_session_could_be_saved(colour: str) -> None:
    async with serving(url=_Forgetful(), publish_timeout=0.2) as (sio, url), driving(colour) as driver:

        async def greet(sid: str, _environ: Any) -> None:
            await sio.emit("n", 1, to=sid)  # while the client is held

        sio.on("connect", greet)
        driver.listen("n")
        await driver.connect(url)
        await sio.emit("n", 2)
        assert await driver.until_got("n", 2) == [1, 2]
        assert driver.client.export_state()["namespaces"] == {}
