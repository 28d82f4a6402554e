"""Tables of results, for a terminal and for a page."""

from collections.abc import Iterator
from statistics import median

from rich.table import Table

from tests.benchmarks.goals import Verdict, judged
from tests.benchmarks.results import OURS, Key, Results

__all__ = ["GOAL_HEAD", "HEAD", "Row", "goal_rows", "markdown", "rows", "shown", "terminal_tables"]

Row = tuple[str, ...]
HEAD: Row = ("case", "figure", "peer", "median", "lowest", "highest", "ours is")
GOAL_HEAD: Row = ("benchmark", "case", "figure", "compared with", "goal", "measured", "reached")


def rows(results: Results, benchmark: str) -> Iterator[Row]:
    """One row for each case, figure and peer: median, spread, and the ratio to ours of the same rounds."""
    for key, values in sorted(results.of(benchmark), key=lambda item: _place(results, benchmark, item[0])):
        ratio = results.ratio(key._replace(peer=_ours_of(key.peer)), key)
        words = "" if ratio is None or key.peer == _ours_of(key.peer) else f"{shown(ratio)} times that"
        figures = (shown(median(values)), shown(min(values)), shown(max(values)))
        yield (key.case, key.figure, key.peer, *figures, words)


def goal_rows(results: Results) -> Iterator[Row]:
    """One row for each goal."""
    for verdict in judged(results):
        yield _goal_row(verdict)


def terminal_tables(results: Results) -> Iterator[Table]:
    """All of it, for a terminal."""
    for benchmark in results.benchmarks():
        yield _table(benchmark, HEAD, rows(results, benchmark))
    yield _table("goals", GOAL_HEAD, goal_rows(results))


def markdown(head: Row, body: Iterator[Row]) -> list[str]:
    """A table for a page."""
    lines = [head, tuple("---" for _ in head), *body]
    return [f"| {' | '.join(line)} |" for line in lines]


def shown(value: float) -> str:
    """A number as a person reads it: three digits that count.

    >>> [shown(value) for value in (0.01234, 5.678, 1234.5, 98765.4)]
    ['0.0123', '5.68', '1230', '98800']
    """
    if value == 0:
        return "0"
    text = f"{float(f'{value:.3g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _place(results: Results, benchmark: str, key: Key) -> tuple[int, ...]:
    """Where a row stands: cases and figures in the order in which they came, peers within."""
    case, peer, figure = key.case, key.peer, key.figure
    keys = [each for each, _ in results.of(benchmark)]
    orders = [
        list(dict.fromkeys(getattr(each, name) for each in keys)) for name in ("case", "figure", "peer")
    ]
    return orders[0].index(case), orders[1].index(figure), orders[2].index(peer)


def _ours_of(peer: str) -> str:
    """Which of ours a peer is compared with."""
    return {"RedisManager": "ours, threads", "ours, threads": "ours, threads"}.get(peer, OURS)


def _goal_row(verdict: Verdict) -> Row:
    goal = verdict.goal
    other = "" if goal.other is None else _difference(goal.mine, goal.other)
    word = "at least" if goal.at_least else "at most"
    unit = "" if goal.other is None or goal.minus else " times"
    return (
        goal.mine.benchmark,
        goal.mine.case,
        goal.mine.figure,
        f"{'minus ' if goal.minus else ''}{other}" if other else "",
        f"{word} {shown(goal.bound)}{unit}",
        shown(verdict.value),
        "yes" if verdict.reached else "**no**",
    )


def _difference(mine: Key, other: Key) -> str:
    peer, case = other.peer, other.case
    if peer == mine.peer:
        return f"ours, {case}"
    return str(peer)


def _table(title: str, head: Row, body: Iterator[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(
            name, justify="right" if name in {"median", "lowest", "highest", "measured"} else "left"
        )
    for row in body:
        table.add_row(*(cell.replace("**", "") for cell in row))
    return table
