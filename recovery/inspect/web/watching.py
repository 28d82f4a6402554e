"""Watching: how the stream changes while somebody looks; the store keeps no history of that."""

import threading
from collections import deque
from dataclasses import dataclass

from recovery.inspect.sources import Source

__all__ = ["Sample", "Watch"]

_MOST = 600  # samples: ten minutes at one a second
_LEAST_MS = 900


@dataclass(frozen=True, slots=True)
class Sample:
    """The stream at one moment.

    Attributes:
        held_ms: how far back it reached.
    """

    at_ms: int
    length: int
    held_ms: int


class Watch:
    """The samples taken so far, the newest last; as many as are kept."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._samples: deque[Sample] = deque(maxlen=_MOST)
        self._lock = threading.Lock()

    def look(self) -> tuple[Sample, ...]:
        """Take a sample, if the last one was taken a second ago, and return all."""
        with self._lock:
            state = self._source.stream()
            if state is not None and (
                not self._samples or state.now_ms - self._samples[-1].at_ms >= _LEAST_MS
            ):
                held = max(0, state.now_ms - state.first.ms)
                self._samples.append(Sample(state.now_ms, self._source.length(), held))
            return tuple(self._samples)
