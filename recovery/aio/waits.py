"""What flows of this server wait for: places in the stream, and words of other servers."""

import asyncio
from collections import OrderedDict
from heapq import heappop, heappush
from itertools import count

from recovery.offsets import Offset
from recovery.records import Namespace, Sid

__all__ = ["Positions", "Release", "Releases"]

_RELEASES_KEPT = 1000  # words of other servers that may come before they are waited for

Release = tuple[Namespace, Sid, int]
"""A client that another server has let go of, and the claim number that was waiting for that."""


class Positions:
    """Waits until the reader has passed places in the stream."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Offset, int, asyncio.Future[None]]] = []
        self._tie = count()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, offset: Offset, patience: float) -> bool:
        """Wait for a place that has not been passed yet; False after `patience` seconds."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (offset, next(self._tie), done))
        try:
            async with asyncio.timeout(patience):
                await done
        except TimeoutError:
            return False
        return True

    def passed(self, position: Offset) -> None:
        """The reader is here now: wake whoever waits for it."""
        while self._waiting and self._waiting[0][0] <= position:
            done = heappop(self._waiting)[2]
            if not done.done():
                done.set_result(None)


class Releases:
    """Waits for other servers to let go of clients; the word may come before it is waited for."""

    def __init__(self) -> None:
        self._words: OrderedDict[Release, asyncio.Future[None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._words)

    async def wait(self, release: Release, patience: float) -> bool:
        """Wait for a word; False after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self._word(release))
        except TimeoutError:
            return False
        finally:
            self._words.pop(release, None)
        return True

    def heard(self, release: Release) -> None:
        """The word has come."""
        word = self._word(release)
        if not word.done():
            word.set_result(None)

    def _word(self, release: Release) -> asyncio.Future[None]:
        word = self._words.get(release)
        if word is None:
            word = self._words[release] = asyncio.get_running_loop().create_future()
        if len(self._words) > _RELEASES_KEPT:
            oldest, spoken = next(iter(self._words.items()))
            if spoken.done():  # else somebody waits for it, and takes it away then
                del self._words[oldest]
        return word
