"""What operators should know of: counted each time, said in the log as often as somebody would read it.

A cap that cuts into the window does so with every batch, and a reader whose store is away fails ten times a
second. The log gets the first time, and one line a minute while it goes on.
"""

from collections import Counter

__all__ = ["Tally"]

_SAID_EVERY = 60.0  # seconds


class Tally:
    """Counts log events.

    Attributes:
        counts: how often each has happened since the start, by its name.

    >>> tally = Tally()
    >>> [tally.note("stream.cut", now) for now in (0.0, 1.0, 61.0)]
    [True, False, True]
    >>> tally.counts["stream.cut"]
    3
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    def note(self, event: str, now: float) -> bool:
        """Count an event, and tell whether it is time to say so.

        Args:
            now: seconds on a clock that only goes forward.
        """
        self.counts[event] += 1
        said = self._said.get(event)
        if said is not None and now - said < _SAID_EVERY:
            return False
        self._said[event] = now
        return True

    def over(self, event: str) -> bool:
        """Note that an event has stopped, so that its next time is said at once; False if it was not on."""
        return self._said.pop(event, None) is not None
