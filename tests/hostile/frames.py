"""Frames that no client library would send, as hypothesis strategies."""

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["PAYLOADS", "Frames", "conversations"]

Frames = list[str | bytes]

_SURROGATE = json.loads('"\\ud800"')
_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "connect", "disconnect", "__proto__", "*", _SURROGATE, "\x00", "a" * 5000]),
)
_NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**53, 2**63, 2**64, -(2**64), 10**300, 1e308])
)
_SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
PAYLOADS: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(_TEXTS, inner, max_size=4),
        st.fixed_dictionaries({"_placeholder": st.just(True), "num": inner}),
    ),
    max_leaves=12,
)
_PIDS = st.one_of(
    PAYLOADS,
    st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_", min_size=16, max_size=64),
    st.sampled_from(["x" * 10**5, "../../etc/passwd" * 2, "a\r\nFLUSHALL\r\n" * 2, "\u0661" * 20]),
)
_OFFSETS = st.one_of(
    PAYLOADS,
    st.builds("{}-{}".format, st.integers(), st.integers()),
    st.sampled_from(["$", ">", "+", "-", "0-0", f"{2**64}-0", "9" * 10**4 + "-0", "1-1 COUNT 5"]),
)
_AUTHS = st.one_of(
    PAYLOADS,
    st.fixed_dictionaries({"pid": _PIDS}, optional={"offset": _OFFSETS, "token": PAYLOADS}),
)
_NAMESPACES = st.one_of(
    st.sampled_from(["", "/,", "/chat,", "/nowhere,", "/chat?x=1,", "//,", "/\x00,", "/" + "a" * 5000 + ","]),
    st.text(max_size=10).map(lambda name: f"/{name},"),
)
_IDS = st.one_of(st.just(""), st.integers(min_value=0).map(str), st.sampled_from(["9" * 99, "9" * 101, "-1"]))


def _packet(kind: str, count: str, namespace: str, number: str, payload: Any) -> Frames:
    return [f"4{kind}{count}{namespace}{number}{json.dumps(payload)}"]


def _packets(types: str, payloads: st.SearchStrategy[Any]) -> st.SearchStrategy[Frames]:
    counts = st.sampled_from(["", "", "", "0-", "1-", "9-", "999999999-", "9999999999999-"])
    return st.builds(_packet, st.sampled_from(types), counts, _NAMESPACES, _IDS, payloads)


def _event(name: str, args: list[Any]) -> list[Any]:
    return [name, *args]


_NAMES = st.sampled_from(["echo", "connect", "disconnect", "message"])
_EVENTS = st.lists(PAYLOADS, max_size=4) | st.builds(_event, _NAMES, st.lists(PAYLOADS, max_size=3))


def _with_attachments(kind: str, number: str, data: Any, parts: list[bytes]) -> Frames:
    payload = json.dumps(["echo", data, {"_placeholder": True, "num": 0}])
    return [f"4{kind}{len(parts)}-{number}{payload}", *parts]


_PARTS = st.lists(st.binary(max_size=50), max_size=3)
_BINARY = st.builds(_with_attachments, st.sampled_from("56"), _IDS, PAYLOADS, _PARTS)
_RAW: st.SearchStrategy[Frames] = st.one_of(
    st.text(max_size=20).map(lambda text: ["4" + text]),
    st.text(min_size=1, max_size=20).map(lambda text: [text]),
    st.binary(max_size=40).map(lambda data: [data]),
    st.sampled_from(["2", "2probe", "3", "3probe", "5", "6", "0", "7", "bAAAA", "b!", "4", "40{", "42["]).map(
        lambda frame: [frame]
    ),
    st.just(["42" + "[" * 5000]),
    st.just(["40" + '{"pid":' * 2000]),
)
_CONNECTS = _packets("0", _AUTHS)
conversations: st.SearchStrategy[list[Frames]] = st.lists(
    st.one_of(
        _CONNECTS,
        _packets("23", _EVENTS),
        _packets("0123456", PAYLOADS),
        _BINARY,
        _RAW,
        st.just(["40"]),
        st.just(["41"]),
    ),
    min_size=1,
    max_size=12,
)
"""What one transport sends, in order; each item is one packet with its attachments."""
