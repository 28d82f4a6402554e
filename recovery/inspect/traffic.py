"""Traffic: what is in the stream, how fast it grows, and whether it reaches back far enough.

A stream of a million entries is not read for that: its ends and its length cost one round trip, and shares
and sizes are those of its newest entries. Who wants all of it asks for that.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec, decode_audience
from recovery.errors import MalformedError
from recovery.flows.pace import Pace
from recovery.inspect.listing import Timing
from recovery.inspect.sources import AT_ONCE, Source, entries_between
from recovery.offsets import ORIGIN, Offset
from recovery.packing import is_map
from recovery.records import Audience, Entry, Namespace, ServerId, StreamState

__all__ = ["DecodedEntry", "Part", "Traffic", "decode_entry", "measure_traffic", "newest_entries"]

_MOST_NAMES = 1000
"""Events that are told apart; whoever writes the stream may make as many as it likes."""

_MOST_SECONDS = 20_000
"""Seconds that are told apart."""

_OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class DecodedEntry:
    """An entry of the stream, as far as it can be read; `decode_entry` makes one.

    >>> decode_entry(Entry(Offset(5, 0), {b"type": b"77"})).problem
    'it is of no type that we know'

    Attributes:
        kind: what it does; None for a genesis entry, and for what is not for us.
        args: the event's name and arguments; empty if it is no event.
        audience: whom it addresses.
        server: who appended it.
        size: bytes of its fields.
        problem: why it cannot be read, "" if it can.
    """

    offset: Offset
    kind: Kind | None
    namespace: Namespace
    args: Sequence[Any]  # the application's own data
    audience: Audience
    volatile: bool
    server: ServerId
    size: int
    problem: str = ""

    @property
    def event(self) -> str:
        """The event's name, or what the entry does, in parentheses."""
        if self.args:
            return str(self.args[0])
        if self.problem:
            return "(unreadable)"
        return f"({'genesis' if self.kind is None else self.kind.name.lower()})"


def decode_entry(entry: Entry, codec: PayloadCodec | None = None) -> DecodedEntry:
    """Decode an entry; nothing in it raises.

    >>> decode_entry(Entry(Offset(5, 0), {b"epoch": b"e"})).event
    '(genesis)'
    """
    blank = DecodedEntry(
        entry.offset,
        kind=None,
        namespace=Namespace(""),
        args=(),
        audience=Audience(),
        volatile=False,
        server=ServerId(""),
        size=entry.size(),
    )
    try:
        stored: StoredEntry[Any] = StoredEntry.read(entry)
    except MalformedError as error:
        return replace(blank, problem=str(error))
    if stored.head is None:
        return replace(blank, problem="" if b"epoch" in entry.fields else "it is of no type that we know")
    known = replace(blank, kind=stored.head.kind, namespace=stored.head.namespace, server=stored.head.server)
    try:
        return _decoded(known, stored, codec or PayloadCodec())
    except MalformedError as error:
        return replace(known, problem=str(error))


def _decoded(known: DecodedEntry, stored: StoredEntry[Any], codec: PayloadCodec) -> DecodedEntry:
    if known.kind is Kind.BROADCAST:
        event = stored.broadcast(codec)
        return replace(known, args=event.args, audience=event.audience, volatile=event.volatile)
    payload = stored.payload(codec)
    if is_map(payload.get("opts")):
        return replace(known, audience=decode_audience(payload)[0])
    named = None if stored.head is None else stored.head.rooms
    return replace(known, audience=Audience(named or ()))


