"""The outcome of a demo: numbers, a verdict, and both as JSON and as a table."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapter.demo.checker import count_kinds, find_violations
from adapter.demo.ledger import Ledger
from adapter.demo.records import Welcomed
from recovery.testing.checker import Kind, Violation

__all__ = ["Result", "judge", "percentile"]

_SHOWN_FAULTS = 10


@dataclass(frozen=True, slots=True)
class Result:
    """Numbers of one run; `ok` is the verdict.

    Attributes:
        seconds: of traffic.
        sent: packets emitted by the servers.
        deliveries: packets times the clients that each was for.
        lost, doubled, disordered, strangers: see `adapter.demo.checker.Counts`.
        breaks: connections lost.
        recoveries: reconnections that went on with their session.
        moves: those of them that came back to the other server.
        refusals: reconnections that got a fresh session, by reason.
        missed: packets that clients missed while they were away.
        got_back: those of them that they received after all.
        p50_ms, p99_ms: of the recovery time in milliseconds; None if there was no recovery.
        faults: what is behind the counts, in words.
        problems: what went wrong beside single packets, in words.
        server_logs: the last lines that each server wrote to its standard error; no part of the verdict.
    """

    seed: str
    seconds: float
    clients: int
    sent: int
    deliveries: int
    lost: int
    doubled: int
    disordered: int
    strangers: int
    breaks: int
    recoveries: int
    moves: int
    refusals: dict[str, int]
    missed: int
    got_back: int
    p50_ms: float | None
    p99_ms: float | None
    faults: tuple[str, ...]
    problems: tuple[str, ...]
    server_logs: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def ok(self) -> bool:
        """True if every packet arrived once and in order, and every client recovered."""
        return not (self.faults or self.refusals or self.problems)

    def as_json(self) -> str:
        """Write all of it, the verdict first, as one JSON object; of the faults the first hundred."""
        return json.dumps({"ok": self.ok, **asdict(self), "faults": self.faults[:100]}, indent=2)

    def as_table(self) -> RenderableType:
        """Draw it for a person, with the first faults below."""
        table = Table(show_header=False, title="What became of the packets", title_justify="left")
        table.add_column()
        table.add_column(justify="right")
        table.add_column(style="dim", overflow="fold")
        self._packet_rows(table)
        table.add_section()
        self._recovery_rows(table)
        return Group(table, *self._complaints(), self._verdict())

    def _packet_rows(self, table: Table) -> None:
        table.add_row(
            "Packets sent", f"{self.sent:,}", f"{self.deliveries:,} deliveries to {self.clients} clients"
        )
        table.add_row("Lost", _zero(self.lost), "emitted for a client that never got it")
        table.add_row("Doubled", _zero(self.doubled), "received once more")
        table.add_row("Out of order", _zero(self.disordered), "received after a later one")
        table.add_row("Strangers", _zero(self.strangers), "received by a client it was not for")

    def _recovery_rows(self, table: Table) -> None:
        table.add_row("Connections broken", f"{self.breaks:,}", "cut off, hung up, or silent")
        table.add_row("Recoveries", f"{self.recoveries:,}", f"{self.moves:,} of them on the other server")
        refusals = ", ".join(f"{reason} {count:,}" for reason, count in self.refusals.items())
        table.add_row(
            "Refusals", _zero(sum(self.refusals.values())), refusals or "a session was not given back"
        )
        table.add_row("Packets missed", f"{self.missed:,}", f"{self.got_back:,} came after the return")
        table.add_row(
            "Recovery time, p50", _milliseconds(self.p50_ms), "from the start of the reconnection to"
        )
        table.add_row("Recovery time, p99", _milliseconds(self.p99_ms), "CONNECT and the last missed packet")

    def _complaints(self) -> Iterable[RenderableType]:
        complaints = [*self.problems, *self.faults]
        for complaint in complaints[:_SHOWN_FAULTS]:
            yield Text(complaint, style="red")
        if len(complaints) > _SHOWN_FAULTS:
            yield Text(f"... and {len(complaints) - _SHOWN_FAULTS:,} more", style="red")
        for server, lines in self.server_logs.items() if complaints else ():
            for line in lines[-_SHOWN_FAULTS:]:
                yield Text(f"server {server}: {line}", style="dim")

    def _verdict(self) -> Text:
        if not self.ok:
            return Text(f"The promise was broken (seed {self.seed}).", style="bold red")
        return Text(f"Every packet arrived once and in order (seed {self.seed}).", style="bold green")


def judge(
    ledger: Ledger, welcomes: Sequence[Welcomed], problems: Sequence[str], *, seed: str, seconds: float
) -> Result:
    """Count everything in a finished account.

    Args:
        welcomes: what connect handlers reported; says why sessions were refused, and what was wrong
            with those that were not.
        problems: what else went wrong.
    """
    violations = find_violations(ledger)
    counts = count_kinds(violations)
    returns = ledger.returns
    recovered = [visit for visit in returns if visit.recovered]
    times = [visit.recovery_time * 1000 for visit in recovered]
    got_back = sum(visit.got_back for visit in returns)
    return Result(
        seed=seed,
        seconds=seconds,
        clients=len(ledger.clients),
        sent=len(ledger.sent),
        deliveries=_deliveries(ledger),
        lost=counts.lost,
        doubled=counts.doubled,
        disordered=counts.disordered,
        strangers=counts.strangers,
        breaks=sum(visit.lost is not None for client in ledger.clients.values() for visit in client.visits),
        recoveries=len(recovered),
        moves=_moves(ledger),
        refusals=_refusals(ledger, welcomes),
        missed=got_back + _lost_while_away(ledger, violations),
        got_back=got_back,
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
        faults=tuple(map(str, violations)),
        problems=(*problems, *(welcome.problem for welcome in welcomes if welcome.problem is not None)),
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least so many percent do not exceed ("nearest rank").

    >>> percentile([30.0, 10.0, 20.0], 50)
    20.0
    """
    if not values:
        return None
    rank = math.ceil(percent / 100 * len(values))
    return round(sorted(values)[max(rank, 1) - 1], 3)


def _deliveries(ledger: Ledger) -> int:
    return sum(
        packet.addresses(client.name, client.rooms)
        for packet in ledger.sent.values()
        for client in ledger.clients.values()
    )


def _moves(ledger: Ledger) -> int:
    return sum(
        after.recovered and before.server != after.server
        for client in ledger.clients.values()
        for before, after in pairwise(client.visits)
    )


def _refusals(ledger: Ledger, welcomes: Sequence[Welcomed]) -> dict[str, int]:
    reasons = {welcome.sid: welcome.reason for welcome in welcomes}
    refused = (visit for visit in ledger.returns if not visit.recovered)
    return dict(Counter(reasons.get(visit.sid) or "recovery is off" for visit in refused).most_common())


def _lost_while_away(ledger: Ledger, violations: Sequence[Violation]) -> int:
    """Count what was lost because a client was away, not on a connection that stayed."""
    emitted_at = {str(packet.id): packet.at for packet in ledger.sent.values()}
    count = 0
    for violation in violations:
        if violation.kind is not Kind.LOST:
            continue
        visits, at = ledger.clients[violation.client].visits, emitted_at[violation.packet or ""]
        count += any(
            before.ended is not None and before.ended <= at <= after.accepted
            for before, after in pairwise(visits)
        )
    return count


def _zero(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "green")


def _milliseconds(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f} ms"
