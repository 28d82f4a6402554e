"""What commands print: tables and lines for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recovery.inspect.commands.words import as_json, shown_pid
from recovery.inspect.records import Session
from recovery.inspect.rehearsal import Packet

__all__ = ["lines", "packet_json", "print_json", "print_table", "session_json"]

_WIDTH_IN_A_PIPE = 200  # columns; a terminal has its own


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; a heading that ends in ``:`` is aligned to the right. Cells must be safe to show."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        name = Text(heading.removesuffix(":"))
        table.add_column(name, justify="right" if heading.endswith(":") else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = _console()
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


def session_json(session: Session, now_ms: int, *, reveal: bool) -> dict[str, Any]:
    """A session as `sessions --json` has it."""
    return {
        "pid": session.pid if reveal else shown_pid(session.pid, reveal=False),
        "sid": session.sid,
        "namespace": session.namespace,
        "state": session.state.value,
        "rooms": list(session.rooms),
        "holder": session.holder,
        "claim": session.number,
        "since_ms": session.since_ms,
        "deadline_ms": session.deadline_ms,
        "left_ms": max(0, session.deadline_ms - now_ms),
        "proven": str(session.proven),
        "bytes": session.size,
        "problem": session.problem,
    }


def packet_json(packet: Packet) -> dict[str, Any]:
    """A packet as `replay --json` has it."""
    return {"offset": packet.offset, "event": str(packet.args[0]), "args": as_json(list(packet.args[1:-1]))}
