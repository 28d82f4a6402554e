"""The truth, read from the stream itself, and what clients saw of it.

A server that is killed cannot say what it emitted. The stream can: what is in it was emitted, once, and in
this order; whatever a client saw is compared with that.
"""

import json
from collections.abc import Mapping, Sequence

import redis

from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec
from recovery.offsets import parse_offset
from recovery.records import Entry
from tests.e2e.checker import Label, Seen, Sent, check, explain
from tests.e2e.js_clients import JsClient

__all__ = ["assert_nothing_lost", "assert_stored", "read_stream", "seen_by"]

_CHUNK = 5000


def read_stream(url: str, stream: str, event: str = "n") -> list[Seen]:
    """Return the numbered packets in the stream, in its order: events with a tag and a number."""
    codec = PayloadCodec(json=json)
    packets: list[Seen] = []
    first = "-"
    with redis.Redis.from_url(url) as client:
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
