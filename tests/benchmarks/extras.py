"""Extras: what packages that promise speed bring, and garbage collections that come rarely, one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.benchmarks import broadcast, emit, storm
from tests.benchmarks.options import installed_extras
from tests.benchmarks.processes import OURS
from tests.benchmarks.trials import Trial

__all__ = ["QUICK", "Sizes", "trials"]

NONE, ALL = "none", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        clients: of the storm, and of the broadcast.
        deliveries: of the broadcast.
        emits: with 64 in flight.
    """

    clients: int = 300
    deliveries: int = 100_000
    emits: int = 20_000


QUICK = Sizes(clients=10, deliveries=200, emits=200)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """Nothing, each that is installed, and all of them; the "peer" is the package."""
    choices: dict[str, list[str]] = {}
    if sizes is not QUICK:
        choices = {NONE: [], **{name: [name] for name in installed_extras()}}
    choices[ALL] = installed_extras()
    count = sizes.deliveries // sizes.clients
    scene = storm.Storm(sizes.clients, 10, 1000)
    for name, chosen in choices.items():
        measures = {
            "storm": partial(storm.run, OURS, scene, extras=chosen),
            "broadcast": partial(broadcast.run, OURS, sizes.clients, count, 100, extras=chosen),
            "emit": partial(emit.run, OURS, sizes.emits, 64, extras=chosen),
        }
        for case, measure in measures.items():
            yield Trial(case, name, measure, once=True)
