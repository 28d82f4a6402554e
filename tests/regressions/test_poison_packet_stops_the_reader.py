"""A packet that one server can store and another cannot send ended the task that reads the stream.

Only `MalformedError` and `EncodingError` were caught around a packet; the front end's encoder raised
`TypeError` (a type of MessagePack beside binary) or `RecursionError` (data nested 600 deep), and from
then on no client of that server got anything.
"""

import base64
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from socketio.packet import Packet

from adapter.frames import EioFrames
from adapter.seams import EioPacket
from recovery.core.dispatcher import Dispatcher
from recovery.core.packets import AckRequest
from recovery.core.replay_log import ReplayLog
from recovery.entries import PayloadCodec
from recovery.offsets import ORIGIN
from recovery.packing import pack
from recovery.records import Entry, Namespace, Sid
from tests.unit.builders import HERE, NSP, at, entry, event, make_connection


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def _packed(payload: object) -> Entry:
    data = base64.b64encode(pack(payload))
    return Entry(at(1), {b"uid": b"peer", b"nsp": NSP.encode(), b"type": b"3", b"data": data})


def _event(*args: object) -> dict[str, object]:
    return {"packet": {"type": 2, "data": list(args)}, "opts": {"rooms": [], "except": [], "flags": {}}}


def _no_ack(namespace: Namespace, sid: Sid, ack: AckRequest) -> int:
    raise AssertionError("nothing here asks for an acknowledgement")


_ROOMS_NESTED = {**_event("e"), "opts": {"rooms": _nested(1015), "except": [], "flags": {}}}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(_event("e", b"", msgpack.ExtType(5, b"")), id="a type of its own beside binary"),
        pytest.param(_event("e", b"", _nested(600)), id="data nested deeper than JSON can go"),
        pytest.param(_ROOMS_NESTED, id="rooms nested deeper than their repr can go"),
    ],
)
def test_packets_after_a_poisonous_one_are_delivered(payload: object) -> None:
    log: ReplayLog[EioPacket] = ReplayLog(ORIGIN, max_entries=10, max_bytes=10_000)
    frames = EioFrames(Packet, _no_ack)
    dispatcher = Dispatcher(HERE, log, PayloadCodec(), frames, max_client_buffer=10)
    received: list[Any] = []

    def send(packets: Sequence[Any]) -> int:
        received.extend(packets)
        return len(received)

    connection: Any = make_connection()  # of fake frames; here it gets real ones
    connection.send = send
    dispatcher.add(connection)

    dispatcher.dispatch([_packed(payload), entry(event("next"), 2)])

    assert [packet.data for packet in received] == ['2["next","2-0"]']
    assert dispatcher.position == at(2)
    assert dispatcher.skipped == 1
