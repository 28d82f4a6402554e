"""Foreign traffic: what an entry costs a server of which no client is addressed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recovery.core.dispatcher import Dispatcher
from recovery.core.packets import AckRequest
from recovery.core.replay_log import ReplayLog
from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Entry, Namespace, ServerId, Sid
from tests.benchmarks.cores import others_core, pin, server_core
from tests.benchmarks.load import Load
from tests.benchmarks.options import installed_extras
from tests.benchmarks.processes import ASYNC_REDIS, NODE, OURS, OURS_TUNED, Peer
from tests.benchmarks.relay import warm_up
from tests.benchmarks.store import Store
from tests.benchmarks.trials import Trial, check

__all__ = ["QUICK", "Sizes", "trials"]

_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large.

    Attributes:
        entries: in one trial.
        bytes: of an event, one case for each.
    """

    entries: int = 20_000
    bytes: tuple[int, ...] = (100, 1000, 10_000)


QUICK = Sizes(entries=500, bytes=(100,))


def trials(sizes: Sizes) -> Iterator[Trial]:
    """Our dispatcher alone, by the size of events; and whole servers, with all of the reading."""
    for size in sizes.bytes:
        yield Trial(f"dispatcher, {size} B", OURS, partial(_dispatch, sizes.entries, size))
    servers = [(OURS, OURS, []), (NODE, NODE, []), (OURS_TUNED, OURS, installed_extras())]
    for size in sizes.bytes:
        for name, peer, extras in servers:
            serve = partial(_serve, peer, sizes.entries, size, extras)
            yield Trial(f"server, {size} B", name, serve, once=True)
    ours, _, tuned = servers
    for name, peer, extras in (ours, (ASYNC_REDIS, ASYNC_REDIS, []), tuned):
        serve = partial(_serve, peer, sizes.entries // 4, sizes.bytes[0], extras, in_flight=1)
        yield Trial("server, one at a time", name, serve, once=True)


class _NoFrames:
    """What would encode packets; nobody gets any."""

    def event(self, namespace: Namespace, args: Sequence[Any]) -> Sequence[Any]:
        raise AssertionError("nobody is addressed")

    def event_with_ack(
        self, namespace: Namespace, sid: Sid, args: Sequence[Any], ack: AckRequest
    ) -> Sequence[Any]:
        raise AssertionError("nobody is addressed")


def _dispatch(count: int, size: int, _store: Store) -> Mapping[str, float]:
    drafts = Drafts(ServerId("other"), PayloadCodec())
    audience = [Audience((f"room-{number}",)) for number in range(100)]
    made = [drafts.broadcast(Namespace("/"), ["e", {"x": "x" * size}], each) for each in audience]
    log: ReplayLog[Any] = ReplayLog(ORIGIN, max_entries=100_000, max_bytes=64 * 2**20)
    dispatcher = Dispatcher(ServerId("this"), log, PayloadCodec(), _NoFrames(), max_client_buffer=100)
    entries = [Entry(Offset(1, number + 1), dict(made[number % 100].fields)) for number in range(count)]
    batches = [entries[start : start + _BATCH] for start in range(0, count, _BATCH)]
    pin(server_core())
    begin = time.process_time()
    for batch in batches:
        dispatcher.dispatch(batch)
    seconds = time.process_time() - begin
    pin(others_core())
    check(dispatcher.position == entries[-1].offset, "entries were left out")
    return {"CPU per entry, us": 1e6 * seconds / count}


def _serve(
    peer: str, count: int, size: int, extras: Sequence[str], store: Store, *, in_flight: int = 64
) -> Mapping[str, float]:
    """One process emits, the other one's CPU counts; it has a client, which gets the last event only."""
    with (
        Load() as load,
        Peer(peer, store.url) as emitter,
        Peer(peer, store.url, extra_room="relay", extras=extras) as server,
    ):
        (client,) = load.connect(server.port, [None])
        warm_up(emitter, client, load)
        cpu = server.cpu()
        emitter.ask("flood", count=count, size=size, missed=0, rooms=100, in_flight=in_flight)
        emitter.ask("relay", count=1, size=100, in_flight=1, pause=0)
        load.until_events([client], 1)
        return {"CPU per entry, us": 1e6 * (server.cpu() - cpu) / count}
