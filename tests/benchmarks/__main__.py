"""Run the benchmarks.

    python -m tests.benchmarks                      all of them, about ten minutes on an idle machine
    python -m tests.benchmarks storm --clients 100  one, with sizes of your own
    python -m tests.benchmarks page                 put the last results of all into the documentation

Each needs Node (for its packages, see tests/e2e/npm.py) and ``redis-server`` on the PATH.
"""

import inspect
import resource
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import broadcast, emit, extras, foreign, growth, idle, memory, page, relay, storm
from tests.benchmarks.cores import others_core, pin
from tests.benchmarks.results import Results, describe_machine
from tests.benchmarks.store import Store
from tests.benchmarks.tables import terminal_tables
from tests.benchmarks.trials import Trial, run_all
from tests.e2e.npm import install_packages

__all__ = ["BENCHMARKS", "measure"]

BENCHMARKS: Mapping[str, Any] = {
    "storm": storm,
    "broadcast": broadcast,
    "relay": relay,
    "emit": emit,
    "foreign": foreign,
    "memory": memory,
    "idle": idle,
    "growth": growth,
    "extras": extras,
}
RESULTS = Path(__file__).parent / "results.json"

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

Rounds = Annotated[int, typer.Option(min=1, help="How often each trial is run, in alternation.")]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Where to write the results as JSON.")]


def measure(
    plans: Mapping[str, list[Trial]], *, rounds: int, console: Console, report: Path | None = None
) -> Results:
    """Run trials with a progress bar; what was measured is written after each benchmark."""
    install_packages()
    pin(others_core())
    _allow_many_files()
    results = Results()
    total = sum(trial.rounds(rounds) for trials in plans.values() for trial in trials)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Store() as store, Progress(*columns, console=console) as progress:
        results.machine = describe_machine(f"Redis {store.info('redis_version')}")
        task = progress.add_task("", total=total)

        def begin(what: str) -> None:
            progress.update(task, advance=1, description=what)

        for name, trials in plans.items():
            run_all(name, trials, store, results, rounds=rounds, progress=begin)
            if report is not None:
                results.save(report)
    return results


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run_and_show(plans: Mapping[str, list[Trial]], rounds: int, report: Path | None) -> None:
    console = Console()
    results = measure(plans, rounds=rounds, console=console, report=report)
    for table in terminal_tables(results):
        console.print(table)


@app.callback(invoke_without_command=True)
def begin(context: typer.Context) -> None:
    """Measure this project beside its peers; without a command, everything."""
    if context.invoked_subcommand is None:
        everything()


@app.command("all")
def everything(rounds: Rounds = 3, json: JsonPath = RESULTS) -> None:
    """Run all benchmarks, and write the results where `page` finds them."""
    plans = {name: list(each.trials(each.Sizes())) for name, each in BENCHMARKS.items()}
    _run_and_show(plans, rounds, json)


@app.command("page")
def fill_page(json: Annotated[Path, typer.Option("--json", help="Results to show.")] = RESULTS) -> None:
    """Put results into docs/explanation/performance.md, and draw its plots."""
    page.fill(Results.load(json))


def _command_of(name: str, benchmark: Any) -> Callable[..., None]:
    """Make the command of one benchmark, of which each size is an option."""
    defaults = benchmark.Sizes()

    def run(rounds: int, json: Path | None, **sizes: Any) -> None:
        sized = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
        trials = list(benchmark.trials(benchmark.Sizes(**sized)))
        _run_and_show({name: trials}, rounds, json)

    parameters = [
        inspect.Parameter("rounds", inspect.Parameter.KEYWORD_ONLY, default=3, annotation=Rounds),
        inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=JsonPath),
    ]
    for size in fields(defaults):
        default = getattr(defaults, size.name)
        several = isinstance(default, tuple)
        kind: Any = list[int] if several else type(default)
        parameters.append(
            inspect.Parameter(
                size.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=list(default) if several else default,
                annotation=kind,
            )
        )
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__doc__ = benchmark.__doc__
    return run


for _name, _benchmark in BENCHMARKS.items():
    app.command(_name)(_command_of(_name, _benchmark))

if __name__ == "__main__":
    app()
