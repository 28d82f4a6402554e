"""What was emitted or changed before a question is seen in the answer, however late a server reads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import socketio

from adapter import AsyncRecoveryManager
from recovery.commands import Read
from recovery.stores.memory import AsyncMemoryStore, MemoryState
from tests.interleavings.client import Client
from tests.interleavings.harness import HeldStore, settle, until
from tests.interleavings.transports import WebSocketTransport


class TalkingStore(HeldStore):
    """A store whose commands can be held back, and whose channels cannot."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.open_channels = AsyncMemoryStore(state).open_channels


class Server:
    """One server; its client is in no room."""

    def __init__(self, state: MemoryState) -> None:
        self.store = TalkingStore(state)
        self.manager = AsyncRecoveryManager(self.store, block_time=0.05)
        self.sio = socketio.AsyncServer(async_mode="asgi", client_manager=self.manager)
        self.client = Client()
        self.calls: list[Any] = []

        @self.sio.event
        async def connect(_sid: str, _environ: Any) -> None: ...

        @self.manager.on_server_event("ask")
        def ask(*args: Any) -> str:
            self.calls.append(args)
            return "answer"

    async def start(self) -> None:
        await self.manager.ready()
        self.client.open(WebSocketTransport(socketio.ASGIApp(self.sio)))
        await until(lambda: self.client.is_connected)

    async def close(self) -> None:
        self.client.cut()
        await self.manager.close()


@pytest_asyncio.fixture(loop_scope="session")
async def servers() -> AsyncIterator[list[Server]]:
    state = MemoryState()
    opened = [Server(state), Server(state)]
    for server in opened:
        await server.start()
    yield opened
    for server in opened:
        await server.close()


async def test_a_list_of_clients_waits_for_the_change_before_it(servers: list[Server]) -> None:
    one, two = servers
    gate = two.store.hold_replies(Read)
    await until(lambda: gate.waiting)
    await one.manager.sockets_join("news")
    fetching = asyncio.create_task(one.manager.fetch_sockets(room="news"))
    await settle()
    assert not fetching.done()
    gate.release()
    assert {found.id for found in await fetching} == {one.client.sid, two.client.sid}


@pytest.mark.parametrize("what", ["broadcast_call", "server_side_call"])
async def test_a_question_waits_for_the_packet_before_it(servers: list[Server], what: str) -> None:
    one, two = servers
    gate = two.store.hold_replies(Read)
    await until(lambda: gate.waiting)
    await one.sio.emit("n", 1)
    asking = asyncio.create_task(getattr(one.manager, what)("ask", timeout=5))
    await settle()
    assert not asking.done()
    assert (two.client.got("ask"), two.calls) == ([], [])
    gate.release()
    if what == "server_side_call":
        await asking
        assert two.calls == [()]
    else:
        await until(lambda: two.client.got("ask"))
        assert [event[0] for event in two.client.events] == ["n", "ask"]
        asking.cancel()


async def test_a_change_is_in_force_here_when_it_returns(servers: list[Server]) -> None:
    one, _ = servers
    gate = one.store.hold_replies(Read)
    await until(lambda: gate.waiting)
    joining = asyncio.create_task(one.manager.sockets_join("news"))
    await settle()
    assert not joining.done()
    gate.release()
    await joining
    assert "news" in one.sio.rooms(one.client.sid)
