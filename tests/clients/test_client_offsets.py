"""What an argument must look like to be taken for an offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.client_offsets import offset_of
from recovery.offsets import Offset

NOW = 1_795_000_000.0  # 2026-11-18
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


def yeast(ms: int) -> str:
    """As Node's in-memory adapter writes the time."""
    text = ""
    while ms:
        ms, digit = divmod(ms, 64)
        text = DIGITS[digit] + text
    return text


@given(st.integers(10**12, 10**13), st.integers(0, 2**64 - 1))
def test_what_a_stream_gives_is_one(ms: int, seq: int) -> None:
    text = str(Offset(ms, seq))
    assert offset_of(["a", text], NOW) == text


@given(st.integers(-86400, 86400), st.sampled_from(["", ".0", ".1z"]))
def test_what_node_gives_is_one(seconds: int, suffix: str) -> None:
    text = yeast(int((NOW + seconds) * 1000)) + suffix
    assert offset_of([text], NOW) == text


def test_what_mongo_gives_is_one() -> None:
    text = f"{int(NOW):08x}{'0' * 16}"
    assert offset_of([text], NOW) == text


@pytest.mark.parametrize(
    "last",
    [
        *("", "news", "goodbye", "Quality", "Running", "12-5", "1-2-3", "2026-11-22", "1700000000000"),
        *(
            "1700000000000-",
            "-1",
            " 1700000000000-1",
            "deadbeefdeadbeefdeadbeef",
            "\u0661700000000000-1",
        ),
        *(1700000000000, None, b"1700000000000-1", ["1700000000000-1"]),
        yeast(int((NOW - 90 * 86400) * 1000)),
    ],
)
def test_what_an_application_sends_is_none(last: object) -> None:
    assert offset_of(["a", last], NOW) is None


def test_without_arguments_there_is_none() -> None:
    assert offset_of([], NOW) is None
