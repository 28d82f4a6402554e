"""Growth: what a restore costs as one thing after the other grows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from tests.benchmarks.processes import OURS
from tests.benchmarks.storm import Storm, run
from tests.benchmarks.trials import Trial

__all__ = ["QUICK", "Sizes", "trials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large; each is varied while the others are as in the first case of all.

    Attributes:
        clients: that come back at once.
        missed: packets for each of them.
        rooms: over which the traffic for others is spread.
        own_rooms: in which each client is.
        servers: that read the stream.
        entries: that went through the stream meanwhile.
    """

    clients: tuple[int, ...] = (100, 1000, 5000)
    missed: tuple[int, ...] = (1, 100, 1000, 10_000)
    rooms: tuple[int, ...] = (10, 1000, 100_000)
    own_rooms: tuple[int, ...] = (10, 100)
    servers: tuple[int, ...] = (2, 4)
    entries: tuple[int, ...] = (20_000,)


QUICK = Sizes(clients=(10,), missed=(1,), rooms=(10,), own_rooms=(2,), servers=(), entries=())

_SETTINGS = {"log_max_entries": 200_000}  # the traffic of the largest case, and some more

_USUAL = Storm(clients=100, missed=10, entries=2000)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """One case for each value of each size; only ours: the comparison is `storm`'s."""
    usual = _USUAL if sizes is not QUICK else replace(_USUAL, clients=10, entries=100)
    cases = [
        *((f"clients={value}", replace(usual, clients=value)) for value in sizes.clients),
        *((f"missed={value}", _with_missed(usual, value)) for value in sizes.missed),
        *((f"rooms={value}", _with_rooms(usual, value)) for value in sizes.rooms),
        *((f"own rooms={value}", replace(usual, own_rooms=value)) for value in sizes.own_rooms),
        *((f"servers={value}", replace(usual, servers=value)) for value in sizes.servers),
        *((f"entries={value}", replace(usual, entries=value)) for value in sizes.entries),
    ]
    for case, storm in [("usual", usual), *cases]:
        yield Trial(case, OURS, partial(run, OURS, storm, settings=_SETTINGS), once=True)


def _with_missed(usual: Storm, missed: int) -> Storm:
    clients = max(5, min(usual.clients, 50_000 // missed))
    return replace(usual, missed=missed, clients=clients, entries=max(usual.entries, missed))


def _with_rooms(usual: Storm, rooms: int) -> Storm:
    return replace(usual, rooms=rooms, entries=max(usual.entries, rooms))
