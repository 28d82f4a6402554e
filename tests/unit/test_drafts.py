"""What one server appends, another reads: every kind of entry, there and back."""

from typing import Any

import pytest

from recovery.core.control import (
    Acknowledgement,
    Control,
    Disconnection,
    Release,
    RoomsChange,
    ServerEvent,
    SessionAnswer,
    SessionChange,
    SessionRequest,
    Takeover,
    read_control,
)
from recovery.core.packets import AckRequest, Broadcast
from recovery.drafts import Drafts
from recovery.entries import Kind, PayloadCodec
from recovery.records import Audience, Draft, Room, Sid
from tests.unit.builders import CHAT, HERE, THERE, Frames, audience, stored

SID = Sid("s" * 20)
ROOMS = audience("news", 7, excluded=("x", 8))


@pytest.fixture(params=[False, True], ids=["json", "msgpack"])
def drafts(request: pytest.FixtureRequest) -> Drafts:
    return Drafts(THERE, PayloadCodec(prefer_msgpack=request.param))


def _control(drafts: Drafts, draft: Draft) -> Control:
    return read_control(stored(draft, 1), drafts.codec)


@pytest.mark.parametrize(
    "args",
    [
        ["hello"],
        ["hello", 1, None, "ü", {"deep": [True, {"x": 1.5}]}],
        ["bin", b"\x00", {"in": [b"\xff"]}],
        [""],
    ],
    ids=str,
)
@pytest.mark.parametrize("volatile", [False, True])
@pytest.mark.parametrize("to", [audience(), ROOMS], ids=["everyone", "rooms"])
def test_an_event(drafts: Drafts, args: list[Any], volatile: bool, to: Audience) -> None:
    packet = stored(drafts.broadcast(CHAT, args, to, volatile=volatile), 1)
    assert packet.head is not None
    assert (packet.head.namespace, packet.head.server, packet.head.rooms) == (CHAT, THERE, to.rooms)
    assert packet.broadcast(drafts.codec) == Broadcast(args, to, volatile=volatile, ack=None)


def test_an_event_that_asks_for_an_acknowledgement(drafts: Drafts) -> None:
    packet = stored(drafts.broadcast(CHAT, ["q"], audience(SID), request_id="42"), 1)
    assert packet.broadcast(drafts.codec).ack == AckRequest(THERE, "42")


def test_an_acknowledgement(drafts: Drafts) -> None:
    draft = drafts.acknowledge(CHAT, HERE, "42", ["yes", b"\x00", None])
    assert _control(drafts, draft) == Acknowledgement("42", ["yes", b"\x00", None])
    assert _target(draft) == HERE


@pytest.mark.parametrize("kind", [Kind.JOIN, Kind.LEAVE])
def test_a_change_of_rooms(drafts: Drafts, kind: Kind) -> None:
    rooms: list[Room] = ["a", 1]
    change = _control(drafts, drafts.change_rooms(kind, CHAT, ROOMS, rooms))
    assert change == RoomsChange(CHAT, ROOMS, rooms, entered=kind is Kind.JOIN)


def test_a_disconnection(drafts: Drafts) -> None:
    assert _control(drafts, drafts.disconnect(CHAT, ROOMS)) == Disconnection(CHAT, ROOMS)


def test_a_takeover(drafts: Drafts) -> None:
    takeover = _control(drafts, drafts.takeover(CHAT, SID, 3, HERE))
    assert takeover == Takeover(CHAT, SID, 3, claimer=THERE, holder=HERE)


def test_a_release(drafts: Drafts) -> None:
    draft = drafts.released(CHAT, SID, 3, HERE)
    assert _control(drafts, draft) == Release(CHAT, SID, 3)
    assert _target(draft) == HERE


def test_a_change_of_session_data(drafts: Drafts) -> None:
    data: dict[Any, Any] = {"user": {"id": 5, "key": b"\x00"}, 1: "int"}
    assert _control(drafts, drafts.set_session(CHAT, SID, data)) == SessionChange(CHAT, audience(SID), data)


def test_a_request_for_session_data_and_its_answer(drafts: Drafts) -> None:
    request = _control(drafts, drafts.fetch_session(CHAT, SID, "9"))
    assert request == SessionRequest(CHAT, audience(SID), AckRequest(THERE, "9"))
    answer = drafts.session(CHAT, HERE, "9", {"user": 1})
    assert _control(drafts, answer) == SessionAnswer("9", {"user": 1})
    assert _target(answer) == HERE


def test_an_event_for_servers_needs_no_client(drafts: Drafts) -> None:
    draft = drafts.server_event(CHAT, ["jobs", 1])
    assert _control(drafts, draft) == ServerEvent(CHAT, THERE, ["jobs", 1])


def test_every_kind_of_entry_is_tried_here() -> None:
    tried = {Kind.BROADCAST, Kind.ACK, Kind.JOIN, Kind.LEAVE, Kind.DISCONNECT, Kind.TAKEOVER, Kind.RELEASED}
    assert tried | {Kind.SET_SESSION, Kind.FETCH_SESSION, Kind.SESSION, Kind.SERVER_EVENT} == set(Kind)


def test_a_packet_is_encoded_once_for_all_and_once_more_without_its_offset() -> None:
    drafts, frames = Drafts(THERE, PayloadCodec()), Frames()
    packet = stored(drafts.broadcast(CHAT, ["hi"], audience()), 5)
    with_offset = [packet.frames(drafts.codec, frames, with_offset=True) for _ in range(3)]
    without = [packet.frames(drafts.codec, frames, with_offset=False) for _ in range(3)]
    assert [frame.args for frame in with_offset[2]] == [("hi", "5-0")]
    assert [frame.args for frame in without[2]] == [("hi",)]
    assert frames.encoded == 2


def _target(draft: Draft) -> str | None:
    head = stored(draft, 1).head
    assert head is not None
    return head.target
