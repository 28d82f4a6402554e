"""Relay: an event is emitted on one server, and received by a client of another."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

from tests.benchmarks.load import Client, Load
from tests.benchmarks.processes import ASYNC_REDIS, NODE, OURS, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "trials", "warm_up"]

_MOMENT = re.compile(rb'"t":(\d+),')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        alone: events of the case in which one is under way at a time.
        together: events of the case in which many are.
        in_flight: how many.
    """

    alone: int = 500
    together: int = 20_000
    in_flight: int = 64


QUICK = Sizes(alone=20, together=200)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """One event at a time, for the latency; and many, for the throughput."""
    for peer in (OURS, ASYNC_REDIS, NODE):
        yield Trial("one at a time", peer, partial(_alone, peer, sizes.alone))
    for peer in (OURS, ASYNC_REDIS, NODE):
        yield Trial(
            f"{sizes.in_flight} in flight", peer, partial(_together, peer, sizes.together, sizes.in_flight)
        )


class _Latencies:
    """Reads the moments out of what a client gets, when it gets it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read = 0
        self.seconds: list[float] = []

    def read(self) -> None:
        for chunk in self._client.chunks[self._read :]:
            now = time.monotonic_ns()
            self.seconds += [(now - int(moment)) / 1e9 for moment in _MOMENT.findall(chunk)]
            self._read += 1


def _alone(peer: str, count: int, store: Store) -> Mapping[str, float]:
    with (
        Load() as load,
        Peer(peer, store.url) as emitter,
        Peer(peer, store.url, extra_room="relay") as server,
    ):
        (client,) = load.connect(server.port, [None])
        warm_up(emitter, client, load)
        latencies = _Latencies(client)
        emitter.tell("relay", count=count, size=100, in_flight=1, pause=0.002)

        def done() -> bool:
            latencies.read()
            return client.events >= count

        load.run(done)
        emitter.answer()
        _check(peer, client, count)
        cuts = quantiles(latencies.seconds, n=100)
        return {"p50, ms": 1000 * cuts[49], "p99, ms": 1000 * cuts[98]}


def _together(peer: str, count: int, in_flight: int, store: Store) -> Mapping[str, float]:
    with (
        Load() as load,
        Peer(peer, store.url) as emitter,
        Peer(peer, store.url, extra_room="relay") as server,
    ):
        (client,) = load.connect(server.port, [None])
        warm_up(emitter, client, load)
        begin = time.perf_counter()
        emitter.tell("relay", count=count, size=100, in_flight=in_flight, pause=0)
        load.until_events([client], count)
        seconds = time.perf_counter() - begin
        emitter.answer()
        _check(peer, client, count)
        return {"events/s": count / seconds}


def warm_up(emitter: Peer, client: Client, load: Load) -> None:
    """Emit until the first events come: a server of Node's begins to read wherever the stream is by then."""
    end = time.monotonic() + 60
    while not client.events:
        if time.monotonic() > end:
            raise TimeoutError("no event comes")
        emitter.ask("relay", count=1, size=100, in_flight=1, pause=0)
        load.run_for(0.1)
    load.run_for(0.3)
    client.forget()
    emitter.ask("relay", count=20, size=100, in_flight=1, pause=0.002)
    load.until_events([client], 20)
    client.forget()


def _check(peer: str, client: Client, count: int) -> None:
    # Stock emits of several tasks go out on several connections, in any order.
    numbers = sorted(client.numbers()) if peer == ASYNC_REDIS else client.numbers()
    check(numbers == list(range(count)), "events are missing or out of order")
