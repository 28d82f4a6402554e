"""Who was in a room, as far as it can be known: yes, no, or maybe.

Written for the checker, apart from `recovery.core.membership`, which it judges.

1. A change of a room took effect at one place of the stream, somewhere in ``[after, by]``. A packet is
   judged by the last change before its own place.
2. Of two changes one came later for certain if it began where the other was over; of two that both happened
   at one place, the one that is later in the history. Of others, each may have been the last.
3. A change that was never certain (``by`` is None) leaves the room at "maybe" from then on.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from heapq import heappop, heappush

from recovery.offsets import Offset
from recovery.testing.history import MembershipChanged

__all__ = ["LATEST", "RoomTimeline", "Truth"]

LATEST = Offset(2**64, 0)
"""Follows every entry."""


class Truth(IntEnum):
    """What is known; "and" is `min`, "or" is `max`.

    >>> max(Truth.NO, Truth.MAYBE), min(Truth.YES, Truth.MAYBE), Truth.YES.opposite
    (<Truth.MAYBE: 1>, <Truth.MAYBE: 1>, <Truth.NO: 0>)
    """

    NO = 0
    MAYBE = 1
    YES = 2

    @property
    def opposite(self) -> "Truth":
        """The truth of "not"."""
        return Truth(2 - self)


class RoomTimeline:
    """One room of one session.

    >>> entered = MembershipChanged("ann", "news", entered=True, after=Offset(4, 0), by=Offset(6, 0))
    >>> timeline = RoomTimeline([entered])
    >>> [timeline.contains(Offset(ms, 0), Offset(ms, 0)).name for ms in (4, 5, 7)]
    ['NO', 'MAYBE', 'YES']
    """

    __slots__ = ("_boundaries", "_truths")

    def __init__(self, changes: Sequence[MembershipChanged]) -> None:
        """Take all changes of the room, in the order of the history."""
        uppers = [LATEST if change.by is None else max(change.by, change.after) for change in changes]
        self._boundaries = sorted({change.after for change in changes} | set(uppers))
        self._truths = _truths_between(changes, uppers, self._boundaries)

    def contains(self, first: Offset, last: Offset) -> Truth:
        """Tell whether the session was in the room for a packet that stands somewhere in [first, last]."""
        start = bisect_left(self._boundaries, first)
        end = bisect_left(self._boundaries, last)
        if start == end:
            return self._truths[start]
        truths = set(self._truths[start : end + 1])
        return truths.pop() if len(truths) == 1 else Truth.MAYBE


def _truths_between(
    changes: Sequence[MembershipChanged], uppers: Sequence[Offset], boundaries: Sequence[Offset]
) -> list[Truth]:
    """The truth up to the first boundary, then after each one up to the next."""
    begun = sorted(range(len(changes)), key=lambda index: changes[index].after, reverse=True)
    settled = sorted(range(len(changes)), key=uppers.__getitem__, reverse=True)
    possible: list[tuple[Offset, int]] = []
    states: Counter[bool] = Counter({False: 1})
    truths = [Truth.NO]
    newest: tuple[Offset, int] | None = None  # began latest of those that took effect for certain
    for boundary in boundaries:
        while begun and changes[begun[-1]].after <= boundary:
            index = begun.pop()
            heappush(possible, (uppers[index], index))
            states[changes[index].entered] += 1
        while settled and uppers[settled[-1]] <= boundary:
            index = settled.pop()
            if newest is None:
                states[False] -= 1  # the room is not as it was at the start
            newest = max(newest or (changes[index].after, index), (changes[index].after, index))
        while newest is not None and possible and possible[0] < newest:
            states[changes[heappop(possible)[1]].entered] -= 1
        truths.append(_truth(states))
    return truths


def _truth(states: Counter[bool]) -> Truth:
    if states[True] and states[False]:
        return Truth.MAYBE
    return Truth.YES if states[True] else Truth.NO
