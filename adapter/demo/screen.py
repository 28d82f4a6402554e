"""What a person sees while the demo runs: a live table in a terminal, plain lines elsewhere.

A screen only reads the ledger. `update` is called several times a second.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adapter.demo.ledger import ClientRecord, ClientState, Ledger, Visit

__all__ = ["LineScreen", "LiveScreen", "Screen", "SilentScreen", "describe_return"]

_CELL_WIDTH = 37
_OTHER_LINES = 9
"""Lines of the live table that are not clients."""
_SETTLED = 0.5
"""Seconds after a return when a server's report of what it emitted before has certainly come in."""
_PATIENCE = 3.0
"""Seconds after a return when packets that are still missing are reported so."""


class Screen(Protocol):
    """Shows a running demo."""

    def showing(self) -> AbstractContextManager[object]:
        """Take the screen, and give it back in good order whatever happens."""
        ...

    def say(self, text: str) -> None:
        """Say what is going on in general."""
        ...

    def update(self, ledger: Ledger, done: float) -> None:
        """Show the account as it stands; `done` goes from 0.0 to 1.0 with the traffic."""
        ...


class SilentScreen:
    """Shows nothing."""

    def showing(self) -> AbstractContextManager[object]:
        """Take nothing."""
        return nullcontext()

    def say(self, text: str) -> None:
        """Say nothing."""

    def update(self, ledger: Ledger, done: float) -> None:
        """Show nothing."""


@dataclass(slots=True)
class LineScreen:
    """A line for each return of a client, as soon as it has everything back; for files and pipes.

    Attributes:
        clock: gives the seconds since 1970.
    """

    console: Console
    clock: Callable[[], float] = time.time
    _told: dict[str, int] = field(default_factory=dict[str, int])

    def showing(self) -> AbstractContextManager[object]:
        """Take nothing: lines stand where they were written."""
        return nullcontext()

    def say(self, text: str) -> None:
        """Write a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, ledger: Ledger, done: float) -> None:  # noqa: ARG002 - lines need no bar
        """Write a line for each return that has not been told yet and is complete."""
        now = self.clock()
        for client in ledger.clients.values():
            for number in range(self._told.get(client.name, 1), len(client.visits)):
                before, visit = client.visits[number - 1 : number + 1]
                missing = client.missing_on_return(number)
                if visit.ended is None and now - visit.accepted < (_PATIENCE if missing else _SETTLED):
                    break
                self._told[client.name] = number + 1
                self.say(describe_return(client.name, before, visit, missing))


def describe_return(name: str, before: Visit, visit: Visit, missing: int) -> str:
    """Put one break and return into words.

    Args:
        missing: packets missed and not got back.
    """
    away = visit.began - (before.ended or visit.began)
    session = "" if visit.recovered else ", with a new session"
    missed = visit.got_back + missing
    outcome = f"missed {missed}, got back {visit.got_back}" if missed else "missed nothing"
    took = f" in {visit.recovery_time * 1000:.0f} ms" if visit.recovered else ""
    return (
        f"{name} {before.lost} on {before.server}, was back on {visit.server} after {away:.1f} s{session}: "
        f"{outcome}{took}"
    )


@dataclass(slots=True)
class LiveScreen:
    """A table of all clients that changes in place, with a progress bar above."""

    console: Console
    _live: Live = field(init=False)
    _text: str = ""
    _shown: tuple[Ledger, float] | None = None

    def __post_init__(self) -> None:
        self._live = Live(console=self.console, refresh_per_second=10, transient=True, auto_refresh=False)

    def showing(self) -> AbstractContextManager[object]:
        """Draw in place until the block is left; then the table is gone, for the result to follow."""
        return self._live

    def say(self, text: str) -> None:
        """Show the text beside the progress bar, or alone before there is one."""
        self._text = text
        if self._shown is None:
            self._live.update(Text(text), refresh=True)
        else:
            self.update(*self._shown)

    def update(self, ledger: Ledger, done: float) -> None:
        """Draw everything."""
        self._shown = ledger, done
        self._live.update(self._draw(ledger, done), refresh=True)

    def _draw(self, ledger: Ledger, done: float) -> RenderableType:
        width, height = self.console.size
        columns = max(1, width // _CELL_WIDTH)
        clients = list(ledger.clients.values())
        shown = clients[: columns * max(1, height - _OTHER_LINES)]
        rows = -(-len(shown) // columns)
        table = Table.grid(padding=(0, 2))
        for _ in range(columns):
            table.add_column(min_width=_CELL_WIDTH - 2)
        for row in range(rows):
            table.add_row(*(_cell(client) for client in shown[row::rows]))
        hidden = (
            [Text(f"... and {len(clients) - len(shown)} more clients", "dim")] if clients != shown else []
        )
        return Group(self._head(done, width), _totals(ledger), Text(), table, *hidden, Text(), _legend())

    def _head(self, done: float, width: int) -> RenderableType:
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=done, width=max(10, width - len(self._text) - 8))
        head.add_row(self._text, bar, f"{done:4.0%}")
        return head


def _totals(ledger: Ledger) -> Text:
    returns = ledger.returns
    away = sum(client.state is not ClientState.ONLINE for client in ledger.clients.values())
    refused = sum(not visit.recovered for visit in returns)
    text = Text(f"{len(ledger.sent):,} sent, {ledger.receipts:,} received; {len(returns):,} returns, ")
    text.append(f"{sum(visit.got_back for visit in returns):,} packets got back", "bold green")
    if refused:
        text.append(f", {refused:,} refused", "bold red")
    return text.append(f"; {away} away", "yellow" if away else "dim")


def _cell(client: ClientRecord) -> Text:
    """One client in `_CELL_WIDTH` - 2 characters."""
    text = Text(f"{client.name:<5}")
    visit = client.visit
    if visit is None:
        return text.append("not here yet", "dim")
    missing = client.still_missed()
    if client.state is not ClientState.ONLINE:
        away = time.time() - (visit.ended or client.since)
        return text.append(f"away  missing {missing:<3} for {away:4.1f} s", "yellow")
    text.append(f"on {visit.server}  ", "green")
    if visit is client.visits[0]:
        return text
    if not visit.recovered:
        return text.append(f"new session, {missing} lost", "bold red")
    missed = visit.got_back + missing
    outcome = f"got back {visit.got_back}/{missed}" if missed else "missed nothing"
    text.append(f"{outcome:<16}", "green" if missed else "dim")
    return text.append(f" {visit.recovery_time * 1000:4.0f} ms", "dim")


def _legend() -> Text:
    return Text("For each client's last break: packets got back / missed, and how long it took.", "dim")
