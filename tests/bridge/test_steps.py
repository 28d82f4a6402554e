"""What one step of a bridge does and says, and what crosses."""

import asyncio
import base64
import json
from typing import Any

import pytest

from recovery.aio.bridge import Bridge
from recovery.bridging import Staying, crossing
from recovery.commands import Command, Read
from recovery.driver import run
from recovery.entries import Kind, PayloadCodec
from recovery.errors import ConfigurationError, StoreUnavailableError
from recovery.flows.bridging import AtTarget, Terms, begin
from recovery.offsets import ORIGIN
from recovery.packing import pack
from recovery.records import Audience, Draft, Entry, Epoch, Namespace, ServerId, Sid
from recovery.stores.memory import AsyncMemoryStore
from tests.bridge.regions import CODEC, Bridging, Fault, Region, labels_of
from tests.unit.builders import DRAFTS
from tests.waiting import async_wait_until

NSP = Namespace("/")
EVERYONE = Audience()


@pytest.fixture
def east() -> Region:
    return Region("east", [1_000_000])


@pytest.fixture
def west() -> Region:
    return Region("west", [1_000_000])


@pytest.fixture
def bridge(east: Region, west: Region) -> Bridging:
    """From east to west, and it has begun."""
    begun = Bridging(east, west)
    begun.step()
    return begun


def test_a_step_tells_what_crossed_and_what_stayed(bridge: Bridging, east: Region) -> None:
    east.emit("one")
    east.emit("two", type=b"102")
    east.emit("three", via=b"north")
    east.emit("four", type=b"rubbish")
    carried = bridge.step()
    assert carried is not None
    assert carried.crossed == 1
    assert carried.stayed == {Staying.REGIONAL: 1, Staying.CARRIED: 1, Staying.UNREADABLE: 1}


@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.REQUEST_LOST])
def test_an_attempt_without_an_answer_counts_once(
    bridge: Bridging, east: Region, west: Region, fault: Fault
) -> None:
    east.emit("one")
    carried = bridge.step(fault)
    assert carried is not None
    assert (carried.crossed, carried.elsewhere) == (1, False)
    assert labels_of(west.entries()) == ["one"]


def test_who_finds_another_at_work_goes_on_from_there_and_says_so(
    bridge: Bridging, east: Region, west: Region
) -> None:
    other = Bridging(east, west)
    other.step()
    east.emit("one")
    other.step()
    carried = bridge.step()
    assert carried is not None
    assert (carried.crossed, carried.elsewhere) == (0, True)
    assert carried.bearings.position == east.state.last


def test_a_target_that_lost_what_was_carried_over_gets_a_new_epoch_and_the_entries_again(
    bridge: Bridging, east: Region, west: Region
) -> None:
    epoch = west.state.epoch
    copy = west.state.snapshot()
    east.emit("one")
    bridge.step()
    west.fail_over(copy)
    bridge.step()  # finds out
    bridge.step()
    assert labels_of(west.entries()) == ["one"]
    assert west.state.epoch != epoch


def test_both_ends_on_one_stream_are_refused(east: Region) -> None:
    def perform(command: Command[Any]) -> Any:
        return east.state.execute(command.command if isinstance(command, AtTarget) else command)

    with pytest.raises(ConfigurationError, match="have one stream"):
        run(begin(Terms("loop", 1000), (Epoch("one"), Epoch("two"))), perform)


async def test_a_target_that_is_away_holds_up_the_reading(east: Region, west: Region) -> None:
    """Or a bridge would need memory for all that is emitted meanwhile."""
    away = asyncio.Event()
    reads: list[Read] = []

    class Source(AsyncMemoryStore):
        async def execute(self, command: Command[Any]) -> Any:
            if isinstance(command, Read):
                reads.append(command)
            return await super().execute(command)

    class Target(AsyncMemoryStore):
        async def execute(self, command: Command[Any]) -> Any:
            if away.is_set():
                raise StoreUnavailableError("away", maybe_applied=False)
            return await super().execute(command)

    bridge = Bridge(Source(east.state), Target(west.state), Terms("east", 10**9), block_time=0.01)
    task = asyncio.create_task(bridge.run())
    await _until(lambda: bridge.meters.position is not None)
    away.set()
    labels = [f"packet-{number}" for number in range(50)]
    for label in labels:
        east.emit(label)
    await _until(lambda: bridge.meters.failures > 1)
    before = len(reads)
    await _until(lambda: bridge.meters.failures > 4)
    assert len(reads) == before
    assert _is_failing(bridge)
    away.clear()
    await _until(lambda: bridge.meters.crossed == 50)
    assert labels_of(west.entries()) == labels
    assert not _is_failing(bridge)
    task.cancel()
    await asyncio.wait([task])


