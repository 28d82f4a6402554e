"""The simulation finds defects: each mutant is caught within a budget that CI has."""

from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, Mutant, hunt, plant

_BUDGET = 1000  # histories, which are the same on each machine; 10 to 300 are enough


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(mutant, tmp_path)

    caught, seconds, report = hunt(tmp_path, _BUDGET)

    with capsys.disabled():
        print(f"\n{mutant.name}: caught after {seconds:.1f} s" if caught else f"\n{mutant.name}: not caught")
    assert caught, report


def test_what_is_no_mutant_is_not_caught(tmp_path: Path) -> None:
    plant(None, tmp_path)

    caught, _, report = hunt(tmp_path, 80)  # test_seeds.py has a longer look at the same histories

    assert not caught, report


def test_a_mutant_that_does_not_fit_any_more_is_told(tmp_path: Path) -> None:
    gone = Mutant("gone", "recovery/core/audience.py", "this line is not there", "nor this one")

    with pytest.raises(AssertionError, match="0 times"):
        plant(gone, tmp_path)
