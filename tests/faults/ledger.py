"""The truth, read from the stream itself, and what clients saw of it.

A server that is killed cannot say what it emitted. The stream can: what is in it was emitted, once, and in
this order; whatever a client saw is compared with that.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import redis

from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec
from recovery.offsets import parse_offset
from recovery.records import Entry
from tests.e2e.checker import Label, Seen, Sent, check, explain
from tests.e2e.js_clients import JsClient
from tests.faults.nodes import RECOVERY_SECONDS, Nodes
from tests.waiting import async_wait_until

__all__ = [
    "assert_nothing_lost",
    "assert_session",
    "assert_stored",
    "assert_whole",
    "read_stream",
    "seen_by",
    "sessions_of",
    "until_kept",
    "until_more",
]

_CHUNK = 5000


def read_stream(url: str, stream: str, event: str = "n") -> list[Seen]:
    """Return the numbered packets in the stream, in its order: events with a tag and a number."""
    codec = PayloadCodec(json=json)
    packets: list[Seen] = []
    first = "-"
    with redis.Redis.from_url(url) as client:
        entries: Any  # redis-py's types are those of both colours at once
        while entries := client.xrange(stream, min=first, count=_CHUNK):
            for offset, fields in entries:
                packets += _numbered(Entry(parse_offset(offset.decode()), fields), codec, event)
            first = "(" + entries[-1][0].decode()
    return packets


def _numbered(entry: Entry, codec: PayloadCodec, event: str) -> list[Seen]:
    if b"type" not in entry.fields:
        return []  # the first entry of a stream has an epoch only
    stored: StoredEntry[bytes] = StoredEntry.read(entry)
    if stored.head is None or stored.head.kind is not Kind.BROADCAST:
        return []
    name, *args = stored.broadcast(codec).args
    if name != event:
        return []
    tag, number = args
    return [Seen(Label(tag, number), str(entry.offset))]


async def until_kept(clients: Sequence[JsClient], count: int) -> None:
    """Wait until each client has seen so many numbered packets."""
    for client in clients:

        async def has_enough(client: JsClient = client) -> bool:
            return await client.kept_count() >= count

        await async_wait_until(
            has_enough, timeout=RECOVERY_SECONDS, what=f"{client.name} has {count} packets"
        )


async def until_more(clients: Sequence[JsClient], more: int = 20) -> None:
    """Wait until each client has seen so many more numbered packets than now: traffic flows to it."""
    counts = [await client.kept_count() for client in clients]
    for client, count in zip(clients, counts, strict=True):
        await until_kept([client], count + more)


async def assert_whole(cluster: Nodes, url: str, clients: Sequence[JsClient]) -> list[Seen]:
    """Demand that each client saw all of the stream, once and in order; return that.

    For clients that were connected before the first packet. Nothing may be emitted any more.
    """
    await cluster.settle(*clients)
    truth = read_stream(url, cluster.app)
    assert_nothing_lost(truth, {client.name: await seen_by(client) for client in clients})
    return truth


async def sessions_of(client: JsClient) -> list[list[Seen]]:
    """Return what a client with the option ``marks`` saw, one list for each session that it had."""
    sessions: list[list[Seen]] = []
    for tag, number, offset in await client.kept():
        if offset is None:
            sessions.append([])
        else:
            sessions[-1].append(Seen(Label(tag, number), offset))
    return sessions


def assert_session(
    client: str, session: Sequence[Seen], truth: Sequence[Seen], *, from_the_first: bool, to_the_last: bool
) -> None:
    """Demand that what a session saw is a piece of the stream, without a gap and in order.

    Raises:
        AssertionError: it says what is wrong.
    """
    if not session:
        assert not (from_the_first and to_the_last and truth), f"{client} saw nothing at all"
        return
    begin = 0 if from_the_first else truth.index(session[0])
    end = len(truth) if to_the_last else begin + len(session)
    expected = truth[begin:end]
    findings = check([Sent(packet.label, frozenset({client})) for packet in expected], {client: session})
    assert not findings, explain(findings)
    assert list(session) == list(expected)


async def seen_by(client: JsClient) -> list[Seen]:
    """Return the numbered packets that a client's handler saw, in its order."""
    return [Seen(Label(tag, number), offset) for tag, number, offset in await client.kept()]


def assert_nothing_lost(truth: Sequence[Seen], seen: Mapping[str, Sequence[Seen]]) -> None:
    """Demand that each client saw every packet of the stream once, in order.

    Raises:
        AssertionError: it says which client saw what instead.
    """
    everyone = frozenset(seen)
    findings = check([Sent(packet.label, everyone) for packet in truth], seen)
    assert not findings, explain(findings)
    for client, packets in seen.items():
        assert list(packets) == list(truth), f"{client} saw the packets at other offsets than the stream has"


def assert_stored(
    truth: Sequence[Seen], tag: str, count: int, failures: Sequence[tuple[int, bool]] = ()
) -> None:
    """Demand that the stream has what a flood emitted, each packet once, and nothing that it was denied.

    Args:
        failures: numbers that were not confirmed, and whether they may be stored.
    """
    numbers = [packet.label.number for packet in truth if packet.label.producer == tag]
    denied = {number for number, maybe_stored in failures if not maybe_stored}
    unsure = {number for number, maybe_stored in failures if maybe_stored}
    assert len(numbers) == len(set(numbers)), f"the stream has packets of {tag} twice"
    assert not denied & set(numbers), f"packets of {tag} were stored although their emit said no"
    confirmed = set(range(1, count + 1)) - denied - unsure
    missing = sorted(confirmed - set(numbers))
    assert not missing, f"packets of {tag} were confirmed, and are not in the stream: {missing[:10]}"
