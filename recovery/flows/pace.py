"""Pace: how many entries to ask for at a time, so that a round trip brings no more than memory can take.

A store can bound a reply in entries only, not in bytes. So the first request is a small one, each may be
twice as large as what came before it, and what came tells how large an entry is.
"""

from collections.abc import Sequence

from recovery.records import Entry

__all__ = ["Pace"]

_AT_FIRST = 100  # entries, also after a quiet time
_BUDGET = 16 * 2**20  # bytes that a reply is meant to have, if entries stay as large as they are


class Pace:
    """Adapts the number of entries to their size.

    Attributes:
        count: how many to ask for next, at least 1.

    >>> from recovery.offsets import ORIGIN
    >>> pace = Pace(1000)
    >>> pace.count
    100
    >>> pace.note([Entry(ORIGIN, {b"data": bytes(2**20)})])
    >>> pace.count
    15
    """

    def __init__(self, most: int) -> None:
        self.count = min(most, _AT_FIRST)
        self._most = most

    def note(self, entries: Sequence[Entry]) -> None:
        """Learn from what came."""
        if not entries:
            return
        fitting = _BUDGET * len(entries) // max(1, sum(entry.size() for entry in entries))
        self.count = max(1, min(self._most, fitting, max(_AT_FIRST, 2 * len(entries))))
