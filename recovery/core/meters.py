"""What one server counts: plain numbers, to which nothing but time is missing to become metrics.

1. They change where the dispatcher runs, and nowhere else. Any thread may read them at any moment.
2. What counts up never goes down, until the process ends.
3. Reading them costs the store nothing, so what they say of it is as old as the last look that was taken for
   another purpose: `_DOUBT_EVERY` of `recovery.aio.runtime` at most.

`adapter.figures` says what each is called, and how it is to be read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from recovery.offsets import Offset
from recovery.records import Recovery, StreamState

__all__ = ["RECOVERED", "Distribution", "Histogram", "Meters", "Progress", "StreamMeters"]

RECOVERED = "recovered"
"""The outcome of a recovery that came about; the others are `recovery.Reason`."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of what a recovery may take: a round trip to a near store, up to ``publish_timeout`` twice."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram at one moment.

    Attributes:
        buckets: upper bounds, and how many values were at or below each; the last bound is infinite.
        total: the sum of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.buckets[-1][1]


class Histogram:
    """Counts values by size.

    >>> histogram = Histogram((0.1, 1.0))
    >>> for seconds in (0.05, 0.1, 0.7, 3.0):
    ...     histogram.note(seconds)
    >>> histogram.read().buckets
    ((0.1, 2), (1.0, 3), (inf, 4))
    """

    def __init__(self, bounds: Sequence[float] = _SECONDS) -> None:
        self._bounds = (*bounds, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """What was counted so far."""
        return Distribution(tuple(zip(self._bounds, accumulate(self._counts), strict=True)), self._total)


class Progress:
    """How far the reader is, as far as it knows.

    Attributes:
        begun: it was told to read.
        entries: how many it has read.
        failing: its last attempt got no answer.
        behind: seconds between the last entry read and the stream's end then, on the store's clock.
        span: seconds for which the stream's entries reached back when that was last looked at; None before.
    """

    def __init__(self) -> None:
        self.begun = False
        self.entries = 0
        self.failing = False
        self.behind = 0.0
        self.span: float | None = None
        self._answered: float | None = None

    def note(self, entries: int, position: Offset, stream: StreamState | None, *, now: float) -> None:
        """The store has answered.

        Args:
            entries: how many it gave.
            position: the last entry that was dispatched.
            stream: the stream's state after that, if it was asked for. It is whenever so many entries came
                that there may be more; so if it was not, there was none after them.
            now: seconds on a clock that only goes forward.
        """
        self.failing = False
        self.entries += entries
        self._answered = now
        self.behind = 0.0
        if stream is not None:
            self.behind = max(0.0, (stream.last.ms - position.ms) / 1000)
            self.span = max(0.0, (stream.now_ms - stream.first.ms) / 1000)

    def silence(self, now: float, *, patience: float) -> float | None:
        """Seconds for which the store owes an answer; None if it never gave one.

        Args:
            patience: seconds for which a read may wait for entries.
        """
        return None if self._answered is None else max(0.0, now - self._answered - patience)

    def lag(self, now: float, *, patience: float) -> float | None:
        """Seconds for which this server may lack entries that others have; None before the first answer."""
        silence = self.silence(now, patience=patience)
        return None if silence is None else self.behind + silence


class StreamMeters:
    """What one server counts of one stream.

    Attributes:
        published: entries that this server has appended.
        batches: script calls with which it did so.
        publish_retries: further attempts at a batch that the store had not confirmed.
        publish_failures: entries whose emitter was told that they were not confirmed.
        unanswered: when the last attempt to append got no answer; None if it got one.
        reader: how far the reader is.
    """

    def __init__(self) -> None:
        self.published = 0
        self.batches = 0
        self.publish_retries = 0
        self.publish_failures = 0
        self.unanswered: float | None = None
        self.reader = Progress()
        self._sequence = 0

    def note_append(self, sequence: int) -> None:
        """A batch is about to be sent, perhaps once more."""
        self.publish_retries += sequence == self._sequence
        self._sequence = sequence

    def note_appended(self, entries: int) -> None:
        """A batch was stored."""
        self.unanswered = None
        self.published += entries
        self.batches += 1


class Meters:
    """What one server counts besides its streams and its log events (`recovery.core.tally`).

    Attributes:
        recoveries: clients that asked for recovery: `RECOVERED`, or the reason why not.
        replayed: missed packets that recovered clients were given.
        takeovers: recovered clients whose old connection was still open, as far as the store knew.
        handovers: connections that ended here because another server has the session.
        takeover_timeouts: claims that did not wait any longer for another server's disconnect handler.
        attempts: how long it took to answer whoever asked, without the connect handler, by outcome.
        unreadable_sessions: saved sessions that could not be read, or were too large.
        saves: writes of sessions: "saved", "overtaken" (the session is another server's) or "failed".
        expired: runs of the handler ``session_expired``: "returned" or "raised".
    """

    def __init__(self) -> None:
        self.recoveries: Counter[str] = Counter()
        self.replayed = 0
        self.takeovers = 0
        self.handovers = 0
        self.takeover_timeouts = 0
        self.attempts = {RECOVERED: Histogram(), "refused": Histogram()}
        self.unreadable_sessions = 0
        self.saves: Counter[str] = Counter()
        self.expired: Counter[str] = Counter()

    def note_attempt(self, recovery: Recovery, seconds: float) -> None:
        """A client that asked for recovery is answered; whether it gets in is for the application to say."""
        self.attempts[RECOVERED if recovery.recovered else "refused"].note(seconds)
        if recovery.reason is not None:
            self.recoveries[recovery.reason.value] += 1

    def note_return(self, recovery: Recovery) -> None:
        """A recovered client was let in."""
        self.recoveries[RECOVERED] += 1
        self.replayed += recovery.replayed
        self.takeovers += recovery.offline_for is None
