"""Of two writes of one session that waited together the later one won, whatever it said.

A checkpoint behind "ended" brought an ended session back to life; a straggler of an old claim replaced a
write of the new one, whose connection was then told that it had been overtaken.
"""

import asyncio
from typing import Any

from recovery.aio.session_writer import SessionWriter
from recovery.commands import ClaimRefused, Overtaken, Saved
from recovery.reasons import Reason
from recovery.records import HolderState, ServerId
from recovery.stores.memory import AsyncMemoryStore
from tests.contract.builders import claim, save


async def _written_together(writer: SessionWriter, *commands: Any) -> list[Saved | Overtaken]:
    return await asyncio.gather(*(writer.write(command) for command in commands))


async def test_an_ended_session_stays_ended() -> None:
    store = AsyncMemoryStore()
    writer = SessionWriter(store, timeout=1.0)
    await writer.write(save(create=True))

    await _written_together(writer, save(state=HolderState.ENDED, value=None), save(value=None))

    assert await store.execute(claim()) == ClaimRefused(Reason.DISCONNECTED)


async def test_a_write_of_an_old_claim_does_not_replace_one_of_the_new_claim() -> None:
    store = AsyncMemoryStore()
    writer = SessionWriter(store, timeout=1.0)
    await writer.write(save(create=True))
    await store.execute(claim())  # number 2 from here on
    new = save(number=2, owner=ServerId("server-2"), value=b"new")
    old = save(number=1, state=HolderState.AWAY, value=b"old")

    outcomes = await _written_together(writer, new, old)

    assert outcomes[0] == Saved()
    claimed: Any = await store.execute(claim(nonce="nonce-2"))
    assert claimed.value == b"new"
