"""Acknowledgements that clients of this process owe, and where they go."""

import itertools
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from adapter.hosts import Host
from recovery.core.packets import AckRequest
from recovery.records import Namespace, Sid

if TYPE_CHECKING:  # a process is made with these, and these need it
    from adapter.process import Process

__all__ = ["Acknowledgements"]

_MOST_ACKS = 10_000
"""Acknowledgements that one client may owe; the oldest is given up first."""


class Acknowledgements:
    """Notes in python-socketio's own table what is to be done when a client answers.

    Attributes:
        process: passes an answer on to the server that asked.
    """

    process: "Process"

    def __init__(self, manager: Any, host: Host) -> None:
        self._manager = manager
        self._host = host
        self.renew()

    def renew(self) -> None:
        """Begin with other ids than any other process, a forked child for one."""
        self._ids = itertools.count(secrets.randbits(40))

    def expect(self, namespace: Namespace, sid: Sid, ack: AckRequest) -> int:
        """Note where an acknowledgement goes; its id is unlike any that another process gave this client."""
        ack_id = next(self._ids)
        with self._host.tables:
            waiting = self._manager.callbacks.setdefault(sid, {})
            waiting[ack_id] = self._host.expose(partial(self._arrived, namespace, sid, ack))
            if len(waiting) > _MOST_ACKS:  # a client need not answer, ever
                del waiting[next(iter(waiting))]
        return ack_id

    async def _arrived(self, namespace: Namespace, sid: Sid, ack: AckRequest, *args: Any) -> None:
        if ack.by_channel:
            await self.process.cluster.acknowledge(namespace, sid, ack, args)
        elif ack.server == self.process.server_id:
            await self.process.requests.acknowledge(ack.request_id, args)
        else:
            await self.process.answer(
                namespace, lambda drafts: drafts.acknowledge(namespace, ack.server, ack.request_id, args)
            )
