"""Memory: of a saved session, an entry of the stream, a connected client, and a replay log that is full."""

import gc
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from recovery.core.packets import StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Entry, Namespace, ServerId
from tests.benchmarks.load import Load
from tests.benchmarks.processes import ASYNC_MEMORY, ASYNC_REDIS, NODE, OURS, Peer
from tests.benchmarks.store import Store
from tests.benchmarks.storm import wait_until_gone
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "trials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        sessions: saved, each with 5 rooms and 200 bytes of data.
        entries: in the stream, each an event of 100 bytes.
        clients: connected.
        log_bytes: bound of a replay log.
    """

    sessions: int = 200
    entries: int = 10_000
    clients: int = 1000
    log_bytes: int = 4 * 2**20


QUICK = Sizes(sessions=5, entries=300, clients=20, log_bytes=2**16)


def trials(sizes: Sizes) -> Iterator[Trial]:
    """What lies in Redis, beside Node; what lies in a server, beside stock ones."""
    cases = [
        ("session", _session, sizes.sessions, (OURS, NODE)),
        ("entry", _entry, sizes.entries, (OURS, NODE)),
        ("client", _client, sizes.clients, (OURS, ASYNC_REDIS, ASYNC_MEMORY, NODE)),
    ]
    for case, measure, count, peers in cases:
        for peer in peers:
            yield Trial(case, peer, partial(measure, peer, count), once=True)
    yield Trial("replay log", OURS, partial(_log, sizes.log_bytes), once=True)


def _session(peer: str, count: int, store: Store) -> Mapping[str, float]:
    with Load() as load, Peer(peer, store.url, rooms=5, data=200) as server:
        load.connect(server.port, [None] * count)
        load.drop()
        wait_until_gone(server)
        client: Any = store.client
        keys = list(client.scan_iter("*sio:session*", 1000))
        check(len([key for key in keys if client.type(key) == b"string"]) == count, "not all are saved")
        return {"bytes in Redis": sum(client.memory_usage(key, 0) for key in keys) / count}


def _entry(peer: str, count: int, store: Store) -> Mapping[str, float]:
    with Load() as load, Peer(peer, store.url) as server:
        load.connect(server.port, [None])
        before = int(store.client.xlen("socket.io"))
        server.ask("flood", count=count, size=100, missed=0, rooms=100)
        store.wait_for_entries(before + count)
        client: Any = store.client
        return {"bytes in Redis": client.memory_usage("socket.io", 0) / count}


def _client(peer: str, count: int, store: Store) -> Mapping[str, float]:
    with Load() as load, Peer(peer, store.url) as server:
        load.connect(server.port, [None] * (count // 2), at_once=50)
        before = server.memory()
        load.connect(server.port, [None] * count, at_once=50)
        return {"bytes in the server": (server.memory() - before) / count}


def _log(bound: int, _store: Store) -> Mapping[str, float]:
    """Fill a log twice over, with entries that nobody here gets, as they come from the store."""
    drafts = Drafts(ServerId("other"), PayloadCodec())
    audience = [Audience((f"room-{number}",)) for number in range(100)]
    made = [drafts.broadcast(Namespace("/"), ["e", {"x": "x" * 80}], each) for each in audience]
    gc.collect()
    tracemalloc.start()
    log: ReplayLog[Any] = ReplayLog(ORIGIN, max_entries=10**9, max_bytes=bound)
    number = 0
    while log.start == ORIGIN or number < 2 * len(log):
        number += 1
        fields = {
            bytes(bytearray(name)): bytes(bytearray(value)) for name, value in made[number % 100].fields
        }
        log.append(StoredEntry.read(Entry(Offset(1_700_000_000_000 + number, 0), fields)))
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    check(log.bytes <= bound, "the log does not keep its bound")
    return {"memory over its bound": used / bound, "bytes per entry": used / len(log)}
