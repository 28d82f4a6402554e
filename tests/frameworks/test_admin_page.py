"""The page about the Admin UI: an admin watches a client that drops and recovers."""

import os
import signal
from typing import Any

import pytest
import redis

from tests.frameworks.recipes import ADMIN
from tests.frameworks.serving import Site
from tests.frameworks.visitors import SECONDS, Visitors, drop_and_return

SYNCHRONOUS = """
import os
import socketio
from adapter import RecoveryManager

manager = RecoveryManager("redis://localhost:6379")
sio = socketio.Server(async_mode="threading", client_manager=manager)
sio.instrument(auth={"username": "admin", "password": os.environ["ADMIN_PASSWORD"]})


@sio.event
def connect(sid, environ):
    if not environ["socketio.recovery"].recovered:
        sio.enter_room(sid, "news")


@sio.event
def publish(sid, text):
    sio.emit("headline", text, room="news")


app = socketio.WSGIApp(sio)
"""
COMMAND = "gunicorn -w 1 --threads 100 -b 127.0.0.1:8000 --graceful-timeout 1 synchronous:app"


@pytest.mark.parametrize("command", [ADMIN.command, COMMAND], ids=["asyncio", "threads"])
async def test_an_admin_watches_a_client_that_recovers(
    command: str, site: Site, visitors: Visitors, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "ADMIN_PASSWORD", "for this test")
    ADMIN.prepare(site)
    site.write("synchronous.py", SYNCHRONOUS)
    process = await site.serve(command)
    admin = await visitors.client(
        process, namespace="/admin", auth={"username": "admin", "password": "for this test"}
    )
    reader, writer = await visitors.client(process), await visitors.client(process)
    await drop_and_return(reader, writer, *[process.url] * 3)
    await admin.events(1, "server_stats", seconds=SECONDS)
    sent = [args[0:3] for args in admin.payloads("event_sent")]
    assert ("/", reader.sid, ["headline", "back-2"]) in sent
    assert [args[0:2] for args in admin.payloads("socket_disconnected")] == [("/", reader.sid)] * 3

    def has_joined_each_time() -> bool:
        joined = [args[0:3] for args in admin.payloads("room_joined")]
        return joined.count(("/", "news", reader.sid)) == 4

    await admin.until(has_joined_each_time, "the room, with the statistics", seconds=SECONDS)
    assert await process.terminate() in {0, -signal.SIGTERM}
    assert command == COMMAND or ADMIN.complaints(process) == []  # gunicorn says something of its own
    with redis.Redis.from_url(valkey_url) as store:
        entries: Any = store.xrange("socket.io")  # redis-py's types are those of both colours at once
    assert b"/admin" not in {fields.get(b"nsp") for _, fields in entries}


async def test_an_admin_without_the_password_is_refused(site: Site, visitors: Visitors) -> None:
    ADMIN.prepare(site)
    process = await site.serve(ADMIN.command)
    refused = await visitors.refused(process, namespace="/admin", auth={"username": "admin", "password": "?"})
    assert refused.message == "authentication failed"
