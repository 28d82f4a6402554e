"""Publishing: a batch of entries goes into the stream once, or the emitter is told (promise P7)."""

from recovery.commands import Append, Appended, Flow
from recovery.errors import PublishError, StoreError, StoreUnavailableError
from recovery.flows.steps import Clock, Pause

__all__ = ["publish"]

_FIRST_PAUSE = 0.02  # seconds; a server that restarts needs about this long
_LONGEST_PAUSE = 0.5


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
    started: float = yield Clock()
    pause = _FIRST_PAUSE
    maybe_stored = False
    while True:
        try:
            appended: Appended = yield batch
            return appended
        except StoreUnavailableError as exc:
            maybe_stored = maybe_stored or exc.maybe_applied
            reason: StoreError = exc
        except StoreError as exc:
            raise PublishError(f"the store refused the packet: {exc}", maybe_stored=maybe_stored) from exc
        now: float = yield Clock()
        if now - started + pause > timeout:
            word = "may have been" if maybe_stored else "was not"
            raise PublishError(
                f"no confirmation from the store within {timeout} s, the packet {word} stored: {reason}",
                maybe_stored=maybe_stored,
            ) from reason
        yield Pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
