"""A change of rooms that could not be saved was lost for good by the next checkpoint that could.

A checkpoint writes the proven position only, and a recovery takes the saved rooms to be right up to there. So
after a failed save of the whole session the next write has to be whole again.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from adapter.background import Background
from adapter.clients import Client, Clients
from adapter.sessions import Sessions
from recovery.aio.session_writer import SessionWriter
from recovery.commands import Claimed, ClaimSession, Command
from recovery.entries import Kind
from recovery.errors import StoreUnavailableError
from recovery.records import Epoch, HolderState, ServerId
from recovery.sessions import decode_session
from recovery.settings import Settings
from recovery.stores.memory import AsyncMemoryStore
from tests.unit.builders import DRAFTS, HERE, NSP, PID, audience, dispatch, make_connection, make_dispatcher


class _Store(AsyncMemoryStore):
    """A store that can be made to give no answer."""

    away = False

    async def execute_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if self.away:
            return [StoreUnavailableError("no answer", maybe_applied=False) for _ in commands]
        return await super().execute_many(commands)


async def test_a_change_that_was_not_saved_is_saved_by_the_next_checkpoint() -> None:
    store = _Store()
    dispatcher, clients = make_dispatcher(), Clients()
    runtime: Any = SimpleNamespace(
        server=HERE, epoch=Epoch("e"), dispatcher=dispatcher, sessions=SessionWriter(store, timeout=0.01)
    )
    sessions = Sessions(
        lambda _namespace: runtime,
        clients,
        Settings(),
        Background(),
        live_ms=lambda: 60_000,
        lost=lambda client: None,
    )
    connection: Any = make_connection()  # with fake frames, of which nothing here is sent
    dispatcher.add(connection)
    client: Client = clients.add(connection)
    await sessions.save(client, HolderState.LIVE, create=True)

    store.away = True
    dispatch(dispatcher, DRAFTS.change_rooms(Kind.JOIN, NSP, audience("sid"), ["room"]))
    await sessions.save_quietly(client, HolderState.LIVE)
    store.away = False
    connection.note(dispatcher.position)
    connection.prove()
    await sessions.save_quietly(client, HolderState.LIVE, whole=False)

    claimed = await store.execute(ClaimSession(PID, NSP, "", Epoch("e"), ServerId("other"), "nonce"))
    assert isinstance(claimed, Claimed)
    session = decode_session(claimed.value)
    assert "room" in session.rooms or max(session.position, claimed.proven) < dispatcher.position