def entry(draft: Draft) -> Entry:
    return Entry(ORIGIN, dict(draft.fields))


@pytest.mark.parametrize(
    "draft",
    [
        DRAFTS.broadcast(NSP, ["news", b"\x00"], Audience(("lobby",), ("sid",))),
        DRAFTS.broadcast(NSP, ["cursor", 1], EVERYONE, volatile=True),
        DRAFTS.change_rooms(Kind.JOIN, NSP, EVERYONE, ["lobby"]),
        DRAFTS.change_rooms(Kind.LEAVE, NSP, EVERYONE, ["lobby"]),
        DRAFTS.disconnect(NSP, Audience(("lobby",)), close=True),
        DRAFTS.broadcast(NSP, ["say", "requestId"], EVERYONE),  # the word alone asks for nothing
    ],
    ids=["binary", "volatile", "join", "leave", "disconnect", "word"],
)
def test_what_is_for_clients_crosses_unchanged_but_for_its_author(draft: Draft) -> None:
    crossed = crossing(entry(draft), "east", CODEC)
    assert isinstance(crossed, Draft)
    expected = {**dict(draft.fields), b"uid": b"emitter", b"via": b"east"}
    assert dict(crossed.fields) == expected


@pytest.mark.parametrize("prefer_msgpack", [False, True])
def test_what_is_to_be_acknowledged_stays(prefer_msgpack: bool) -> None:
    codec = PayloadCodec(prefer_msgpack=prefer_msgpack)
    drafts = type(DRAFTS)(ServerId("there"), codec)
    draft = drafts.broadcast(NSP, ["ask"], EVERYONE, request_id="r1")
    assert crossing(entry(draft), "east", CODEC) is Staying.REGIONAL


@pytest.mark.parametrize(
    "draft",
    [
        DRAFTS.acknowledge(NSP, ServerId("here"), "r1", []),
        DRAFTS.server_event(NSP, ["ask"]),
        DRAFTS.takeover(NSP, Sid("sid"), 2, ServerId("here")),
        DRAFTS.released(NSP, Sid("sid"), 2, ServerId("here")),
        DRAFTS.set_session(NSP, Sid("sid"), {}),
        DRAFTS.fetch_session(NSP, Sid("sid"), "r1"),
        DRAFTS.session(NSP, ServerId("here"), "r1", {}),
    ],
    ids=["ack", "server event", "takeover", "released", "set", "fetch", "session"],
)
def test_what_is_between_servers_stays(draft: Draft) -> None:
    assert crossing(entry(draft), "east", CODEC) is Staying.REGIONAL


@pytest.mark.parametrize("binary", [False, True])
def test_an_entry_of_nodes_crosses(binary: bool) -> None:
    payload = {"packet": {"type": 2, "data": ["news"], "nsp": "/"}, "opts": {"rooms": [], "except": []}}
    data = base64.b64encode(pack(payload)) if binary else json.dumps(payload).encode()
    fields = {b"uid": b"a1b2", b"nsp": b"/", b"type": b"3", b"data": data}
    crossed = crossing(Entry(ORIGIN, fields), "east", CODEC)
    assert isinstance(crossed, Draft)
    assert dict(crossed.fields) == {**fields, b"uid": b"emitter", b"via": b"east"}


@pytest.mark.parametrize(
    "fields",
    [
        {b"nsp": b"/"},
        {b"nsp": b"\xff", b"type": b"3"},
        {b"nsp": b"/", b"type": b"3", b"data": b"!!", b"to": b"[]"},
        {b"nsp": b"/", b"type": b"3", b"data": b"{}", b"to": b"{"},
        {},
    ],
)
def test_what_nobody_can_read_stays(fields: dict[bytes, bytes]) -> None:
    assert crossing(Entry(ORIGIN, fields), "east", CODEC) is Staying.UNREADABLE


def test_the_genesis_of_a_stream_is_nothing_to_count() -> None:
    assert crossing(Entry(ORIGIN, {b"epoch": b"e1"}), "east", CODEC) is None


def _is_failing(bridge: Bridge) -> bool:
    return bridge.meters.failing


async def _until(predicate: Any) -> None:
    async def so() -> bool:
        return bool(predicate())

    await async_wait_until(so)
