"""Guesses: how many pids that are not to be had one transport may present.

A pid has 192 random bits, so nobody will ever guess one. But each attempt costs the store a round trip, and a
client that tries is none of ours. Only what an honest client does not present counts: one whose session has
expired or ended, or is of another epoch, knows a pid that there was. A client with many namespaces presents
one pid in each, once for each transport.
"""

import logging
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from recovery.core.decision import Presented
from recovery.reasons import Reason
from recovery.records import Recovery

__all__ = ["MOST_GUESSES", "Guesses"]

logger = logging.getLogger("recovery.gate")

MOST_GUESSES = 20
"""Pids that a transport may present in vain before no more of its are looked up."""

_NO_PID_OF_ITS = frozenset({Reason.SESSION_UNKNOWN, Reason.NAMESPACE_MISMATCH, Reason.IDENTITY_MISMATCH})


class Guesses:
    """Counts the pids that transports present in vain.

    Attributes:
        refused: pids that were not looked up, since the start.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._in_vain: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # by Engine.IO socket

    def admit(self, socket: Any, presented: Presented) -> Presented:
        """What a transport presents, or in place of its pid the reason why that is not looked up.

        The pid counts from here on, lest many are under way at once; `note` takes it back.
        """
        if not _counts(socket, presented):
            return presented
        in_vain = self._in_vain[socket] = self._in_vain.get(socket, 0) + 1
        if in_vain <= MOST_GUESSES:
            return presented
        self.refused += 1
        if in_vain == MOST_GUESSES + 1:
            logger.warning(
                "a transport has presented %d pids that are not to be had; it gets no more looked up",
                MOST_GUESSES,
                extra={"event": "recover.guessing"},
            )
        return replace(presented, pid=None, reason=Reason.SESSION_UNKNOWN)

    def note(self, socket: Any, presented: Presented, recovery: Recovery) -> None:
        """What came of a pid that was admitted."""
        if _counts(socket, presented) and recovery.reason not in _NO_PID_OF_ITS:
            self._in_vain[socket] -= 1


def _counts(socket: Any, presented: Presented) -> bool:
    return socket is not None and presented.pid is not None and presented.reason is None
