"""What ``@socket.io/redis-streams-emitter`` 0.1.1 appends is carried out by servers of ours as by Node's.

The package is not in every registry, so its entries are made here, in the form in which it writes them: uid
"emitter", a type of the adapter's, and data as JSON, or as MessagePack in base64 where there is binary data.
It trims to about 10 000 entries, knows of one stream, and writes neither acknowledgements nor sessions.
"""

import base64
import json
from contextlib import closing
from typing import Any

import msgpack
import pytest

from tests.cluster.mixed import Mixed
from tests.cluster.nodes import client_of
from tests.e2e.js_clients import Disconnected, JsClient, Received
from tests.waiting import async_wait_until

EVENT = 2
BROADCAST, JOIN, LEAVE, DISCONNECT, SERVER_SIDE_EMIT = 3, 4, 5, 6, 9  # MessageType of socket.io-adapter 2.5


@pytest.fixture
def kind() -> str:
    """Node's usual client for Redis."""
    return "redis"


class Emitter:
    """Appends to the stream of a cluster."""

    def __init__(self, store_url: str, stream: str) -> None:
        self._url = store_url
        self._stream = stream

    def emit(self, event: str, *args: Any, **target: Any) -> None:
        """An event for clients."""
        packet = {"type": EVENT, "data": [event, *args], "nsp": target.get("nsp", "/")}
        self._append(BROADCAST, {"packet": packet, "opts": _opts(**target)}, target.get("nsp", "/"))

    def change(self, kind: int, *rooms: str, **target: Any) -> None:
        """Rooms that clients join or leave."""
        self._append(kind, {"opts": _opts(**target), "rooms": list(rooms)})

    def disconnect(self, *, close: bool, **target: Any) -> None:
        """Clients that have to go."""
        self._append(DISCONNECT, {"opts": _opts(**target), "close": close})

    def server_side_emit(self, event: str, *args: Any) -> None:
        """An event for servers."""
        self._append(SERVER_SIDE_EMIT, {"packet": [event, *args]})

    def _append(self, kind: int, data: dict[str, Any], nsp: str = "/") -> None:
        try:
            text = json.dumps(data)
        except TypeError:  # bytes
            packed: Any = msgpack.packb(data)  # None for all its types know
            text = base64.b64encode(packed).decode()
        fields = {"uid": "emitter", "nsp": nsp, "type": str(kind), "data": text}
        with closing(client_of(self._url)) as store:
            store.xadd(self._stream, fields, maxlen=10_000, approximate=True)


def _opts(to: str | None = None, except_: str | None = None, **_other: Any) -> dict[str, Any]:
    return {
        "rooms": [] if to is None else [to],
        "flags": {},
        "except": [] if except_ is None else [except_],
    }


@pytest.fixture
def emitter(mixed: Mixed, store_url: str) -> Emitter:
    return Emitter(store_url, mixed.cluster.app)


def _both(mixed: Mixed) -> tuple[JsClient, JsClient]:
    return mixed.ours, mixed.theirs


async def test_events_reach_rooms_all_and_all_but_some(mixed: Mixed, emitter: Emitter) -> None:
    emitter.emit("n", 1, "2", b"\x03\x04")
    for client in _both(mixed):
        assert (await client.next(Received)).args[:3] == (1, "2", b"\x03\x04")
    emitter.emit("m", "ours", to=mixed.ours.sid)
    emitter.emit("m", "theirs", except_=mixed.ours.sid)
    emitter.emit("m", "all")
    assert await mixed.ours.events(2, "m") == ["ours", "all"]
    assert await mixed.theirs.events(2, "m") == ["theirs", "all"]


async def test_events_of_another_namespace_reach_that(mixed: Mixed, emitter: Emitter) -> None:
    chatting = await mixed.cluster.client(mixed.cluster.first, "/chat")
    emitter.emit("n", 1, nsp="/chat")
    emitter.emit("n", 2)
    assert await chatting.events(1, "n") == [1]
    for client in _both(mixed):
        assert await client.events(1, "n") == [2]


async def test_clients_join_and_leave_rooms(mixed: Mixed, emitter: Emitter) -> None:
    emitter.change(JOIN, "a", "b")
    emitter.change(JOIN, "c", to=mixed.ours.sid)
    emitter.change(LEAVE, "b", to="c")
    for number, room in enumerate("abc"):
        emitter.emit("n", number, to=room)
    emitter.emit("n", "end")
    assert await mixed.ours.events(3, "n") == [0, 2, "end"]
    assert await mixed.theirs.events(3, "n") == [0, 1, "end"]


async def test_a_client_that_was_away_gets_what_it_wrote(mixed: Mixed, emitter: Emitter) -> None:
    emitter.emit("n", 1)
    await mixed.ours.events(1, "n")
    await mixed.ours.drop()
    emitter.change(JOIN, "late", to=mixed.ours.sid)
    emitter.emit("n", 2, to="late")
    assert (await mixed.ours.reconnect(mixed.cluster.last.url)).recovered
    assert await mixed.ours.events(2, "n") == [1, 2]


@pytest.mark.parametrize("close", [False, True])
async def test_clients_are_disconnected(mixed: Mixed, emitter: Emitter, close: bool) -> None:
    emitter.disconnect(close=close)
    for client in _both(mixed):
        await client.next(Disconnected)


async def test_servers_hear_their_events(mixed: Mixed, emitter: Emitter) -> None:
    emitter.server_side_emit("ask", "world", 1, "2")
    for server in mixed.cluster.servers:
        assert [line["args"] for line in await server.wait_log("ask")] == [["world", 1, "2"]]

    async def heard() -> bool:
        return mixed.peer.asked() == [["world", 1, "2"]]

    await async_wait_until(heard, what="Node hears it")
