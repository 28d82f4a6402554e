"""The ledger of the fault tests finds what it is there to find."""

from collections.abc import Sequence

import pytest

from tests.e2e.checker import Label, Seen
from tests.faults.ledger import assert_nothing_lost, assert_session, assert_stored

TRUTH = [Seen(Label("tag", number), f"{number}-0") for number in range(1, 6)]
ONE, TWO, THREE, FOUR, FIVE = TRUTH


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        ([ONE, TWO, FOUR, FIVE], "lost"),
        ([ONE, TWO, TWO, THREE, FOUR, FIVE], "doubled"),
        ([ONE, THREE, TWO, FOUR, FIVE], "disorder"),
        ([*TRUTH, Seen(Label("other", 1), "6-0")], "invented"),
    ],
    ids=["lost", "doubled", "disorder", "invented"],
)
def test_what_a_client_saw_instead_of_the_stream_is_said(seen: Sequence[Seen], word: str) -> None:
    with pytest.raises(AssertionError, match=word):
        assert_nothing_lost(TRUTH, {"client": seen})


def test_an_offset_that_the_stream_does_not_have_is_noticed() -> None:
    moved = [*TRUTH[:-1], Seen(FIVE.label, "7-0")]
    with pytest.raises(AssertionError, match="other offsets"):
        assert_nothing_lost(TRUTH, {"client": moved})


def test_whoever_saw_all_of_it_is_fine() -> None:
    assert_nothing_lost(TRUTH, {"client": TRUTH})


@pytest.mark.parametrize(
    ("session", "first", "last"),
    [
        ([TWO, FOUR], False, False),  # a gap
        ([TWO, THREE], True, False),  # the beginning is missing
        ([TWO, THREE], False, True),  # the end is missing
        ([THREE, TWO], False, False),
        ([], True, True),
    ],
    ids=["gap", "beginning", "end", "order", "nothing"],
)
def test_a_session_that_is_no_piece_of_the_stream_is_noticed(
    session: Sequence[Seen], first: bool, last: bool
) -> None:
    with pytest.raises(AssertionError):
        assert_session("client", session, TRUTH, from_the_first=first, to_the_last=last)


def test_a_session_that_is_a_piece_of_the_stream_is_fine() -> None:
    assert_session("client", [TWO, THREE], TRUTH, from_the_first=False, to_the_last=False)
    assert_session("client", [FOUR, FIVE], TRUTH, from_the_first=False, to_the_last=True)
    assert_session("client", [], TRUTH, from_the_first=False, to_the_last=True)


def test_what_was_confirmed_and_is_not_stored_is_noticed() -> None:
    assert_stored(TRUTH, "tag", 5)
    assert_stored(TRUTH, "tag", 7, [(6, False), (7, True)])
    with pytest.raises(AssertionError, match="confirmed"):
        assert_stored(TRUTH, "tag", 6)
    with pytest.raises(AssertionError, match="said no"):
        assert_stored(TRUTH, "tag", 5, [(5, False)])
    with pytest.raises(AssertionError, match="twice"):
        assert_stored([*TRUTH, FIVE], "tag", 5)
