"""Offsets are ordered as pairs of numbers, survive being written and read, and nothing else is one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recovery.offsets import ORIGIN, Offset, parse_offset

parts = st.integers(0, 2**64 - 1)
offsets = st.builds(Offset, parts, parts)


@given(offsets)
def test_an_offset_survives_being_written_and_read(offset: Offset) -> None:
    assert parse_offset(str(offset)) == offset
    assert parse_offset(str(offset).encode()) == offset


@given(offsets, offsets)
@example(Offset(9, 0), Offset(10, 0))
@example(Offset(5, 9), Offset(5, 10))
def test_offsets_are_ordered_by_their_numbers(one: Offset, other: Offset) -> None:
    assert (one < other) == ((one.ms, one.seq) < (other.ms, other.seq))


@given(offsets)
def test_nothing_comes_before_the_origin(offset: Offset) -> None:
    assert offset >= ORIGIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "5",
        "5-",
        "-5",
        "5-1-2",
        "+5-1",
        "5--1",
        " 5-1",
        "5-1 ",
        "5-1\n",
        "5 -1",
        "5_0-1",
        "0x5-1",
        "5.0-1",
        "5e3-1",
        "\u0665-\u0661",  # digits, but not ours
        "5-1\x00",
        "$",
        "*",
        "5-*",
        "null",
        "9" * 100_000 + "-0",
        "9" * 100_000,
        b"5-\xff",
        b"\xff\xfe",
        b"",
    ],
)
def test_hostile_text_is_not_an_offset(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="offset") as caught:
        parse_offset(text)
    assert len(str(caught.value)) < 120, "a client's text must not fill the log"


@pytest.mark.parametrize("text", [f"{2**64}-0", f"0-{2**64}", f"{'9' * 20}-0"])
def test_more_than_64_bits_are_not_an_offset(text: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        parse_offset(text)


@given(st.text() | st.binary())
def test_reading_text_fails_in_one_way_only(text: str | bytes) -> None:
    try:
        offset = parse_offset(text)
    except ValueError:
        return
    assert ORIGIN <= offset <= Offset(2**64 - 1, 2**64 - 1)
