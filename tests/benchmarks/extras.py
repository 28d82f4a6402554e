"""Extras: what packages that promise speed bring, and garbage collections that come rarely, one by one."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.benchmarks import broadcast, emit, storm
from tests.benchmarks.options import EXTRAS, RARE_GC
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
    """No package, each that is installed, and all of them; the "peer" is the package."""
    installed = [name for name in EXTRAS if importlib.util.find_spec(name) is not None]
    choices = {NONE: [], **{name: [name] for name in installed}}
    if sizes is not QUICK:
        choices |= {RARE_GC: [RARE_GC], ALL: [*installed, RARE_GC]}
    for name, chosen in choices.items():
        scene = storm.Storm(sizes.clients, 10, 1000)
        yield Trial("storm", name, partial(storm.run, OURS, scene, extras=chosen))
        count = sizes.deliveries // sizes.clients
        yield Trial("broadcast", name, partial(broadcast.run, OURS, sizes.clients, count, 100, extras=chosen))
        yield Trial("emit", name, partial(emit.run, OURS, sizes.emits, 64, extras=chosen))
