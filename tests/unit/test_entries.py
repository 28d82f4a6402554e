"""Entries on the wire: Node's two forms, and nothing but `MalformedError` for what is neither."""

import base64
import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recovery.core.control import read_control
from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec, decode_audience, make_draft, read_head
from recovery.errors import EncodingError, MalformedError
from recovery.packing import pack
from recovery.records import Audience, Entry
from tests.unit.builders import HERE, NSP, Frame, at

CODEC = PayloadCodec()

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
finite = st.floats(allow_nan=False, allow_infinity=False)  # JSON has no word for the others
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
values: st.SearchStrategy[Any] = st.recursive(
    json_values | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
payloads = st.dictionaries(text, values, max_size=4)


@given(payloads)
def test_a_payload_reads_back_equal(payload: dict[str, Any]) -> None:
    assert CODEC.decode(CODEC.encode(payload)) == payload


@given(st.dictionaries(text | st.integers(-5, 5), values, max_size=4))
def test_with_messagepack_preferred_keys_keep_their_type(payload: dict[Any, Any]) -> None:
    codec = PayloadCodec(prefer_msgpack=True)
    assert codec.decode(codec.encode(payload)) == payload


@given(st.dictionaries(text, json_values, max_size=4))
def test_what_json_can_carry_is_json(payload: dict[str, Any]) -> None:
    assert json.loads(CODEC.encode(payload)) == payload


@pytest.mark.parametrize("binary", [b"\x00", bytearray(b"\x00"), b""])
@pytest.mark.parametrize("depth", [1, 2, 5, 50])
def test_binary_at_any_depth_makes_it_messagepack(depth: int, binary: bytes) -> None:
    value: Any = binary
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    raw = CODEC.encode({"packet": value})
    assert msgpack.unpackb(base64.b64decode(raw)) == {"packet": value}


def test_binary_in_a_tuple_is_found() -> None:
    assert CODEC.decode(CODEC.encode({"data": (b"\x00",)})) == {"data": [b"\x00"]}


def test_integer_keys_become_text_in_json() -> None:
    assert CODEC.decode(CODEC.encode({"scores": {1: "ada"}})) == {"scores": {"1": "ada"}}


class _Point:
    """A type of the application's own."""


def _pack_point(value: object) -> object:
    if isinstance(value, _Point):
        return msgpack.ExtType(5, b"point")
    raise TypeError(type(value).__name__)


def test_types_of_the_application_pass_through_its_own_hooks() -> None:
    codec = PayloadCodec(prefer_msgpack=True, default=_pack_point, ext_hook=lambda code, data: (code, data))
    assert codec.decode(codec.encode({"at": _Point()})) == {"at": (5, b"point")}


def test_the_json_module_of_the_application_is_used() -> None:
    class Shouting:
        @staticmethod
        def dumps(value: Any, **options: Any) -> str:
            return json.dumps(value, **options).upper()

        loads = staticmethod(json.loads)

    codec = PayloadCodec(json=Shouting())
    assert codec.decode(codec.encode({"a": "b"})) == {"A": "B"}


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, {(1, 2): 3}, {b"k": 1}, [b"", {1}], [b"", 2**64]])
def test_what_no_format_carries_is_an_encoding_error(value: object) -> None:
    with pytest.raises(EncodingError):
        CODEC.encode({"data": value})


def test_data_nested_too_deeply_is_an_encoding_error() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for codec in (CODEC, PayloadCodec(prefer_msgpack=True)):
        with pytest.raises(EncodingError):
            codec.encode({"data": cycle})


@given(st.binary(max_size=60) | st.binary(max_size=60).map(base64.b64encode) | st.binary().map(b"{".__add__))
@example(b"{" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"{\xff}")
@example(b'{"a":' + b"9" * 5000 + b"}")
@example(base64.b64encode(b"\x91" * 100_000))
@example(base64.b64encode(b"\x81\x90\x01"))
@example(base64.b64encode(b"\xd7\xff" + b"\xff" * 8))
@example(base64.b64encode(b"\xc7\x0c\xff" + b"\xff" * 12))
def test_poison_data_is_malformed_and_nothing_else(raw: bytes) -> None:
    try:
        payload = CODEC.decode(raw)
    except MalformedError:
        return
    assert isinstance(payload, dict)


