"""Keeping: an answer is given again for a time that grows with what it cost.

A page that is open asks every two seconds, and so may ten. Whatever they ask, this process and the store are
busy with it for a tenth of the time at most.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["PATIENCE", "Kept"]

T = TypeVar("T")

PATIENCE = 10
"""An answer is kept for so many times what it took to find it."""

_LEAST_SECONDS = 0.5


@dataclass(slots=True)
class _Answer(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    until: float = 0.0


class Kept(Generic[T]):
    """Keeps the answers that were asked for last.

    Args:
        most: how many.
        stands_still: the source never changes, so neither does an answer.

    >>> kept: Kept[int] = Kept(2)
    >>> kept.get("one", lambda: 1), kept.get("one", lambda: 2)
    (1, 1)
    """

    def __init__(
        self, most: int, *, stands_still: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._stands_still = stands_still
        self._clock = clock
        self._answers: OrderedDict[Hashable, _Answer[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable, find: Callable[[], T]) -> T:
        """The answer of this name, found anew if it is too old; who asks meanwhile waits for that one."""
        answer = self._place(name)
        with answer.lock:
            began = self._clock()
            if answer.value is None or began >= answer.until:
                answer.value = find()
                took = self._clock() - began
                pause = max(_LEAST_SECONDS, PATIENCE * took)
                answer.until = float("inf") if self._stands_still else began + took + pause
            return answer.value

    def _place(self, name: Hashable) -> _Answer[T]:
        with self._lock:
            answer = self._answers.setdefault(name, _Answer())
            self._answers.move_to_end(name)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
            return answer
