"""What commands print: tables and lines for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["lines", "print_json", "print_table"]

_WHOLE = {"pid", "sid", "state", "for:", "left:", "owner", "bytes:", "offset", "check"}
"""Columns that stay on one line in a narrow terminal: people copy what is in them, or compare it."""

_NARROW = 100  # columns of a terminal in which every one counts

_WIDTH_IN_A_PIPE = 200  # columns; a terminal has its own


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; a heading that ends in ``:`` is aligned to the right. Cells must be safe to show."""
    console = _console()
    space = 1 if console.width < _NARROW else 2
    table = Table(box=None, pad_edge=False, padding=(0, space, 0, 0), header_style="bold")
    for heading in headings:
        name = Text(heading.removesuffix(":"))
        table.add_column(
            name,
            justify="right" if heading.endswith(":") else "left",
            overflow="fold",
            no_wrap=heading in _WHOLE,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    if sys.stdout.isatty():
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def lines(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line."""
    found = list(pairs)
    width = max((len(name) for name, _ in found), default=0)
    for name, value in found:
        print(f"{name:<{width}}  {value}")


def print_json(value: object) -> None:
    """Print one JSON value on one line, in ASCII: nothing in it is anything to a terminal."""
    print(json.dumps(value, ensure_ascii=True), flush=True)
