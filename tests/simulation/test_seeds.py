"""Many histories. For more than CI has time for, say SIMULATION_SECONDS=600, or use the command."""

import os
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

from recovery.testing.planning import make_plan
from recovery.testing.plans import run
from recovery.testing.run import main
from recovery.testing.shrinking import shrink

_SECONDS = float(os.environ.get("SIMULATION_SECONDS", "25"))
_SEEDS = 400 if "SIMULATION_SECONDS" not in os.environ else None


def test_histories_keep_the_promise() -> None:
    deadline = time.monotonic() + _SECONDS
    recoveries = histories = 0
    for seed in islice(count(), _SEEDS):
        outcome = run(make_plan(seed))
        if outcome.problems:
            plan = shrink(make_plan(seed))
            raise AssertionError("\n".join([str(plan), *map(str, run(plan).problems)]))
        recoveries += outcome.recoveries
        histories += 1
        if time.monotonic() > deadline:
            break

    assert histories >= 20
    assert recoveries >= histories, "the histories would show nothing if nobody recovered"


def test_the_command_reports() -> None:
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "recovery.testing.run", "--seeds", "0:20", "--jobs", "2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )

    assert "histories   20, seeds 0 to 19" in result.stdout
    assert "failed      0" in result.stdout


def test_a_budget_ends_a_run(capfd: object) -> None:
    assert main(["--seeds", "0:100000", "--budget", "0.5", "--chunk", "5"]) == 0
