"""Bridging: what is new in one region's stream is appended to another's, once each, in order.

Commands as they are go to the source, the stream that is read; those in `AtTarget` to the store that they are
for. `recovery.bridging` says what crosses, and why nothing is doubled.

Nothing is read before what was read last is stored: a target that is away or slow holds up the reading, and
memory holds one batch. Entries that the source no longer has when a bridge comes back are gone for the other
region, as they are for a server that was away for so long; that is a gap, and is told.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import TypeVar

from recovery.bridging import Forward, Forwarded, Staying, crossing
from recovery.commands import Command, Flow, OpenStream, RenewStream
from recovery.entries import PayloadCodec
from recovery.errors import ConfigurationError, StoreUnavailableError
from recovery.flows.insisting import insist
from recovery.flows.reading import Batch, read_on
from recovery.offsets import ORIGIN, Offset
from recovery.records import Draft, Entry, Epoch, StreamState

__all__ = ["AtTarget", "Bearings", "Carried", "Terms", "begin", "carry"]

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class AtTarget(Command[R_co]):
    """A command for the store that the bridge goes to."""

    command: Command[R_co]


@dataclass(frozen=True, slots=True)
class Terms:
    """What does not change while a bridge runs.

    Attributes:
        link: the bridge's name.
        retention_ms: of both streams.
        max_len: of both streams.
    """

    link: str
    retention_ms: int
    max_len: int | None = None


@dataclass(frozen=True, slots=True)
class Bearings:
    """Where a bridge stands.

    Attributes:
        position: the last entry of the source that was seen to.
        kept: the position as the target has it; between the two nothing has crossed.
        epoch: identity of the source's stream.
        known: the last entry that this bridge has appended to the target.
    """

    position: Offset
    kept: Offset
    epoch: Epoch
    known: Offset = ORIGIN


@dataclass(frozen=True, slots=True)
class Carried:
    """What one step did.

    Attributes:
        bearings: where the bridge stands now.
        entries: what was read.
        crossed: how many of them were appended.
        stayed: how many were not, by reason.
        gap: entries of the source are missing: nobody can carry them over any more.
        elsewhere: the target had another position: another bridge of that name is at work, or the target lost
            writes; the bridge goes on from there.
        cut: the cap on the target's stream cut into its window.
    """

    bearings: Bearings
    entries: tuple[Entry, ...] = ()
    crossed: int = 0
    stayed: Counter[Staying] | None = None
    gap: bool = False
    elsewhere: bool = False
    cut: bool = False


def begin(terms: Terms, candidates: tuple[Epoch, Epoch]) -> Flow[Bearings]:
    """Find out where to go on: at the position that the target keeps, or else at the source's end.

    Args:
        candidates: identities for the two streams, should they have none; two different ones.

    Raises:
        ConfigurationError: source and target are one.
    """
    source: StreamState = yield OpenStream(candidates[0])
    target: StreamState = yield AtTarget(OpenStream(candidates[1]))
    if source.epoch == target.epoch:
        raise ConfigurationError(
            "both ends of the bridge have one stream, or one was made from a copy of the other; in the second"
            " case, delete the stream and its epoch in the copy"
        )
    first = Forward(terms.link, None, source.last, (), candidates[1], terms.retention_ms)
    reply: Forwarded = yield AtTarget(first)
    return Bearings(reply.position, reply.position, source.epoch)


def carry(
    terms: Terms,
    bearings: Bearings,
    *,
    codec: PayloadCodec,
    candidates: tuple[Epoch, Epoch],
    count: int,
    block_ms: int,
    doubtful: bool,
    on_silence: Callable[[StoreUnavailableError], object] = lambda _: None,
) -> Flow[Carried]:
    """Read what is next, and have the target store what crosses, however long that takes.

    Args:
        count: most entries to read, as `block_ms` is how long to wait for the first.
        doubtful: continuity must be proven whatever is read, and the target asked whether it still has what
            it was given: first, after an interruption, and now and then.
        on_silence: called for each time that the target does not answer.

    Raises:
        StoreError: the source did not answer, or either answered with an error. Go on from the same bearings.
    """
    batch: Batch = yield from read_on(
        bearings.position,
        count=count,
        block_ms=block_ms,
        retention_ms=terms.retention_ms,
        max_len=terms.max_len,
        doubtful=doubtful,
        renewal=RenewStream(bearings.epoch, candidates[0], bearings.position),
    )
    if batch.stream is not None:
        bearings = replace(bearings, epoch=batch.stream.epoch)
    drafts, stayed = _sorted(batch.entries, terms.link, codec)
    position = batch.entries[-1].offset if batch.entries else bearings.position
    if not (drafts or doubtful or batch.gap):  # what does not cross need not be written down each time
        return Carried(replace(bearings, position=position), batch.entries, stayed=stayed)
    forward = Forward(
        link=terms.link,
        before=bearings.kept,
        upto=position,
        drafts=drafts,
        candidate=candidates[1],
        retention_ms=terms.retention_ms,
        max_len=terms.max_len,
        known=bearings.known,
    )
    carried = yield from _deliver(forward, bearings, on_silence)
    return replace(carried, entries=batch.entries, stayed=stayed, gap=batch.gap)


def _deliver(
    forward: Forward, bearings: Bearings, on_silence: Callable[[StoreUnavailableError], object]
) -> Flow[Carried]:
    """Have the target store a batch, however long that takes."""
    silent: list[StoreUnavailableError] = []

    def note(error: StoreUnavailableError) -> None:
        silent.append(error)
        on_silence(error)

    reply: Forwarded = yield from insist(AtTarget(forward), timeout=inf, on_silence=note)
    # A repetition finds the position of the attempt that got no answer.
    done = reply.done or (bool(silent) and reply.position == forward.upto)
    return Carried(
        bearings=Bearings(reply.position, reply.position, bearings.epoch, max(bearings.known, reply.last)),
        crossed=len(forward.drafts) if done else 0,
        elsewhere=not done,
        cut=reply.cut_into_window,
    )


def _sorted(
    entries: tuple[Entry, ...], link: str, codec: PayloadCodec
) -> tuple[tuple[Draft, ...], Counter[Staying]]:
    """What crosses, and how many do not, by reason."""
    drafts: list[Draft] = []
    stayed: Counter[Staying] = Counter()
    for entry in entries:
        verdict = crossing(entry, link, codec)
        if isinstance(verdict, Draft):
            drafts.append(verdict)
        elif verdict is not None:
            stayed[verdict] += 1
    return tuple(drafts), stayed
