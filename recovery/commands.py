"""What the library asks of a store, as typed commands, and the contract a store must keep.

Logic that needs a store is a generator that yields these commands and is sent their replies
(`recovery.flows`); a driver of either colour executes them. A store is therefore one method,
`execute`, and this module is everything that a third party must read to write one.

Rules for every store:

1. A command is atomic: it is carried out wholly or not at all, and no other command of any client
   interleaves with it.
2. A command without an answer raises `StoreUnavailableError`, which says whether it may have been
   carried out. Commands are built so that repeating one is harmless (`Append` and `ClaimSession`
   carry a number or nonce of their own).
3. Time is the store's clock, never the caller's. Lengths of time are integer milliseconds.
4. Other errors of the store raise `StoreError`; no error of a client library leaks.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from recovery.errors import StoreError
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import (
    Draft,
    Entry,
    Epoch,
    HolderState,
    Namespace,
    Pid,
    ServerId,
    StreamState,
)

__all__ = [
    "Append",
    "Appended",
    "AsyncStore",
    "ClaimRefused",
    "ClaimSession",
    "Claimed",
    "Command",
    "Flow",
    "GetStream",
    "OpenStream",
    "Overtaken",
    "Read",
    "ReadBack",
    "RenewStream",
    "SaveSession",
    "Saved",
    "Store",
]

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Command(Generic[R_co]):
    """Base of all commands; the parameter is the type of the reply."""

    __slots__ = ()


Flow = Generator[Command[Any], Any, R]
"""Logic that talks to a store: yields commands, is sent replies, returns an R.

