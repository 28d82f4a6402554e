"""Messages between servers are read as Node writes them, and anything else is refused."""

from typing import Any

import pytest

from recovery.entries import PayloadCodec
from recovery.errors import EncodingError, MalformedError
from recovery.messages import Message, MessageKind, decode_message, encode_message, event_of
from recovery.packing import pack, unpack
from recovery.records import Namespace, ServerId

CODEC = PayloadCodec()
HEARTBEAT = Message(MessageKind.HEARTBEAT, ServerId("c2f0"), Namespace("/"), {})


@pytest.mark.parametrize("kind", MessageKind)
def test_a_message_comes_back(kind: MessageKind) -> None:
    message = Message(kind, ServerId("c2f0"), Namespace("/chat"), {"packet": [b"\x00", 1.5, None, "text"]})
    assert decode_message(encode_message(message, CODEC), CODEC) == message


def test_a_message_without_data_has_none() -> None:
    assert unpack(encode_message(HEARTBEAT, CODEC)) == {"uid": "c2f0", "nsp": "/", "type": 2}
    assert decode_message(pack({"uid": "c2f0", "nsp": "/", "type": 2}), CODEC) == HEARTBEAT


@pytest.mark.parametrize(
    "fields",
    [
        {"uid": "c2f0", "nsp": "/"},
        {"uid": "c2f0", "nsp": "/", "type": 99},
        {"uid": "c2f0", "nsp": "/", "type": "2"},
        {"uid": 5, "nsp": "/", "type": 2},
        {"uid": "c2f0", "type": 2},
        {"uid": "c2f0", "nsp": "/", "type": 2, "data": [1]},
        ["uid"],
        None,
    ],
    ids=str,
)
def test_what_is_no_message_is_refused(fields: Any) -> None:
    with pytest.raises(MalformedError):
        decode_message(pack(fields), CODEC)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"{}", b"\x81" * 5000])
def test_what_is_no_messagepack_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_message(payload, CODEC)


def test_data_that_cannot_travel_is_refused() -> None:
    message = Message(MessageKind.SERVER_SIDE_EMIT, ServerId("c2f0"), Namespace("/"), {"packet": [object()]})
    with pytest.raises(EncodingError):
        encode_message(message, CODEC)


@pytest.mark.parametrize("packet", [None, [], [1], "ask", {"data": []}, {"type": 2}])
def test_what_is_no_event_is_refused(packet: Any) -> None:
    with pytest.raises(MalformedError):
        event_of({"packet": packet})
