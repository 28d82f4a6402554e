"""Inputs from which fuzzing starts: what is well formed, and what once was a finding."""

import base64
import json
from typing import Any

from recovery.offsets import Offset
from recovery.packing import pack
from recovery.records import Epoch, Namespace, Pid, RoomChange, SavedSession, Sid
from recovery.sessions import encode_session

__all__ = ["SEEDS"]

_EVENT: dict[str, Any] = {
    "packet": {"type": 2, "data": ["e", 1]},
    "opts": {"rooms": ["a"], "except": [], "flags": {"volatile": True}},
}
_CONTROL: dict[str, Any] = {
    **_EVENT,
    "rooms": ["r", 5],
    "sid": "s",
    "claim": 1,
    "holder": "h",
    "requestId": "q",
    "session": pack({"a": 1}),
}
_SESSION = encode_session(
    SavedSession(
        sid=Sid("s"),
        pid=Pid("p" * 32),
        namespace=Namespace("/"),
        rooms=("s", "r"),
        data={"a": [1, None, b"x", 1.5]},
        epoch=Epoch("e"),
        start=Offset(1, 0),
        position=Offset(2, 0),
        history={"r": (RoomChange(Offset(1, 0), entered=True),)},
    )
)
_DEEP = b"\x91" * 1023 + b"\x01"


def _packed(payload: object) -> bytes:
    return base64.b64encode(pack(payload))


SEEDS: dict[str, list[bytes]] = {
    "head": [
        b"u\x00/\x003\x00{}\x00[]",
        b'u\x00/chat\x00100\x00{}\x00["a",5]\x00x',
        b'u\x00/\x003\x00\x00["\\ud800"]',
    ],
    "payload": [json.dumps(_EVENT).encode(), _packed(_EVENT), b"{" * 50, _packed(_CONTROL)],
    "entry": [
        *[bytes([kind]) + b"\x00" + json.dumps(_EVENT).encode() for kind in range(10)],
        *[bytes([kind]) + b"\x00" + _packed(_CONTROL) for kind in range(10)],
        b"\x00\x00" + _packed({**_EVENT, "opts": {"rooms": [2**64 - 1, True], "except": ["a"]}}),
    ],
    "session": [_SESSION, base64.b64encode(b"\x81\xa4data\x81\xa1a" + _DEEP), b"3f////8="],
    "user_session": [
        pack({"a": 1}),
        b"\x81\xa1a" + _DEEP,
        b"\x81\xa1a\xd6\xff\xff\xff\xff\xff",
        b"\x81\xa1a\xc7\x00\xf9",
    ],
    "auth": [
        b'{"pid":"' + b"p" * 32 + b'","offset":"1-0","t":[1]}',
        pack({"pid": b"x", 5: 6}),
        b'{"pid":{}}',
    ],
    "offset": [b"1-0", b"18446744073709551615-18446744073709551615", "\u0661-0".encode(), b"-1-1"],
}