The reply's type depends on the command, which a generator's type cannot say; hence ``Any``. Flows
annotate each reply where they receive it.
"""


@dataclass(frozen=True, slots=True)
class OpenStream(Command[StreamState]):
    """Make sure that the stream and its epoch exist, and tell its state.

    A stream that does not exist is created with one *genesis* entry (a single field ``epoch``,
    which Node's reader skips for want of ``nsp``), so that a stream always has a last offset to
    read from. If an epoch was known but the stream is gone (deleted, or lost), `candidate` becomes
    the new epoch; otherwise `candidate` is used only when there is no epoch yet.
    """

    candidate: Epoch


@dataclass(frozen=True, slots=True)
class GetStream(Command[StreamState | None]):
    """Tell the stream's state without creating anything; None if it, or its epoch, does not exist."""


@dataclass(frozen=True, slots=True)
class RenewStream(Command[StreamState]):
    """Give the stream a new epoch, because it lost an entry that it is known to have had; tell its state.

    Another genesis entry tells all readers. Whoever comes second, with a `stale` epoch that has been replaced
    by one that begins above `lost`, changes nothing. (One that begins below it may be an old one: with the
    entries, a failover may have lost that it was replaced.) What is appended from now on is above `lost`. A
    stream that is gone is made as by `OpenStream`.

    Attributes:
        stale: the epoch as the caller knows it.
        candidate: the epoch to take in its place.
        lost: offset of the entry that is gone.
    """

    stale: Epoch
    candidate: Epoch
    lost: Offset


@dataclass(frozen=True, slots=True)
class Append(Command["Appended"]):
    """Append entries, once each, and trim what is too old.

    Attributes:
        producer: identity of the appending process; its sequence number is stored beside the stream.
        sequence: number of the first draft, counted per producer from 1. A batch is stored only if
            its number is above the last stored one; repeating the *same* batch (same `sequence`)
            stores nothing and returns the offsets of the first time. A batch numbered below the last
            one is a straggler that a timeout overtook: it stores nothing and raises `StoreError`.
        drafts: at least one, in order; the same number of them when a batch is repeated.
        candidate: as for `OpenStream`, should the stream have vanished.
        retention_ms: entries older than this may be trimmed, but the newest of those stays, so that
            whoever had read up to it can still be shown to have missed nothing. Offsets never go
            backwards, even when the store's clock does.
        max_len: hard cap on the number of entries, or None; approximate (never fewer are kept).
        producer_ttl_ms: the producer's sequence number expires this long after its last batch.
        known: an entry that the stream has had, ORIGIN for none. If an older one is in its place, the stream
            has lost it, and gets `candidate` as its new epoch before the drafts are appended (`RenewStream`).
    """

    producer: ServerId
    sequence: int
    drafts: tuple[Draft, ...]
    candidate: Epoch
    retention_ms: int
    max_len: int | None
    producer_ttl_ms: int = 3_600_000
    known: Offset = ORIGIN


@dataclass(frozen=True, slots=True)
class Appended:
    """Reply to `Append`.

    Attributes:
        epoch: identity of the stream that the entries are in.
        offsets: of the drafts, in order, ascending.
        cut_into_window: True if the hard cap trimmed an entry younger than the retention, or the last
            one older than it, without which nobody can be shown to have missed nothing.
    """

    epoch: Epoch
    offsets: tuple[Offset, ...]
    cut_into_window: bool


@dataclass(frozen=True, slots=True)
class Read(Command[tuple[Entry, ...]]):
    """Return up to `count` entries after an offset, ascending; wait up to `block_ms` for the first.

    0 ms does not wait, nor does a `Read` among the commands of `execute_many`. Entries trimmed meanwhile are
    silently missing: the caller proves continuity.
    """

    after: Offset
    count: int
    block_ms: int


@dataclass(frozen=True, slots=True)
class ReadBack(Command[tuple[Entry, ...]]):
    """Return up to `count` entries at or before an offset, *descending*."""

    upto: Offset
    count: int


@dataclass(frozen=True, slots=True)
class ClaimSession(Command["Claimed | ClaimRefused"]):
    """Take over a session, if it exists and may be had; delete nothing.

    Checks in this order, and changes nothing when one fails: known, readable, not ended, not expired, same
    namespace, same identity, same epoch, not too large. Then raises the claim number and notes the owner.
    The same `nonce` gets the same answer again, as long as nobody has claimed since.

    Attributes:
        identity: what the setting ``identity`` returned for this client, "" for none; must equal
            what the session was saved with.
        owner: the claiming server.
        nonce: random, one per attempt of a client; not empty.
        max_bytes: a saved session with more is refused, and not transferred; None for no limit.
    """

    pid: Pid = field(repr=False)
    namespace: Namespace
    identity: str
    epoch: Epoch
    owner: ServerId
    nonce: str
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """Reply to `ClaimSession`: the session, and who held it.

    Attributes:
        number: the claim number; every later write of the session must name it.
        value: the saved session as written by `SaveSession`.
        proven: position that the client has proven to have received; ORIGIN if none.
        holder: server that last held the client's connection.
        holder_state: what it said of it last.
        since_ms: milliseconds since its connection opened (LIVE), closed (CLOSING, AWAY) or ended.
    """

    number: int
    value: bytes = field(repr=False)
    proven: Offset
    holder: ServerId
    holder_state: HolderState
    since_ms: int


@dataclass(frozen=True, slots=True)
class ClaimRefused:
    """Reply to `ClaimSession`: why not. Nothing was changed.

    Attributes:
        detail: what is wrong with what the store has, if something is; for the log.
    """

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SaveSession(Command["Saved | Overtaken"]):
    """Write a session, or parts of it, under a claim number.

    Refused, with nothing changed, if the stored claim number is not `number`, or is that of another owner or
    nonce (a failover that loses a claim lets its number be given again). With
    `create` it makes a session that does not exist, and does so again for the same owner (whose first reply
    may have been lost); a session that an older claim has created since the store lost it is replaced. With
    state ENDED the session's value is deleted, and only the word "ended" stays for `linger_ms`. That is
    final: whatever comes after it under this number but ENDED is refused with number 0.

    Attributes:
        value: the encoded session, or None to leave it as it is (a checkpoint).
        proven: position that the client has proven; stored as given.
        state: what this server says of its connection.
        ttl_ms: the session expires so long after this write.
        linger_ms: how much longer the claim outlives the session, so that "expired" can be told from
            "unknown".
        keep_ms: how much longer the value does, for `recovery.deadlines.ExpireSession`; at most `linger_ms`.
        nonce: of the claim that is `number`; "" for a session that nobody has claimed yet.
    """

    pid: Pid = field(repr=False)
    number: int
    owner: ServerId
    namespace: Namespace
    identity: str
    epoch: Epoch
    value: bytes | None = field(repr=False)
    proven: Offset
    state: HolderState
    ttl_ms: int
    linger_ms: int
    create: bool = False
    keep_ms: int = 0
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """Reply to `SaveSession`: written.

    Attributes:
        value_missing: True if no value was given and the store has none (evicted, or expired):
            the caller should save the whole session again.
    """

    value_missing: bool = False


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Reply to `SaveSession`: another claim is in force (or the session is gone); nothing was written.

    Attributes:
        number: the claim number in force; 0 if the session is gone.
    """

    number: int


class Store(Protocol):
    """A store for synchronous servers; safe to use from many threads at once."""

    def execute(self, command: Command[R]) -> R:
        """Carry out one command and return its reply.

        Raises:
            StoreUnavailableError: no answer.
            StoreError: the store answered with an error.
        """
        ...

    def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order, in as few round trips as possible.

        A command that fails does not stop the others: its place in the list holds the `StoreError`.
        """
        ...

    def close(self) -> None:
        """Release connections; a `Read` that is waiting ends with `StoreUnavailableError`."""
        ...


class AsyncStore(Protocol):
    """A store for asyncio servers; the same contract as `Store`."""

    async def execute(self, command: Command[R]) -> R:
        """Carry out one command and return its reply; see `Store.execute`."""
        ...

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        """Carry out commands in order; see `Store.execute_many`."""
        ...

    async def close(self) -> None:
        """Release connections; see `Store.close`."""
        ...