def test_a_hook_that_fails_is_malformed() -> None:
    def fail(code: int, data: bytes) -> object:
        raise LookupError(code)

    packed = pack({"a": msgpack.ExtType(5, b"")})
    with pytest.raises(MalformedError):
        PayloadCodec(ext_hook=fail).decode(base64.b64encode(packed))


def _entry(**fields: bytes) -> Entry:
    names = {"target": "for"}
    return Entry(at(1), {names.get(name, name).encode(): value for name, value in fields.items()})


def test_the_genesis_entry_is_not_for_us() -> None:
    assert read_head(_entry(epoch=b"e")) is None


@pytest.mark.parametrize("kind", [b"", b"1", b"2", b"7", b"03", b" 3", b"999", b"x", b"\xff"])
def test_an_unknown_type_is_not_for_us(kind: bytes) -> None:
    assert read_head(_entry(nsp=b"/", type=kind, data=b"{}")) is None


def test_nodes_entry_leaves_its_rooms_to_the_data() -> None:
    head = read_head(_entry(uid=b"peer", nsp=b"/", type=b"3", data=b"{}"))
    assert head is not None
    assert (head.rooms, head.target) == (None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"to": b""},
        {"to": b"{}"},
        {"to": b"[null]"},
        {"to": b"[1.5]"},
        {"to": b"[[]]"},
        {"to": b"[" * 100_000},
        {"to": b"\xff"},
        {"to": b"[" + b"9" * 5000 + b"]"},
        {"nsp": b"\xff"},
        {"uid": b"\xff"},
        {"target": b"\xff"},
    ],
    ids=lambda fields: str(fields)[:30],
)
def test_a_head_that_cannot_be_read_is_malformed(fields: dict[str, bytes]) -> None:
    with pytest.raises(MalformedError):
        read_head(_entry(**{"uid": b"u", "nsp": b"/", "type": b"3", "data": b"{}", **fields}))


@pytest.mark.parametrize(
    "opts",
    [
        None,
        [],
        "x",
        {},
        {"rooms": []},
        {"except": []},
        {"rooms": "a", "except": []},
        {"rooms": [{}], "except": []},
    ],
    ids=str,
)
def test_options_of_another_form_are_malformed(opts: object) -> None:
    with pytest.raises(MalformedError):
        decode_audience({"opts": opts})


def test_flags_that_are_missing_are_none() -> None:
    opts = {"rooms": ["a"], "except": [1]}
    assert decode_audience({"opts": opts}) == (Audience(("a",), (1,)), {})


kinds = st.sampled_from([str(kind.value).encode() for kind in Kind])
some_rooms = st.lists(text | st.integers(0, 3) | st.none(), max_size=2)
opts = st.fixed_dictionaries(
    {},
    optional={
        "rooms": some_rooms | values,
        "except": some_rooms | values,
        "flags": values | st.just({"volatile": True}),
    },
)
hostile = st.fixed_dictionaries(
    {},
    optional={
        "packet": values | st.fixed_dictionaries({"type": values, "data": values | st.just(["event"])}),
        "opts": opts | values,
        "rooms": some_rooms | values,
        "requestId": values,
        "sid": values,
        "claim": values,
        "holder": values,
        "session": values,
    },
)
datas = hostile.map(CODEC.encode) | st.binary(max_size=30)
fields = st.fixed_dictionaries(
    {b"nsp": st.just(b"/") | st.binary(max_size=4), b"type": kinds, b"data": datas},
    optional={
        b"uid": st.binary(max_size=4),
        b"to": some_rooms.map(lambda names: json.dumps(names).encode()) | st.binary(max_size=6),
        b"for": st.binary(max_size=4),
    },
)


@given(fields)
def test_an_entry_of_anybody_is_read_or_malformed(raw: dict[bytes, bytes]) -> None:
    try:
        stored = StoredEntry[Frame].read(Entry(at(1), raw))
        if stored.head is None:
            return
        if stored.head.kind is Kind.BROADCAST:
            assert isinstance(stored.broadcast(CODEC).args[0], str)
        else:
            read_control(stored, CODEC)
    except MalformedError:
        return


def test_a_draft_that_cannot_be_encoded_is_an_encoding_error() -> None:
    with pytest.raises(EncodingError):
        make_draft(Kind.BROADCAST, {"packet": object()}, CODEC, server=HERE, namespace=NSP)
