"""Whatever another program puts under a session's key: refused, said once, and nothing is disturbed."""

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from recovery.errors import EncodingError, SaveError
from recovery.packing import pack, unpack
from recovery.reasons import Reason
from tests.hostile.poison import poison_claim
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle

_DEEP = b"\x81\xa1a" + b"\x91" * 1022 + b"\x01"


def _changed(value: bytes, **changes: Any) -> bytes:
    """A session with other fields; None leaves one out."""
    fields = {**unpack(base64.b64decode(value)), **changes}
    return base64.b64encode(pack({name: each for name, each in fields.items() if each is not None}))


def _with_field(name: str, field: Any, value: bytes) -> bytes:
    return _changed(value, **{name: field})


_PLACES: list[Any] = [None, 0, ["r"], [-1], [9], [[]]]
_WRONG: dict[str, list[Any]] = {
    "sid": [None, 5, b"x", ["x"], {}],
    "pid": [None, 5],
    "nsp": [None, 5],
    "rooms": [None, "abc", 5, {}, [None], [1.5], [True], [[]]],
    "data": [None, [], "x", 5],
    "epoch": [None, 5],
    "start": [None, 5, "x", "1", "-1-1", f"{2**64}-0", ["1-1"]],
    "position": [None, 5, "0", b"1"],
    "history": [
        *(None, {}, "x", [5], [["r"]], [[5, [0]]], [[[["1-1"]], [0]]], [[[["x", True]], [0]]]),
        *([[[["1-1", True]], places]] for places in _PLACES),
    ],
    "left": [5, "r", {}],
}

POISON: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no base64": lambda _: b"\x00\xff\xfe",
    "no MessagePack": lambda _: b"wcHB",
    "MessagePack that promises 4 GB": lambda _: b"3f////8=",
    "MessagePack nested too deeply": lambda _: base64.b64encode(b"\x91" * 5000 + b"\x01"),
    "a list": lambda _: base64.b64encode(pack([1])),
    "a map of nothing": lambda _: base64.b64encode(pack({})),
    "half of it": lambda value: value[: len(value) // 8 * 4],
    "a date beyond all dates": lambda value: _changed(value, data={"d": _timestamp()}),
    "data that could not be written again": lambda _: _too_deep(),
    "another's pid": lambda value: _changed(value, pid="p" * 32),
    "another's namespace": lambda value: _changed(value, nsp="/admin"),
    **{
        f"{name} is {value!r:.20}": partial(_with_field, name, value)
        for name, values in _WRONG.items()
        for value in values
    },
}


def _timestamp() -> Any:
    import msgpack  # noqa: PLC0415 - ships no types

    return msgpack.Timestamp(2**60, 0)


def _too_deep() -> bytes:
    return base64.b64encode(b"\x82\xa4data" + _DEEP + b"\xa3sid\xa1x")


async def _away(world: World, server: Server) -> Client:
    client = await world.connected(server)
    await server.sio.enter_room(client.sid, "r")
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    return client


@pytest.mark.parametrize("what", POISON)
async def test_a_session_that_cannot_be_read_is_refused_and_said_once(
    world: World, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    server = world.server()
    client = await _away(world, server)
    old, pid = client.sid, client.pid
    claim = poison_claim(world.state, pid)
    claim.value = POISON[what](claim.value)
    await server.sio.emit("n", 1)
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "fresh"]
    assert client.sid != old
    assert server.manager.outcomes == {Reason.SESSION_UNKNOWN.value: 1}
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) < 300
    assert pid not in said
    await server.sio.emit("n", 2)
    await settle()
    assert client.got("n") == [0, 2]
    client.cut()
    await settle()
    assert server.residue() == {}


@pytest.mark.parametrize(
    "history",
    [
        [[[], [0, 1]]],
        [[[["9-9", True], ["1-1", False], ["5-5", True]], [0, 1]]],
        [[[["1-1", True]] * 1000, [0, 1]]],
        [[[["1-1", True]], [0, 1]], [[["2-2", False]], [1] * 1000]],
    ],
    ids=["no changes", "in no order", "often the same", "twice"],
)
async def test_a_history_that_makes_no_sense_is_made_sense_of(world: World, history: Any) -> None:
    server = world.server()
    client = await _away(world, server)
    claim = poison_claim(world.state, client.pid)
    claim.value = _changed(claim.value, history=history, left=["r"])
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    await server.sio.enter_room(client.sid, "s")
    await server.sio.emit("n", 1, room="s")
    await settle()
    assert client.got("n") == [0, 1]


async def test_a_session_that_is_too_large_is_not_transferred(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server()
    client = await _away(world, server)
    claim = poison_claim(world.state, client.pid)
    claim.value, good = b"A" * 50_000_000, claim.value
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "fresh"]
    assert "has 50000000 bytes, more than max_session_bytes" in caplog.text
    assert claim.number == 1, "nothing was changed"
    claim.value = good


async def test_session_data_that_is_too_large_is_an_error_and_nothing_has_changed(world: World) -> None:
    server = world.server(max_session_bytes=2000)
    client = await world.connected(server)
    await server.sio.save_session(client.sid, {"text": "x" * 500})
    with pytest.raises(EncodingError, match=r"more than max_session_bytes \(2000\)"):
        await server.sio.save_session(client.sid, {"text": "x" * 2000})
    assert await server.sio.get_session(client.sid) == {"text": "x" * 500}
    client.cut()
    await settle()
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert await server.sio.get_session(client.sid) == {"text": "x" * 500}


async def test_a_room_too_many_is_said_and_leaving_it_helps(world: World) -> None:
    server = world.server(max_session_bytes=1000)
    client = await world.connected(server)
    with pytest.raises(SaveError, match=r"in force, and not saved: .*max_session_bytes"):
        await server.sio.enter_room(client.sid, "r" * 1000)
    await server.sio.emit("n", 1, room="r" * 1000)
    await settle()
    assert client.got("n") == [1]
    await server.ping(client)
    await settle()
    await server.sio.leave_room(client.sid, "r" * 1000)
    client.cut()
    await settle()
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert server.sio.rooms(client.sid) == [client.sid]


async def test_a_client_whose_session_can_no_longer_be_saved_does_not_come_back_in_vain_for_ever(
    world: World,
) -> None:
    server = world.server(max_session_bytes=1000)
    client = await world.connected(server)
    client.cut()
    await settle()
    await server.sio.enter_room(client.sid, "r" * 1000)
    world.dial(client, server)
    await settle(200)
    assert not client.is_connected
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "fresh"]
    assert server.manager.outcomes[Reason.DISCONNECTED.value] == 1


async def test_a_client_whose_session_cannot_be_saved_is_let_in_without_a_pid(world: World) -> None:
    server = world.server(max_session_bytes=100)
    client = await world.connected(server)
    assert client.pid == ""
    await server.sio.emit("n", 1)
    await settle()
    assert [event for event, *_ in client.events] == ["n"]


async def test_a_disconnect_ends_a_session_that_cannot_be_saved(world: World) -> None:
    """To end it, it need not be written: whoever was thrown out must not come back."""
    server = world.server(max_session_bytes=1000)
    client = await world.connected(server)
    with pytest.raises(SaveError):
        await server.sio.enter_room(client.sid, "r" * 1000)
    await server.sio.disconnect(client.sid)
    await settle()
    client.sockets["/"].ended = False
    await world.connect(client, server)
    assert server.manager.outcomes == {Reason.DISCONNECTED.value: 1}