@dataclass(slots=True)
class Part:
    """Entries that were looked at.

    Attributes:
        entries: how many.
        size: bytes of their fields.
        first: the oldest of them; `last` the newest. None if there are none.
        names: how many of each namespace and event.
        sizes: bytes of each.
        seconds: how many in each second since 1970, of those that were looked at first.
    """

    entries: int = 0
    size: int = 0
    first: Offset | None = None
    last: Offset | None = None
    names: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    sizes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    seconds: Counter[int] = field(default_factory=Counter[int])

    def add(self, entry: Entry, codec: PayloadCodec | None = None) -> None:
        """Take another entry into account."""
        decoded = decode_entry(entry, codec)
        name = (str(decoded.namespace), decoded.event)
        if name not in self.names and len(self.names) >= _MOST_NAMES:
            name = ("", _OTHERS)
        self.entries += 1
        self.size += decoded.size
        self.names[name] += 1
        self.sizes[name] += decoded.size
        second = entry.offset.ms // 1000
        if second in self.seconds or len(self.seconds) < _MOST_SECONDS:
            self.seconds[second] += 1
        self.first = entry.offset if self.first is None else min(self.first, entry.offset)
        self.last = entry.offset if self.last is None else max(self.last, entry.offset)

    @property
    def per_second(self) -> float | None:
        """Entries a second between the oldest and the newest; None if no time lies between."""
        if self.first is None or self.last is None or self.last.ms == self.first.ms:
            return None
        return (self.entries - 1) * 1000 / (self.last.ms - self.first.ms)


@dataclass(frozen=True, slots=True)
class Traffic:
    """A stream as a whole, and the part of it that was looked at; `measure_traffic` makes one.

    Example::

        print(measure_traffic(source).part.names.most_common(3))

    Attributes:
        length: entries in the stream.
        held_ms: how far back it reaches, from now.
        window_ms: how long clients may be away.
        retention_ms: how long entries are to be kept for that.
        untrimmed: its oldest entry is its first: nothing was ever trimmed.
        is_sample: the part is not all that was asked for, but the newest of it.
    """

    stream: StreamState
    length: int
    part: Part
    held_ms: int
    window_ms: int
    retention_ms: int
    untrimmed: bool
    is_sample: bool

    @property
    def covers_window(self) -> bool:
        """Whether a client that was away for as long as it may can be shown to have missed nothing else."""
        return self.untrimmed or self.held_ms >= self.window_ms

    @property
    def size(self) -> int:
        """Bytes of the stream's fields, from the part."""
        return round(self.part.size * self.length / self.part.entries) if self.part.entries else 0


def measure_traffic(
    source: Source,
    timing: Timing | None = None,
    *,
    after: Offset | None = None,
    upto: Offset | None = None,
    sample: int | None = 10_000,
    now_ms: int | None = None,
    codec: PayloadCodec | None = None,
) -> Traffic | None:
    """Measure a stream; None if there is none.

    Args:
        after: look at entries after this offset only.
        upto: and up to this one.
        sample: look at so many at most, the newest; None for all.
        now_ms: the moment that it is of.

    Example::

        traffic = measure_traffic(source)
        print(traffic.length, traffic.part.per_second, traffic.covers_window)
    """
    stream = source.stream()
    if stream is None:
        return None
    timing, part = timing or Timing(), Part()
    end = min(upto, stream.last) if upto is not None else stream.last
    for entry in _wanted(source, after, end, sample):
        part.add(entry, codec)
    oldest, length = source.read(ORIGIN, 1), source.length()
    now_ms = stream.now_ms if now_ms is None else now_ms
    return Traffic(
        stream,
        length,
        part,
        held_ms=max(0, now_ms - stream.first.ms),
        window_ms=timing.settings.window_ms,
        retention_ms=timing.retention_ms,
        untrimmed=bool(oldest) and b"epoch" in oldest[0].fields,
        is_sample=sample is not None and sample <= part.entries < length,
    )


def _wanted(source: Source, after: Offset | None, end: Offset, sample: int | None) -> Iterable[Entry]:
    if sample is None:
        return entries_between(source, after or ORIGIN, end)
    return newest_entries(source, after or ORIGIN, end, sample)


def newest_entries(source: Source, after: Offset, end: Offset, count: int) -> Iterator[Entry]:
    """Up to `count` entries from one offset back to another, the newest first.

    They are read in pieces that adapt to their size, so that no answer is large.
    """
    pace = Pace(AT_ONCE)
    upto: Offset | None = end
    while upto is not None and count > 0:
        asked = min(max(2, pace.count), count + 1)
        batch = source.read_back(upto, asked)
        for entry in batch:
            if entry.offset <= after or count == 0:
                return
            if entry.offset != upto or upto == end:  # the next piece begins with the last of this one
                count -= 1
                yield entry
        pace.note(batch)
        upto = batch[-1].offset if len(batch) == asked else None
