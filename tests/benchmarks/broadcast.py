"""Broadcast: events of 100 bytes to everyone, through one server."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks.load import Load
from tests.benchmarks.processes import ASYNC_MEMORY, ASYNC_REDIS, NODE, OURS, OURS_SYNC, SYNC_REDIS, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "run", "trials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        clients: one case for each number.
        threads: the same, of servers with threads.
        deliveries: in one trial.
        size: bytes of an event.
    """

    clients: tuple[int, ...] = (200, 1000)
    threads: tuple[int, ...] = (100,)
    deliveries: int = 150_000
    size: int = 100


QUICK = Sizes(clients=(10,), threads=(5,), deliveries=500)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """Each peer for each number of clients."""
    for clients in sizes.clients:
        for peer in (OURS, ASYNC_REDIS, ASYNC_MEMORY, NODE):
            count = sizes.deliveries // clients
            yield Trial(f"C={clients}", peer, partial(run, peer, clients, count, sizes.size))
    for clients in sizes.threads:
        for peer in (OURS_SYNC, SYNC_REDIS):
            count = sizes.deliveries // 4 // clients
            yield Trial(f"threads, C={clients}", peer, partial(run, peer, clients, count, sizes.size))


def run(peer: str, clients: int, count: int, size: int, store: Store, **options: Any) -> Mapping[str, float]:
    """Emit as fast as one task can; take the time until the last client has the last event."""
    with Load() as load, Peer(peer, store.url, **options) as server:
        members = load.connect(server.port, [None] * clients, at_once=50)
        server.ask("broadcast", count=3, size=size)
        load.until_events(members, 3)
        for client in members:
            client.forget()
        cpu, begin = server.cpu(), time.perf_counter()
        server.tell("broadcast", count=count, size=size)
        load.until_events(members, count, timeout=120)
        seconds = time.perf_counter() - begin
        server.answer()
        cpu = server.cpu() - cpu
        expected = list(range(count))
        check(all(client.numbers() == expected for client in members), "events are missing or out of order")
        return {
            "deliveries/s": clients * count / seconds,
            "CPU per delivery, us": 1e6 * cpu / (clients * count),
        }
