"""The memory store's list of deadlines: at which session to look when."""

from heapq import nsmallest

from recovery.records import Pid

__all__ = ["Deadlines"]


class Deadlines:
    """Sessions, and when to look at them, in milliseconds of the store's clock. Not safe from threads.

    >>> deadlines = Deadlines()
    >>> deadlines.note(Pid("p1"), 2000)
    >>> deadlines.due(2, now=2000, lease_ms=500)
    ('p1',)
    >>> deadlines.due(2, now=2400, lease_ms=500)
    ()
    """

    def __init__(self) -> None:
        self._look_at: dict[Pid, int] = {}

    def note(self, pid: Pid, at: int | None) -> None:
        """Look at a session at a time, or not at all."""
        if at is None:
            self._look_at.pop(pid, None)
        else:
            self._look_at[pid] = at

    def due(self, count: int, *, now: int, lease_ms: int) -> tuple[Pid, ...]:
        """Return those to be looked at, the longest overdue first; they are due again after the lease."""
        overdue = ((at, pid) for pid, at in self._look_at.items() if at <= now)
        pids = tuple(pid for _, pid in nsmallest(count, overdue))
        for pid in pids:
            self._look_at[pid] = now + lease_ms
        return pids
