"""Session data that could be packed but not unpacked was saved without an error, and the session was lost.

MessagePack writes a tuple as a key, a date that no `datetime` can hold in UTC, and one more level of nesting
than it reads; the session around the data adds a level of its own.
"""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from recovery.errors import EncodingError
from recovery.offsets import ORIGIN
from recovery.records import Epoch, SavedSession, Sid
from recovery.sessions import decode_session, encode_session, encode_user_session
from tests.unit.builders import NSP, PID


def _nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def _session(data: object, *rooms: str | int) -> SavedSession:
    fields = {"sid": Sid("sid"), "pid": PID, "namespace": NSP, "epoch": Epoch("e")}
    return SavedSession(**fields, rooms=rooms, data=data, start=ORIGIN, position=ORIGIN, history={})  # type: ignore[arg-type]  # hostile data on purpose


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({(1, 2): "tuple"}, id="a tuple as a key"),
        pytest.param({"at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}, id="after 9999"),
        pytest.param({"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}, id="before 1"),
        pytest.param({"deep": _nested(1021)}, id="nested 1022 deep"),
        pytest.param({"deep": _nested(1022)}, id="nested 1023 deep"),
    ],
)
def test_what_can_be_saved_can_be_read_back_or_raises_at_once(data: dict[object, object]) -> None:
    try:
        encode_user_session(data)
    except EncodingError:
        return
    decode_session(encode_session(_session(data)))  # comparing data this deep is beyond Python


def test_the_last_moment_that_can_be_saved_is_saved() -> None:
    data = {"at": datetime.max.replace(tzinfo=UTC)}
    assert decode_session(encode_session(_session(data))).data == data


@pytest.mark.parametrize("room", [2**64, -(2**63) - 1, "\ud800"], ids=["too large", "too small", "surrogate"])
def test_a_room_that_cannot_be_saved_is_an_encoding_error(room: str | int) -> None:
    with pytest.raises(EncodingError):
        encode_session(_session({}, "sid", room))
