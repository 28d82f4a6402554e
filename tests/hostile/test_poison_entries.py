"""Whatever another program writes into the stream, the reader goes on, and says what it left out."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.packing import pack
from tests.hostile.poison import event, fields, inject, nested, packed
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, open_world, settle

_OPTS: dict[str, Any] = {"opts": {"rooms": [], "except": [], "flags": {}}}
_EXTENSION = msgpack.ExtType(5, b"")
_HALF = b'"\\ud800"'  # of a surrogate pair, as JSON writes it


def _deep(depth: int) -> bytes:
    """MessagePack of a map with a list in a list in a list; it may be read as deep as it may be written."""
    return b"\x81\xa1a" + b"\x91" * depth + b"\x01"


UNREADABLE: dict[str, Mapping[bytes, bytes]] = {
    "no data": fields(data=None),
    "neither JSON nor base64": fields(payload=b"\x00\xff"),
    "bad base64": fields(payload=b"AAA"),
    "base64 of no MessagePack": fields(payload=b"wcHB"),
    "MessagePack of no map": fields(payload=packed([1, 2])),
    "MessagePack with something behind it": fields(payload=packed(event("e")) + packed(1)),
    "MessagePack that promises 4 GB": fields(payload=b"3f////8="),
    "MessagePack nested 3000 deep": fields(payload=packed({"a": 1})[:4] + b"kZGR" * 1000),
    "JSON that ends early": fields(payload=b'{"packet":'),
    "JSON nested 100000 deep": fields(payload=b'{"a":' * 100_000),
    "a number of 5000 digits": fields(payload=b'{"packet":' + b"9" * 5000 + b"}"),
    "no packet": fields(payload=_OPTS),
    "a packet that is a list": fields(payload={**_OPTS, "packet": []}),
    "no arguments": fields(payload={**_OPTS, "packet": {"data": []}}),
    "an event named by a number": fields(payload={**_OPTS, "packet": {"data": [1]}}),
    "no opts": fields(payload={"packet": {"data": ["e"]}}),
    "opts that are text": fields(payload={"packet": {"data": ["e"]}, "opts": "x"}),
    "rooms that are text": fields(payload=event("e", rooms="abc")),
    "a room that is a map": fields(payload=event("e", rooms=[{}])),
    "a room that is half a character": fields(payload=event("e", rooms=["\ud800"])),
    "a room that is a huge number": fields(payload=event("e", rooms=[10**400])),
    "a room that is a boolean": fields(payload=event("e", rooms=[True])),
    "to is no JSON": fields(payload=event("e"), to=b"["),
    "to is a map": fields(payload=event("e"), to=b"{}"),
    "to is nested": fields(payload=event("e"), to=b"[" * 100_000),
    "to is half a character": fields(payload=event("e"), to=b"[" + _HALF + b"]"),
    "a namespace of no text": fields(payload=event("e"), nsp=b"\xff\xfe"),
    "a server of no text": fields(payload=event("e"), uid=b"\xff"),
    "a target of no text": fields(6, _OPTS, **{"for": b"\xff"}),
    "a requestId that is a number": fields(payload=event("e", requestId=5)),
    "more nesting than a packet can have": fields(payload=packed(event("e", b"", nested(600)))),
    "a type that no packet can have": fields(payload=packed(event("e", b"", _EXTENSION))),
    "a join without rooms": fields(4, _OPTS),
    "a join of a map": fields(4, {**_OPTS, "rooms": [{}]}),
    "a join of a room that cannot be saved": fields(4, {**_OPTS, "rooms": [10**30]}),
    "a leave without opts": fields(5, {"rooms": ["a"]}),
    "a disconnect without opts": fields(6, {}),
    "an acknowledgement that is no list": fields(12, {"requestId": "x", "packet": 5}),
    "a takeover of nobody": fields(100, {"claim": 1, "holder": "x"}),
    "a takeover with a huge number": fields(100, {"sid": "x", "claim": 10**400, "holder": "x"}),
    "a takeover with half a number": fields(100, {"sid": "x", "claim": 1.5, "holder": "x"}),
    "a release below zero": fields(101, {"sid": "x", "claim": -1}),
    "a session that is text": fields(102, {"session": "x"}, to=b'["SID"]'),
    "a session that is a list": fields(102, packed({"session": pack([1])}), to=b'["SID"]'),
    "a session that could not be saved": fields(102, packed({"session": _deep(1023)}), to=b'["SID"]'),
    "a session for all": fields(102, packed({"session": pack({})})),
    "a question without an id": fields(103, {}, to=b'["SID"]'),
    "an answer that is no map": fields(104, packed({"requestId": "x", "session": pack(5)})),
}

FOREIGN: dict[str, Mapping[bytes, bytes]] = {
    "no fields of ours": {b"a": b"b"},
    "an empty field": {b"": b""},
    "a type of tomorrow": fields(105, {"new": True}),
    "a type of Node that is not for the stream": fields(7, {}),
    "a type that is no number": fields(payload=event("e"), type=b"three"),
    "no namespace": fields(payload=event("e"), nsp=None),
    "a namespace that nobody is in": fields(payload=b"\xff", nsp=b"/elsewhere", to=b"[]"),
}


async def _client(world: World, server: Server) -> Client:
    client = await world.connected(server)
    await server.sio.emit("n", 0, to=client.sid)
    await settle()
    return client


def _addressed(entry: Mapping[bytes, bytes], client: Client) -> dict[bytes, bytes]:
    return {name: value.replace(b"SID", client.sid.encode()) for name, value in entry.items()}


@pytest.mark.parametrize("away", [False, True], ids=["live", "away"])
@pytest.mark.parametrize("what", UNREADABLE)
async def test_an_entry_that_cannot_be_read_is_left_out_and_said_once(
    world: World, caplog: pytest.LogCaptureFixture, what: str, away: bool
) -> None:
    server = world.server()
    client, witness = await _client(world, server), await _client(world, server)
    if away:
        client.cut()
        await settle()
    inject(world, *[_addressed(UNREADABLE[what], client if not away else witness)] * 3)
    await server.sio.emit("n", 1)
    await settle()
    if away:
        await world.connect(client, server)
        await settle()
        assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n")[-1] == witness.got("n")[-1] == 1
    assert server.runtime.dispatcher.skipped in {3, 6}  # once more when it is replayed, if it can be decoded
    said = [record for record in caplog.records if getattr(record, "event", "") == "entry.skipped"]
    assert 1 <= len(said) <= 3
    assert all(len(record.getMessage()) < 400 for record in said)


@pytest.mark.parametrize("what", FOREIGN)
async def test_an_entry_that_is_not_for_us_is_passed_in_silence(
    world: World, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    server = world.server()
    client = await _client(world, server)
    inject(world, FOREIGN[what])
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [0, 1]
    assert server.runtime.dispatcher.skipped == 0
    assert not caplog.records


_VALUES = st.one_of(st.binary(max_size=30), st.sampled_from([b"3", b"4", b"6", b"100", b"/", b"[]", b"{}"]))
_PACKED = st.recursive(
    st.one_of(
        st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5), st.binary(max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["packet", "data", "opts", "rooms", "except", "flags", "requestId", "sid", "claim"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=15,
).map(packed)


def _entry(kind: int, data: bytes, more: dict[str, str]) -> dict[bytes, bytes]:
    return fields(kind, data, **more)


_ENTRIES = st.lists(
    st.one_of(
        st.dictionaries(
            st.sampled_from([b"uid", b"nsp", b"type", b"data", b"to", b"for", b"epoch"]), _VALUES
        ),
        st.builds(
            _entry,
            st.sampled_from([3, 4, 5, 6, 12, 100, 101, 102, 103, 104]),
            _PACKED,
            st.sampled_from([{}, {"to": "[]"}, {"to": '["n"]'}, {"for": "x"}, {"nsp": "/nowhere"}]),
        ),
        st.sampled_from(list(UNREADABLE.values())),
    ),
    min_size=1,
    max_size=8,
)


async def _read_through(entries: list[dict[bytes, bytes]]) -> None:
    async with open_world() as world:
        server, other = world.server(), world.server()
        live, away = await _client(world, server), await _client(world, server)
        away.cut()
        await settle()
        inject(
            world, *({**entry, b"nsp": entry.get(b"nsp", b"/")} for entry in entries if b"epoch" not in entry)
        )
        if not live.is_connected:  # a disconnect is a disconnect, whoever wrote it
            return
        await server.sio.emit("n", 1)
        await settle(100)
        disconnected = b"6" in [entry.get(b"type") for entry in entries]
        if not disconnected:
            assert live.got("n") == [0, 1]
            await world.connect(away, other)
            await settle()
            assert (away.outcomes, away.got("n")) == (["fresh", "recovered"], [0, 1])
            assert away.events == live.events, "what is replayed is what was delivered"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ENTRIES)
def test_no_entry_stops_the_reader(entries: list[dict[bytes, bytes]]) -> None:
    asyncio.run(_read_through(entries))


async def test_an_entry_that_is_too_large_is_left_out_and_not_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server(log_max_bytes=100_000_000)
    client = await _client(world, server)
    held = server.runtime.dispatcher.log.bytes
    inject(world, fields(payload=event("huge", "x" * 50_000_000)))
    await server.sio.emit("n", 1)
    await settle()
    assert client.events == [["n", 0], ["n", 1]]
    assert server.runtime.dispatcher.log.bytes < held + 1000
    [said] = caplog.records
    assert "more than max_packet_bytes (16777216)" in said.getMessage()


async def test_a_server_that_reads_back_does_not_keep_what_is_too_large_either(world: World) -> None:
    server = world.server(max_packet_bytes=1000)
    client = await _client(world, server)
    client.cut()
    await settle()
    inject(world, fields(payload=event("huge", "x" * 10_000)))
    await server.sio.emit("n", 1)
    late = world.server(max_packet_bytes=1000)
    await world.connect(client, late)
    await settle()
    assert client.outcomes == ["fresh", "recovered"]
    assert client.events == [["n", 0], ["n", 1]]
    assert late.runtime.dispatcher.log.bytes < 1000


async def test_a_flood_of_poison_does_not_flood_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server()
    client = await _client(world, server)
    number = 30_000
    for _ in range(number // 1000):
        inject(world, *[fields(payload=b"\xff")] * 500, *[fields(payload=_OPTS)] * 500)
    await server.sio.emit("n", 1)
    while server.runtime.dispatcher.skipped < number:
        await settle()
    await settle()
    assert client.got("n") == [0, 1]
    assert len(caplog.records) <= 2 * number.bit_length()
    assert "30000 in all" not in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_the_number_of_causes_that_are_told_apart_is_bounded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server()
    await _client(world, server)
    words = ["".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(2000)]
    inject(world, *[fields(payload={"packet": {"data": [1]}, "opts": {word: 1}}, to="[]") for word in words])
    await settle()
    assert server.runtime.dispatcher.skipped == 2000
    assert len(caplog.records) < 100


async def test_an_entry_for_very_many_rooms_does_not_blow_up_the_index(world: World) -> None:
    server = world.server()
    client, away = await _client(world, server), await _client(world, server)
    for member in (client, away):
        await server.sio.enter_room(member.sid, "r77777")
    away.cut()
    await settle()
    rooms = [f"r{number}" for number in range(100_000)]
    await server.sio.emit("many", 1, room=rooms)
    await server.sio.emit("none", 1, room=[f"x{room}" for room in rooms])
    await settle()
    await world.connect(away, server)
    await settle()
    assert client.got("many") == away.got("many") == [1]
    assert client.got("none") == away.got("none") == []
    assert len(server.runtime.dispatcher.log._index) < 10


async def test_a_question_whose_answer_cannot_be_sent_is_not_answered(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server(max_packet_bytes=1000)
    client = await _client(world, server)
    inject(world, fields(103, {"requestId": "x" * 300}, to=f'["{client.sid}"]'))
    await settle()
    await server.sio.save_session(client.sid, {"text": "y" * 600})
    inject(world, fields(103, {"requestId": "x" * 300}, to=f'["{client.sid}"]'))
    await settle()
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [0, 1]
    assert [getattr(record, "event", "") for record in caplog.records] == ["publish.failed"]


async def test_what_a_stranger_puts_into_a_session_can_be_saved(world: World) -> None:
    """Else the client would be recovered, and then never be saved again."""
    server = world.server()
    client = await _client(world, server)
    sid = client.sid.encode()
    for data in (_deep(1022), _deep(1023), _deep(1024), pack({1: b"\xff", "d": _EXTENSION}), _deep(1023)):
        inject(world, fields(102, packed({"session": data}), to=b'["' + sid + b'"]'))
    inject(world, fields(4, {**_OPTS, "rooms": ["ok"]}), fields(4, {**_OPTS, "rooms": [2**64]}))
    await settle()
    await server.sio.enter_room(client.sid, "after")
    client.cut()
    await settle()
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert set(server.sio.rooms(client.sid)) == {client.sid, "ok", "after"}
    assert await server.sio.get_session(client.sid) == {1: b"\xff", "d": _EXTENSION}
