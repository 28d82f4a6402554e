"""A request of a session that a server does not have is refused with words that say what to look for."""

import json
import logging
from io import BytesIO
from typing import Any

import httpx
import pytest
import socketio

from adapter import AsyncRecoveryManager, RecoveryManager
from adapter.request_seams import ADVICE, explain_unknown_sessions

ASTRAY = "/socket.io/?EIO=4&transport=polling&sid=elsewhere"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_asyncio_server_says_what_to_look_for(method: str, caplog: pytest.LogCaptureFixture) -> None:
    manager = AsyncRecoveryManager()
    sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    transport = httpx.ASGITransport(socketio.ASGIApp(sio))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.request(method, ASTRAY)
    await manager.close()
    assert answer.status_code == 400
    assert answer.json() == f"Invalid session elsewhere: {ADVICE}"
    assert [each for each in caplog.records if getattr(each, "event", "") == "session.astray"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_synchronous_server_says_what_to_look_for(method: str) -> None:
    manager = RecoveryManager()
    app = socketio.WSGIApp(socketio.Server(async_mode="threading", client_manager=manager))
    path, _, query = ASTRAY.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.input": BytesIO(),
    }
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        statuses.append(status)

    body = b"".join(app(environ, start_response))
    manager.close()
    assert statuses == ["400 BAD REQUEST"]
    assert json.loads(body) == f"Invalid session elsewhere: {ADVICE}"


def test_the_log_hears_of_it_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "recovery.requests")
    now = [0.0]
    sio = socketio.Server(async_mode="threading")
    explain_unknown_sessions(sio, lambda: now[0])
    for second in range(61):
        now[0] = float(second)
        sio.eio._bad_request(f"Invalid session {second}")
    assert len(caplog.records) == 2


def test_other_refusals_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    sio = socketio.Server(async_mode="threading")
    stock = socketio.Server(async_mode="threading")
    explain_unknown_sessions(sio)
    for message in (None, "Invalid transport"):
        assert sio.eio._bad_request(message) == stock.eio._bad_request(message)
    assert not caplog.records
