"""Every benchmark runs, small, and what it delivers is right. How long it takes says nothing here."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.__main__ import BENCHMARKS, measure
from tests.benchmarks.goals import GOALS, Goal, judged
from tests.benchmarks.page import PAGE, filled, plots
from tests.benchmarks.results import Key, Results
from tests.benchmarks.tables import GOAL_HEAD, HEAD, goal_rows, rows
from tests.benchmarks.trials import Trial
from tests.e2e.npm import NodeMissingError
from tests.servers import program_of


def _quick(name: str) -> Results:
    program_of("redis70")
    benchmark = BENCHMARKS[name]
    different: dict[tuple[str, object], Trial] = {}
    for trial in benchmark.trials(benchmark.QUICK):
        different.setdefault((trial.peer, getattr(trial.measure, "func", trial.measure)), trial)
    try:
        return measure({name: list(different.values())}, rounds=1, console=Console(quiet=True))
    except NodeMissingError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", BENCHMARKS)
async def test_a_benchmark_delivers_what_it_should(name: str) -> None:
    results = await asyncio.to_thread(_quick, name)
    for key, values in results.of(name):
        assert len(values) == 1, key
    assert all(len(row) == len(HEAD) for row in rows(results, name))


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results({"date": "2026-11-22"})
    results.note("storm", "M=1", "ours", {"restores/s": 2.0})
    results.note("storm", "M=1", "ours", {"restores/s": 3.0})
    results.note("storm", "M=1", "Node", {"restores/s": 4.0})
    results.save(tmp_path / "results.json")
    again = Results.load(tmp_path / "results.json")
    assert (again.machine, again.values) == (results.machine, results.values)
    ours = Key("storm", "M=1", "ours", "restores/s")
    assert (again.median(ours), again.ratio(ours, ours._replace(peer="Node"))) == (2.5, 0.5)


def _ideal(goal: Goal) -> Results:
    """Results in which a goal is just reached."""
    results = Results()
    results.values[goal.mine] = [goal.bound + 1 if goal.minus else goal.bound]
    if goal.other is not None:
        results.values[goal.other] = [1.0]
    return results


@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_a_goal_is_judged_by_its_bound(goal: Goal) -> None:
    results = _ideal(goal)
    (verdict,) = judged(results)
    assert verdict.reached
    results.values[goal.mine][0] *= 0.5 if goal.at_least else 2
    (verdict,) = judged(results)
    assert not verdict.reached
    assert all(len(row) == len(GOAL_HEAD) for row in goal_rows(results))


def test_every_goal_has_a_figure_in_the_committed_results() -> None:
    results = Results.load(PAGE.parents[2] / "tests" / "benchmarks" / "results.json")
    assert {verdict.goal for verdict in judged(results)} == set(GOALS)


def test_the_page_shows_the_committed_results() -> None:
    results = Results.load(PAGE.parents[2] / "tests" / "benchmarks" / "results.json")
    assert filled(PAGE.read_text(), results) == PAGE.read_text()
    for name, text in plots(results).items():
        assert (PAGE.parent / name).read_text() == text
