"""What was left out of the stream: counted each time, said in the log as often as somebody would read it.

A million entries that nobody can read must not write a million lines. Of each cause the log gets the 1st,
2nd, 4th, 8th and so on, until `restart`, which the runtime calls once in a while. Causes are told apart by
the error's text without its numbers, and there are at most 32 of them: an entry's author must not be able to
make as many as it likes.
"""

import logging
import re
from collections import Counter

from recovery.offsets import Offset

__all__ = ["Skipped"]

logger = logging.getLogger("recovery.dispatch")

_MOST_CAUSES = 32
_LONGEST_TEXT = 200  # characters of an error in the log; it may quote what somebody else wrote
_NUMBERS = re.compile(r"[0-9]+")


class Skipped:
    """Counts entries that were left out.

    Attributes:
        total: how many, since the start.

    >>> skipped = Skipped()
    >>> [skipped.note(Offset(n, 0), ValueError(f"entry {n} is bad")) for n in range(1, 6)]
    [True, True, False, True, False]
    """

    def __init__(self) -> None:
        self.total = 0
        self._causes: Counter[str] = Counter()

    def note(self, offset: Offset, error: Exception) -> bool:
        """Count an entry, and tell whether it was said in the log."""
        self.total += 1
        text = f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]
        cause = _NUMBERS.sub("", text)
        if cause not in self._causes and len(self._causes) >= _MOST_CAUSES:
            cause = ""
        self._causes[cause] += 1
        times = self._causes[cause]
        if times & (times - 1):
            return False
        logger.warning(
            "entry %s is left out: %s (%d for this reason lately, %d in all)",
            offset,
            text,
            times,
            self.total,
            extra={"event": "entry.skipped", "offset": str(offset)},
        )
        return True

    def restart(self) -> None:
        """Forget which causes were said: the next entry of each is said again."""
        self._causes.clear()
