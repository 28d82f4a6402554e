"""Idle: many clients that do nothing; what they cost beyond their pings, which a stock server sends, too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks.load import Load
from tests.benchmarks.processes import ASYNC_MEMORY, OURS, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["COMMANDS", "CORE", "QUICK", "Sizes", "trials"]

CORE = "percent of a core, for 10 000 clients"
COMMANDS = "Redis commands/s, for 10 000 clients"

_ASKED = ("eval", "evalsha", "publish", "xread")  # all that an idle server asks
_PING_INTERVAL = 25.0  # python-engineio's default


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        clients: that are connected.
        seconds: that are measured; four checkpoint intervals are fair, in which each client is saved once.
        ping_interval: seconds.
    """

    clients: int = 3000
    seconds: float = 60.0
    ping_interval: float = _PING_INTERVAL


QUICK = Sizes(clients=20, seconds=0.5, ping_interval=0.2)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """Ours, and a stock server that knows nothing of Redis; with pings, and without."""
    for interval, case in ((sizes.ping_interval, "with pings"), (600.0, "without pings")):
        for peer in (OURS, ASYNC_MEMORY):
            once = interval != sizes.ping_interval  # the goal is a small difference of large figures
            yield Trial(case, peer, partial(_run, peer, interval, sizes), once=once)


def _run(peer: str, interval: float, sizes: Sizes, store: Store) -> Mapping[str, float]:
    with Load() as load, Peer(peer, store.url, ping_interval=interval) as server:
        load.connect(server.port, [None] * sizes.clients, at_once=200)
        load.run_for(min(2.0, sizes.seconds))
        cpu, commands = server.cpu(), _commands(store)
        load.run_for(sizes.seconds)
        cpu, commands = server.cpu() - cpu, _commands(store) - commands
        check(server.ask("clients") == sizes.clients, "clients were lost")
        share = 10_000 / sizes.clients / sizes.seconds
        return {CORE: 100 * cpu * share, COMMANDS: commands * share}


def _commands(store: Store) -> int:
    """What clients have asked of Redis; the total of INFO counts what scripts do, too."""
    stats: dict[str, Any] = store.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in _ASKED)
