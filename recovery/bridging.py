"""Bridges between regions: which entries cross, and what a bridge asks of the store that they go to.

A bridge reads the stream of one region, its source, and appends what crosses to that of another, its target.

1. What is for clients crosses: events, changes of rooms, disconnections of audiences. What servers say to
   each other stays: questions and answers, claims, and events that ask for an acknowledgement, because the
   answer would not find its way back.
2. An entry that came over a bridge crosses no other one. So there are no loops, whoever emitted it, and in a
   mesh of regions, with a bridge for each ordered pair, each gets each entry once.
3. The position up to which the source was carried over is kept in the target, and changes in the same step in
   which the entries are appended. So an entry is appended once, whenever whoever is killed or cut off.
4. What crosses is as it was, but for two fields: ``via`` names the bridge, and ``uid`` says that an emitter
   wrote it, as Node's emitters do. Node's adapters with heartbeats (``ClusterAdapterWithHeartbeat``) take any
   other author for a server of their cluster, and wait for its answers.

`Forward` is part of the contract of `recovery.commands`, whose rules hold here, too. A store without it
serves everything but bridges to it.
"""

from dataclasses import dataclass
from enum import StrEnum

from recovery.commands import Command
from recovery.entries import Kind, PayloadCodec, read_head
from recovery.errors import MalformedError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Draft, Entry, Epoch

__all__ = ["VIA", "Forward", "Forwarded", "Staying", "crossing"]

VIA = b"via"
"""The field that an entry has which came over a bridge: the bridge's name."""

_UID = b"uid"
_EMITTER = b"emitter"
"""Who writes without being a server, in the entries of ``@socket.io/redis-streams-emitter``."""

_CROSSING = frozenset({Kind.BROADCAST, Kind.JOIN, Kind.LEAVE, Kind.DISCONNECT})
_REQUEST = "requestId"


class Staying(StrEnum):
    """Why an entry does not cross."""

    CARRIED = "carried"
    """It came over a bridge itself."""
    REGIONAL = "regional"
    """It is between servers, or asks for an acknowledgement."""
    UNREADABLE = "unreadable"
    """Nobody can read it, or its type is unknown; the servers of its region leave it out, too."""


@dataclass(frozen=True, slots=True)
class Forward(Command["Forwarded"]):
    """Append entries of another stream, once, and note how far that stream has been carried over.

    Nothing is changed unless the position that is kept is `before`, or there is none. So whoever comes
    second, a repetition or another bridge of that name, learns the position, and goes on from there.

    Attributes:
        link: the bridge's name; it has one position in this store.
        before: the position as the caller knows it; None to learn it, or to begin at `upto`.
        upto: the position afterwards.
        drafts: the entries, in order; none to note the position only.
        candidate: as for `recovery.commands.Append`, as are `retention_ms`, `max_len` and `known`.
    """

    link: str
    before: Offset | None
    upto: Offset
    drafts: tuple[Draft, ...]
    candidate: Epoch
    retention_ms: int
    max_len: int | None = None
    known: Offset = ORIGIN


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Reply to `Forward`.

    Attributes:
        done: False if another position was kept; nothing was changed then.
        position: the one that is kept now.
        last: offset of the last entry that was appended; ORIGIN for none.
        cut_into_window: as of `recovery.commands.Appended`.
    """

    done: bool
    position: Offset
    last: Offset = ORIGIN
    cut_into_window: bool = False


def crossing(entry: Entry, link: str, codec: PayloadCodec) -> Draft | Staying | None:
    """Return an entry as it is appended on the other side, or why it stays; None for the genesis of a stream.

    >>> fields = {b"uid": b"s1", b"nsp": b"/", b"type": b"4", b"data": b"{}", b"to": b"[]"}
    >>> crossing(Entry(ORIGIN, fields), "east", PayloadCodec()).fields[-1]
    (b'via', b'east')
    >>> crossing(Entry(ORIGIN, {**fields, b"via": b"west"}), "east", PayloadCodec())
    <Staying.CARRIED: 'carried'>
    """
    if VIA in entry.fields:
        return Staying.CARRIED
    if b"epoch" in entry.fields:
        return None
    try:
        head = read_head(entry)
        if head is None:
            return Staying.UNREADABLE
        if head.kind not in _CROSSING or head.target is not None or _asks(entry, head.kind, codec):
            return Staying.REGIONAL
    except MalformedError:
        return Staying.UNREADABLE
    fields = tuple((name, _EMITTER if name == _UID else value) for name, value in entry.fields.items())
    return Draft((*fields, (VIA, link.encode())))


def _asks(entry: Entry, kind: Kind, codec: PayloadCodec) -> bool:
    """Tell whether an event is to be acknowledged to the server that emitted it."""
    raw = entry.fields.get(b"data", b"")
    if kind is not Kind.BROADCAST or (raw[:1] == b"{" and _REQUEST.encode() not in raw):
        return False  # most: they need not be decoded
    return _REQUEST in codec.decode(raw, plain=True)
