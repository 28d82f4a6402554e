"""Emit: a process without a server emits, as a worker or a web application does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks.processes import ASYNC_REDIS, OURS, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "run", "trials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        alone: emits, each awaited before the next.
        together: emits of the case in which many are under way.
        in_flight: how many.
    """

    alone: int = 3000
    together: int = 40_000
    in_flight: int = 64


QUICK = Sizes(alone=50, together=500)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """One at a time, for the latency; and many, for the throughput."""
    for peer in (OURS, ASYNC_REDIS):
        yield Trial("awaited one by one", peer, partial(run, peer, sizes.alone, 1))
    for peer in (OURS, ASYNC_REDIS):
        case = f"{sizes.in_flight} in flight"
        yield Trial(case, peer, partial(run, peer, sizes.together, sizes.in_flight))


def run(peer: str, count: int, in_flight: int, store: Store, **options: Any) -> Mapping[str, float]:
    """Emit, and see that all of it is in the stream."""
    with Peer(peer, store.url, writes_only=True, **options) as emitter:
        emitter.ask("emits", count=100, size=100, in_flight=1)
        cpu = emitter.cpu()
        measured = emitter.ask("emits", count=count, size=100, in_flight=in_flight)
        cpu = emitter.cpu() - cpu
        if peer == OURS:
            check(int(store.client.xlen("socket.io")) == count + 101, "entries are missing in the stream")
        return {
            "emits/s": measured["rate"],
            "latency p50, ms": 1000 * measured["latency"],
            "CPU per emit, us": 1e6 * cpu / count,
        }
