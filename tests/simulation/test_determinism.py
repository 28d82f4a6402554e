"""The same seed is the same history, wherever it runs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from recovery.testing.planning import make_plan
from recovery.testing.plans import run

_ROOT = Path(__file__).resolve().parents[2]
_TRACE = """
from recovery.testing.planning import make_plan
from recovery.testing.plans import run

for seed in range(40, 60):
    outcome = run(make_plan(seed))
    print(seed, outcome.seconds, outcome.problems, outcome.refusals)
    print(*outcome.history.events, sep="\\n")
"""


def _trace(hash_seed: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _TRACE],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_ROOT)},
    )
    return result.stdout


def test_another_process_with_other_hashes_runs_the_same_history() -> None:
    trace = _trace("1")

    assert len(trace) > 50_000
    assert trace == _trace("2")


def test_a_plan_runs_the_same_way_again_after_others() -> None:
    first = run(make_plan(11)).history.events
    run(make_plan(12))

    assert run(make_plan(11)).history.events == first


def test_another_seed_of_chance_is_another_history_of_the_same_steps() -> None:
    plan = make_plan(11)

    assert run(replace(plan, seed=12)).history.events != run(plan).history.events
