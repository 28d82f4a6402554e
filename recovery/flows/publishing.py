"""Publishing: a batch of entries goes into the stream once, or the emitter is told (promise P7)."""

from recovery.commands import Append, Appended, Flow
from recovery.errors import PublishError, StoreError, StoreUnavailableError
from recovery.flows.insisting import insist

__all__ = ["publish"]


def publish(batch: Append, *, timeout: float) -> Flow[Appended]:
    """Append a batch, again and again until the store answers.

    Repeating is safe because the batch carries a sequence number: what an unanswered attempt stored is
    not stored twice, and its offsets are learned.

    Args:
        batch: the only batch of its producer that is under way.
        timeout: seconds after which no further attempt is made.

    Raises:
        PublishError: no answer in time, or the store refused the batch.
    """
    unanswered: list[StoreUnavailableError] = []
    try:
        return (yield from insist(batch, timeout=timeout, on_silence=unanswered.append))
    except StoreError as exc:
        maybe_stored = any(attempt.maybe_applied for attempt in unanswered)
        what = _what_happened(exc, timeout, maybe_stored=maybe_stored)
        raise PublishError(what, maybe_stored=maybe_stored) from exc


def _what_happened(error: StoreError, timeout: float, *, maybe_stored: bool) -> str:
    if not isinstance(error, StoreUnavailableError):
        return f"the store refused the packet: {error}"
    word = "may have been" if maybe_stored else "was not"
    return f"no confirmation from the store within {timeout} s, the packet {word} stored: {error}"
