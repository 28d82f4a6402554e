"""Saved sessions: what goes in comes out, and whatever else lies there is malformed and nothing worse."""

import base64
import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.errors import EncodingError, MalformedError
from recovery.offsets import Offset
from recovery.packing import pack, unpack
from recovery.records import Epoch, Namespace, Pid, Room, RoomChange, SavedSession, Sid
from recovery.sessions import decode_session, decode_user_session, encode_session, encode_user_session

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
offsets = st.builds(Offset, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
rooms: st.SearchStrategy[Room] = text | st.integers(-(2**63), 2**64 - 1)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds have no zone
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | text
    | st.binary(max_size=8)
    | moments
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
)
user_sessions = st.dictionaries(text, values, max_size=4)
histories = st.dictionaries(
    rooms, st.lists(st.builds(RoomChange, offsets, st.booleans()), max_size=3).map(tuple), max_size=3
)
sessions = st.builds(
    SavedSession,
    sid=text.map(Sid),
    pid=text.map(Pid),
    namespace=text.map(Namespace),
    rooms=st.lists(rooms, max_size=4).map(tuple),
    data=user_sessions,
    epoch=text.map(Epoch),
    start=offsets,
    position=offsets,
    history=histories,
)


@given(sessions)
def test_a_saved_session_reads_back_equal(session: SavedSession) -> None:
    assert decode_session(encode_session(session)) == session


@given(user_sessions)
def test_a_user_session_reads_back_equal(data: dict[str, Any]) -> None:
    assert decode_user_session(encode_user_session(data)) == data


def test_an_aware_datetime_comes_back_as_the_same_moment() -> None:
    moment = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    back = decode_user_session(encode_user_session({"seen": moment}))["seen"]
    assert back == moment
    assert back.tzinfo is not None


def test_a_tuple_comes_back_as_a_list() -> None:
    assert decode_user_session(encode_user_session({"point": (1, 2)})) == {"point": [1, 2]}


def test_keys_other_than_text_survive() -> None:
    data = {1: "int", b"b": "bytes", None: "none", 1.5: "float"}
    assert decode_user_session(encode_user_session(data)) == data


def test_not_a_number_survives() -> None:
    assert math.isnan(decode_user_session(encode_user_session({"x": math.nan}))["x"])


@dataclass
class _Account:
    name: str


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, "set"),
        (frozenset({1}), "frozenset"),
        (object(), "object"),
        (_Account("ada"), "_Account"),
        (Decimal("1.5"), "Decimal"),
        (date(2026, 1, 1), "date"),
        (datetime(2026, 1, 1), "datetime"),  # noqa: DTZ001 - a naive one is the case
        (1j, "complex"),
        (print, "builtin_function_or_method"),
    ],
)
def test_a_value_that_cannot_be_saved_is_named_by_its_type(value: object, named: str) -> None:
    with pytest.raises(EncodingError, match=named):
        encode_user_session({"deep": [{"inside": value}]})


def test_an_integer_beyond_64_bits_is_an_encoding_error() -> None:
    with pytest.raises(EncodingError):
        encode_user_session({"n": 2**64})


def test_a_cycle_is_an_encoding_error() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with pytest.raises(EncodingError):
        encode_user_session(cycle)


@pytest.mark.parametrize("data", [None, [], "text", 5, [("a", 1)]])
def test_a_user_session_is_a_dict(data: object) -> None:
    with pytest.raises(EncodingError, match=type(data).__name__):
        encode_user_session(data)


def _node_session(**changes: object) -> bytes:
    """What ``persistSession()`` of ``@socket.io/redis-streams-adapter`` writes."""
    fields = {"sid": "s" * 20, "pid": "p" * 20, "rooms": ["s" * 20, "news"], "data": {"user": 1}, **changes}
    return base64.b64encode(pack(fields))


def test_a_session_that_node_saved_is_told_from_ours() -> None:
    with pytest.raises(MalformedError, match="nsp"):
        decode_session(_node_session())


OURS: dict[str, object] = {
    "nsp": "/",
    "epoch": "e",
    "start": "1-0",
    "position": "2-0",
    "history": [[[["1-0", True]], [1]]],
}


def test_our_format_is_nodes_with_more_fields() -> None:
    session = decode_session(_node_session(**OURS))
    assert session.rooms == ("s" * 20, "news")
    assert session.history == {"news": (RoomChange(Offset(1, 0), entered=True),)}


def test_rooms_that_were_entered_together_share_their_history() -> None:
    together = (RoomChange(Offset(1, 0), entered=True),)
    alone = (*together, RoomChange(Offset(2, 0), entered=False))
    history: dict[Room, tuple[RoomChange, ...]] = {"a": together, "b": together, "gone": alone, 7: together}
    session = replace(decode_session(_node_session(**OURS)), rooms=("s" * 20, "a", "b", 7), history=history)
    fields = unpack(base64.b64decode(encode_session(session)))
    assert fields["history"] == [[[["1-0", True]], [1, 2, 3]], [[["1-0", True], ["2-0", False]], [4]]]
    assert fields["left"] == ["gone"]
    assert list(decode_session(encode_session(session)).history.items()) == [
        ("a", together),
        ("b", together),
        (7, together),
        ("gone", alone),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"sid": 5},
        {"pid": None},
        {"rooms": 7},
        {"rooms": [None]},
        {"rooms": [["nested"]]},
        {"rooms": [1.5]},
        {"data": None},
        {"data": []},
        {"nsp": b"/"},
        {"epoch": 1},
        {"start": "x"},
        {"start": 5},
        {"start": None},
        {"position": "1-0-0"},
        {"position": f"{2**64}-0"},
        {"history": 5},
        {"history": [[[]]]},
        {"history": [[[["1-0"]], [1]]]},
        {"history": [[None, []]]},
        {"history": [[[["?", True]], [1]]]},
        {"history": [[[["1-0", True]], 1]]},
        {"history": [[[["1-0", True]], [2]]]},
        {"history": [[[["1-0", True]], [-1]]]},
        {"history": [[[["1-0", True]], ["news"]]]},
        {"left": 5},
        {"left": [None], "history": [[[["1-0", True]], [2]]]},
    ],
    ids=str,
)
def test_a_field_of_a_wrong_type_is_malformed(change: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        decode_session(_node_session(**{**OURS, **change}))


@given(st.binary(max_size=64) | st.binary(max_size=64).map(base64.b64encode))
def test_poison_bytes_are_malformed_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_session(raw)


def _packed(value: object) -> bytes:
    return base64.b64encode(pack(value, dates=True))


@given(values.map(_packed))
def test_messagepack_of_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_session(raw)


@given(st.binary(max_size=64) | values)
def test_poison_session_data_is_malformed_and_nothing_else(packed: object) -> None:
    try:
        data = decode_user_session(packed)
    except MalformedError:
        return
    assert isinstance(data, dict)


def test_an_error_does_not_repeat_what_may_be_secret() -> None:
    raw = _node_session(**{**OURS, "start": "x"})
    with pytest.raises(MalformedError) as caught:
        decode_session(raw)
    assert "pppp" not in str(caught.value)
