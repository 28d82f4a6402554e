"""A session that Node saved is told from everything else, and read under the offset that its client has."""

import base64
from typing import Any

import pytest

from recovery.adoption import session_of_node
from recovery.errors import MalformedError
from recovery.offsets import ORIGIN, Offset
from recovery.packing import pack
from recovery.records import Epoch, Namespace, Pid, RoomChange, SavedSession, Sid
from recovery.sessions import encode_session

PID, CHAT, EPOCH, OFFSET = Pid("p" * 20), Namespace("/chat"), Epoch("e"), Offset(5, 1)
FIELDS: dict[str, Any] = {"sid": "s1", "pid": PID, "rooms": ["s1", "news", 7], "data": {"user": "ann"}}


def _read(value: bytes, offset: Offset | None = OFFSET) -> SavedSession:
    return session_of_node(value, pid=PID, namespace=CHAT, epoch=EPOCH, offset=offset)


def _packed(**changes: Any) -> bytes:
    return base64.b64encode(pack({**FIELDS, **changes}))


def test_rooms_are_entered_at_the_offset_and_packets_are_missed_after_it() -> None:
    entered = (RoomChange(OFFSET, entered=True),)
    assert _read(_packed()) == SavedSession(
        sid=Sid("s1"),
        pid=PID,
        namespace=CHAT,
        rooms=("s1", "news", 7),
        data={"user": "ann"},
        epoch=EPOCH,
        start=OFFSET,
        position=OFFSET,
        history={"news": entered, 7: entered},
        settled=ORIGIN,
    )


def test_data_that_is_no_map_is_none() -> None:
    assert _read(_packed(data=None)).data == {}


@pytest.mark.parametrize(
    "changes", [{"pid": "q" * 20}, {"sid": 5}, {"sid": None}, {"rooms": "news"}, {"rooms": [{}]}], ids=str
)
def test_what_is_no_session_of_this_pid_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        _read(_packed(**changes))


@pytest.mark.parametrize("value", [b"", b"\xff", base64.b64encode(b"\xc1"), base64.b64encode(pack([1]))])
def test_what_cannot_be_read_is_refused_and_not_shown(value: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        _read(value)
    assert PID not in str(caught.value)


def test_without_an_offset_it_is_worth_nothing() -> None:
    with pytest.raises(MalformedError, match="no offset"):
        _read(_packed(), None)


def test_a_session_of_ours_that_has_expired_is_not_taken_for_one_of_nodes() -> None:
    """Its value is kept for the handler ``session_expired``, and nobody may recover it."""
    with pytest.raises(MalformedError):
        _read(encode_session(_read(_packed())))
