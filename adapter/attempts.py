"""Attempts: what became of the clients that asked for recovery, counted and timed.

An attempt is answered when its client is admitted, and counts as "recovered" when that is let in: the
application may refuse it, or its transport die, in between.
"""

import asyncio
from collections.abc import Awaitable

from adapter.clients import EioConnection
from adapter.process import Process
from adapter.seams import EioPacket
from recovery.flows.admission import Newcomer
from recovery.reasons import Reason

__all__ = ["Attempts"]


class Attempts:
    """Watches the clients of one server come back."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def watch(
        self, newcomer: Newcomer[EioPacket], admission: Awaitable[EioConnection]
    ) -> EioConnection:
        """Wait for the connection of a client; if it has asked for recovery, note how that went."""
        if newcomer.presented.pid is None and newcomer.presented.reason is None:
            return await admission
        clock = asyncio.get_running_loop().time
        started = clock()
        tracing = self._process.tracing
        traced = admission if tracing is None else tracing.recover(newcomer.namespace, admission)
        connection = await traced
        recovery = connection.recovery
        if recovery.recovered or recovery.reason is not None:  # else it could not use what it asked for
            self._process.meters.note_attempt(recovery, clock() - started)
        return connection

    def go_live(self, connection: EioConnection) -> None:
        """Let a client go live: if it has asked, it has got what it asked for."""
        connection.go_live()
        if connection.recovery.recovered:
            self._process.meters.note_return(connection.recovery)

    def note_refusal(self, connection: EioConnection) -> None:
        """The application refused a client."""
        if connection.recovery.recovered:
            self._process.meters.recoveries[Reason.REFUSED.value] += 1
