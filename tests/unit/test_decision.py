"""What a client presents is split from the application's auth, and anything odd about it is malformed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.core.decision import Presented, floor_of, read_auth
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Pid
from tests.unit.builders import PID, at

NODE_PID = "aB3-_" * 4


@pytest.mark.parametrize(
    "auth",
    [None, {}, [], "token", 5, True, {"token": "t"}, {"offset": "1-0"}, {"Pid": "x"}, ["pid"]],
    ids=str,
)
def test_an_auth_without_a_pid_asks_for_nothing_and_is_left_alone(auth: object) -> None:
    assert read_auth(auth) == (Presented(), auth)


@pytest.mark.parametrize("pid", [PID, NODE_PID, "x" * 16, "x" * 64])
def test_a_pid_and_an_offset_are_read_and_taken_out(pid: str) -> None:
    presented, rest = read_auth({"pid": pid, "offset": "12-3", "token": "t"})
    assert presented == Presented(Pid(pid), Offset(12, 3))
    assert rest == {"token": "t"}


@pytest.mark.parametrize("auth", [{"pid": PID}, {"pid": PID, "offset": "1-0"}, {"pid": 5}, {"pid": None}])
def test_an_auth_of_nothing_else_counts_as_none(auth: dict[str, Any]) -> None:
    assert read_auth(auth)[1] is None


@pytest.mark.parametrize("auth", [{"pid": PID}, {"pid": PID, "offset": None}], ids=["JavaScript", "Dart"])
def test_a_client_that_received_nothing_yet_presents_no_offset(auth: dict[str, Any]) -> None:
    assert read_auth(auth)[0] == Presented(PID, None)


def test_a_pid_of_null_asks_for_nothing() -> None:
    assert read_auth({"pid": None, "offset": "1-0"})[0] == Presented()


@pytest.mark.parametrize(
    "pid",
    [
        "",
        "short",
        "x" * 15,
        "x" * 65,
        "x" * 1_000_000,
        "x" * 31 + " ",
        "x" * 31 + "\n",
        "x" * 32 + "\n",
        "x" * 31 + "é",
        "x" * 31 + "*",
        "../../../../etc/passwd",
        "x" * 30 + "\x00\x00",
        0,
        42,
        1.5,
        True,
        False,
        b"x" * 32,
        [],
        [PID],
        {},
        {"$ne": None},
    ],
    ids=lambda pid: repr(pid)[:20],
)
def test_a_pid_that_no_server_hands_out_is_malformed(pid: object) -> None:
    assert read_auth({"pid": pid})[0] == Presented(reason=Reason.MALFORMED)


@pytest.mark.parametrize(
    "offset",
    [
        "",
        "x",
        "5",
        "-1-0",
        "1-0 ",
        "1-0\n",
        f"{2**64}-0",
        "9" * 1_000_000,
        "$",
        0,
        5,
        1.5,
        True,
        False,
        b"1-0",
        [],
        ["1-0"],
        {},
    ],
    ids=lambda offset: repr(offset)[:20],
)
def test_an_offset_of_another_form_is_malformed(offset: object) -> None:
    assert read_auth({"pid": PID, "offset": offset})[0] == Presented(PID, reason=Reason.MALFORMED)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(anything, anything, anything)
def test_no_auth_raises(auth: object, pid: object, offset: object) -> None:
    read_auth(auth)
    presented, rest = read_auth({"pid": pid, "offset": offset, "rest": auth})
    assert presented.reason in {None, Reason.MALFORMED}
    assert rest == {"rest": auth} or auth != auth  # noqa: PLR0124 - a NaN is never equal


@pytest.mark.parametrize(
    ("presented", "proven", "start", "floor"),
    [
        (None, ORIGIN, at(5), at(5)),  # never received a packet
        (at(7), ORIGIN, at(5), at(7)),
        (at(3), ORIGIN, at(5), at(5)),  # an offset of an earlier session
        (at(7), at(9), at(5), at(9)),  # quiet since, and proven by a PONG
        (at(7), at(6), at(5), at(7)),
        (None, at(9), at(5), at(9)),
        (at(9), at(10), at(9), at(10)),  # as numbers, not as text
    ],
)
def test_the_floor_is_the_highest_that_the_client_certainly_has(
    presented: Offset | None, proven: Offset, start: Offset, floor: Offset
) -> None:
    assert floor_of(presented, proven, start) == floor
