"""Storm: many clients that each missed a few packets come back at once, after a lot of traffic."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks.load import Load
from tests.benchmarks.options import installed_extras
from tests.benchmarks.processes import NODE, OURS, OURS_TUNED, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "Storm", "run", "trials", "wait_until_gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        clients: that come back at once.
        missed: packets for each of them.
        entries: that went through the stream meanwhile, one case for each number.
        many: clients of the largest storm, which only ours has to stand; 0 for none.
        cold_entries: of the case in which the clients come back to a process that was not there.
    """

    clients: int = 500
    missed: int = 10
    entries: tuple[int, ...] = (100, 1000, 9000)
    many: int = 5000
    cold_entries: int = 9000


QUICK = Sizes(clients=20, entries=(100,), many=0, cold_entries=100)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """Both peers for each number of entries, ours with all extras, too; and two cases of ours alone.

    These are a process without a past, and one large storm.
    """
    for entries in sizes.entries:
        storm = Storm(sizes.clients, sizes.missed, entries)
        yield Trial(f"M={entries}", OURS, partial(run, OURS, storm))
        yield Trial(f"M={entries}", NODE, partial(run, NODE, storm))
        yield Trial(f"M={entries}", OURS_TUNED, partial(run, OURS, storm, extras=installed_extras()))
    if sizes.cold_entries:
        storm = Storm(sizes.clients, sizes.missed, sizes.cold_entries, cold=True)
        yield Trial(f"cold, M={sizes.cold_entries}", OURS, partial(run, OURS, storm))
        tuned = partial(run, OURS, storm, extras=installed_extras())
        yield Trial(f"cold, M={sizes.cold_entries}", OURS_TUNED, tuned)
    if sizes.many:
        storm = Storm(sizes.many, sizes.missed, 1000)
        yield Trial(f"{sizes.many} clients", OURS, partial(run, OURS, storm), once=True)


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm.

    Attributes:
        cold: the clients come back to a process that was started after the traffic.
        rooms: over which the rest of the traffic is spread.
        servers: processes, all on the core of the server; the clients come back to the first.
        own_rooms: in which each client is.
    """

    clients: int
    missed: int
    entries: int
    cold: bool = False
    rooms: int = 100
    servers: int = 1
    own_rooms: int = 0


def run(peer: str, storm: Storm, store: Store, **options: Any) -> Mapping[str, float]:
    """Connect, drop, let traffic go by, come back; check what each client got."""
    options = {"rooms": storm.own_rooms, **options}
    with ExitStack() as stack:
        load = stack.enter_context(Load())
        servers = [stack.enter_context(Peer(peer, store.url, **options)) for _ in range(storm.servers)]
        visitors = load.connect(servers[0].port, [None] * storm.clients, at_once=200)
        servers[-1].ask("flood", count=1, size=100, missed=1, rooms=1)
        load.until_events(visitors, 1)
        auths, sids = [client.presented() for client in visitors], [client.sid for client in visitors]
        load.drop()
        wait_until_gone(servers[0])
        before = int(store.client.xlen("socket.io"))
        servers[-1].ask("flood", count=storm.entries, size=100, missed=storm.missed, rooms=storm.rooms)
        store.wait_for_entries(before + storm.entries)
        server = stack.enter_context(Peer(peer, store.url, **options)) if storm.cold else servers[0]
        return {**_come_back(server, storm, auths, sids, load, store)}


def _come_back(
    server: Peer, storm: Storm, auths: list[Any], sids: list[str], load: Load, store: Store
) -> Mapping[str, float]:
    memory, cpu = server.memory(), server.cpu()
    output = store.info("total_net_output_bytes")
    begin = time.perf_counter()
    back = load.connect(server.port, auths, timeout=180)
    load.until_events(back, storm.missed, timeout=180)
    seconds = time.perf_counter() - begin
    output = store.info("total_net_output_bytes") - output
    cpu = server.cpu() - cpu
    every = max(1, storm.entries // storm.missed)
    expected = [number * every for number in range(storm.missed)]
    check([client.sid for client in back] == sids, "a client got another sid")
    check(all(client.numbers() == expected for client in back), "a replay is not what was missed")
    return {
        "restores/s": storm.clients / seconds,
        "Redis output per restore, KB": output / storm.clients / 1000,
        "CPU per restore, ms": 1000 * cpu / storm.clients,
        "memory per restore, KB": (server.memory() - memory) / storm.clients / 1000,
    }


def wait_until_gone(server: Peer) -> None:
    """Wait until a server has noticed that all of its clients have gone, and saved them."""
    end = time.monotonic() + 60
    while server.ask("clients"):
        if time.monotonic() > end:
            raise TimeoutError("the server still has clients that have gone")
        time.sleep(0.02)
    time.sleep(0.2)  # a server of Node's saves a session when it notices, and tells nobody when that is done
