"""A session that is ended from outside: its client is closed, and comes back as a stranger."""

from contextlib import closing
from typing import Any

import pytest
import socketio

from adapter import AsyncRecoveryManager
from recovery.errors import StoreError
from recovery.inspect import SessionState, find_session, find_sessions, open_source
from recovery.inspect.ending import end_session
from recovery.reasons import Reason
from tests.inspect.recording import KEYS
from tests.interleavings.client import Client
from tests.interleavings.transports import WebSocketTransport
from tests.waiting import async_wait_until


@pytest.fixture(params=["memory", "valkey", "redis62"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{request.node.nodeid}"
    return str(request.getfixturevalue(f"{request.param}_url"))


async def _accept(_sid: str, _environ: Any, _auth: Any = None) -> None:
    pass


async def _connected(client: Client, app: Any) -> None:
    client.open(WebSocketTransport(app))

    async def is_connected() -> bool:
        return bool(client.is_connected)

    await async_wait_until(is_connected, what="connected")


async def test_a_connected_client_is_closed_and_is_no_longer_recovered(url: str) -> None:
    manager = AsyncRecoveryManager(url, checkpoint_interval=0.05)
    sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager, monitor_clients=False)
    sio.on("connect", _accept)
    app, client = socketio.ASGIApp(sio), Client()
    await _connected(client, app)
    before = client.sid
    with closing(open_source(url)) as source:
        [session] = find_sessions(source)
        assert session.state is SessionState.LIVE
        end_session(url, KEYS, session)

        async def is_closed() -> bool:
            return not client.is_connected

        await async_wait_until(is_closed, what="closed at the next checkpoint")
        await _connected(client, app)
        assert client.outcomes == ["fresh", "fresh"]
        assert client.sid != before
        assert manager.recovery(client.sid, "/").reason is Reason.DISCONNECTED
        ended = find_session(source, session.pid)
        assert ended is not None
        assert ended.state is SessionState.ENDED
        with pytest.raises(StoreError, match="disconnected"):
            end_session(url, KEYS, session)
    client.cut()
    await manager.close()
