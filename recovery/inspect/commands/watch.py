"""`watch`: recoveries, refusals by reason, and lag, as they happen."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from recovery.aio.roll_call import Roll
from recovery.inspect.commands.output import print_json
from recovery.inspect.commands.place import Place, at_a_place, examples
from recovery.inspect.commands.servers import ask_at
from recovery.inspect.forms import roll_form
from recovery.inspect.words import duration, shown
from recovery.records import ServerId

__all__ = ["Tally", "add_watch"]


class Tally:
    """How often each outcome came since the first roll, of servers that come and go.

    >>> from recovery.peers import PeerKind, ServerRecord
    >>> tally = Tally()
    >>> for times in (5, 7):
    ...     record = ServerRecord(ServerId("c2f0"), PeerKind.PYTHON, True, 0.0, outcomes={"recovered": times})
    ...     tally.take(Roll((record,), 0))
    >>> dict(tally.since)
    {'recovered': 2}
    """

    def __init__(self) -> None:
        self.since = Counter[str]()
        self._last: dict[ServerId, Counter[str]] = {}
        self._first = True

    def take(self, roll: Roll) -> None:
        """Count what is new in a roll; all that a server that has just begun says is."""
        for server in roll.servers:
            now = Counter(server.outcomes or {})
            if server.server in self._last or not self._first:
                self.since += now - self._last.get(server.server, Counter())
            self._last[server.server] = now
        self._first = False


def add_watch(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "watch --url redis://localhost", "watch --url redis://localhost --interval 10 --count 6 --json"
        )
    )
    @at_a_place
    def watch(
        place: Place,
        interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
        count: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
        timeout: Annotated[
            float, typer.Option(min=0.0, help="Seconds to wait for servers that do not answer.")
        ] = 1.0,
    ) -> None:
        """Watch servers: recoveries and refusals since the watch began, clients, and how far readers lag.

        It asks the servers again and again, and ends with Ctrl+C.
        """
        tally, rolls = Tally(), _rolls(place, interval, count, timeout)
        if place.json:
            for roll in rolls:
                tally.take(roll)
                print_json({**roll_form(roll), "since": dict(tally.since)})
            return
        with Live(auto_refresh=False) as screen:
            for roll in rolls:
                tally.take(roll)
                screen.update(_drawn(roll, tally), refresh=True)


def _rolls(place: Place, interval: float, count: int | None, timeout: float) -> Iterator[Roll]:
    looks = 0
    while count is None or looks < count:
        if looks:
            time.sleep(interval)
        yield ask_at(place, timeout)
        looks += 1


def _drawn(roll: Roll, tally: Tally) -> Group:
    servers = Table("server", "runs", "name", "clients", "behind", "recovered", "refused")
    for each in roll.servers:
        outcomes = Counter(each.outcomes or {})
        refused = outcomes.total() - outcomes["recovered"]
        known = each.outcomes is not None
        servers.add_row(
            each.server,
            each.kind.value,
            shown(each.name),
            "" if each.clients is None else str(each.clients),
            "" if each.lag is None else duration(each.lag * 1000),
            str(outcomes["recovered"]) if known else "",
            str(refused) if known else "",
        )
    since = Table("outcome since the watch began", "times")
    for outcome, times in tally.since.most_common():
        since.add_row(shown(outcome), str(times))
    silent = f", {roll.silent} more do not answer" if roll.silent else ""
    return Group(f"{datetime.now(UTC):%H:%M:%S} UTC, {len(roll.servers)} servers{silent}", servers, since)
