"""The page docs/explanation/performance.md: its tables and plots come from results, its words do not.

A page holds a table between ``<!-- measured: NAME -->`` and ``<!-- end -->``, like drawings in other pages.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.benchmarks.plots import Line, draw
from tests.benchmarks.processes import ASYNC_MEMORY, ASYNC_REDIS, NODE, OURS
from tests.benchmarks.results import Key, Results
from tests.benchmarks.tables import GOAL_HEAD, HEAD, goal_rows, markdown, rows

__all__ = ["FOLDER", "PAGE", "fill", "filled"]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "explanation"
PAGE = FOLDER / "performance.md"
_PART = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(results: Results) -> None:
    """Write the page and its plots anew."""
    PAGE.write_text(filled(PAGE.read_text(), results))
    for name, text in plots(results).items():
        (FOLDER / name).write_text(text)


def filled(page: str, results: Results) -> str:
    """The page with what was measured in its places; a benchmark that was not run stands as it was."""

    def replace(match: re.Match[str]) -> str:
        lines = _lines(match[2], results)
        return f"{match[1]}\n{chr(10).join(lines)}\n\n{match[3]}" if lines else match[0]

    return _PART.sub(replace, page)


def plots(results: Results) -> Mapping[str, str]:
    """The drawings, by the name of their files; without figures there is none."""
    makers: Mapping[str, Callable[[Results], str]] = {
        "performance-storm.svg": _storm,
        "performance-broadcast.svg": _broadcast,
    }
    names = {"performance-storm.svg": "storm", "performance-broadcast.svg": "broadcast"}
    return {name: make(results) for name, make in makers.items() if names[name] in results.benchmarks()}


def _lines(name: str, results: Results) -> list[str]:
    if name == "machine":
        return list(_machine(results))
    if name == "goals":
        return markdown(GOAL_HEAD, goal_rows(results))
    return markdown(HEAD, rows(results, name)) if name in results.benchmarks() else []


def _machine(results: Results) -> Iterator[str]:
    machine = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"Measured on {machine['date']}: {machine['cores']} cores of {machine['processor']},"
    yield f"{machine['system']}, Python {machine['python']}, {machine['store']}, {packages}."


def _storm(results: Results) -> str:
    lines = [Line(peer, _points(results, "storm", r"M=(\d+)", peer, "restores/s")) for peer in (OURS, NODE)]
    return draw("Restores per second", "entries that went through the stream", lines)


def _broadcast(results: Results) -> str:
    peers = (OURS, ASYNC_REDIS, ASYNC_MEMORY, NODE)
    lines = [Line(peer, _points(results, "broadcast", r"C=(\d+)", peer, "deliveries/s")) for peer in peers]
    return draw("Deliveries per second", "clients", lines)


def _points(results: Results, benchmark: str, case: str, peer: str, figure: str) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for key, _ in results.of(benchmark):
        match = re.fullmatch(case, key.case)
        value = results.median(Key(benchmark, key.case, peer, figure))
        if match and (key.peer, key.figure) == (peer, figure) and value is not None:
            points.append((float(match[1]), value))
    return sorted(points)
