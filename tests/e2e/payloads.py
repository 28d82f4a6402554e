"""An EVENT and a CLOSE in one polling payload: what python-engineio makes of a close in the wrong moment."""

import asyncio
from typing import TYPE_CHECKING, Any

from engineio import packet as eio_packet

from tests.e2e.colours import Event, drive
from tests.e2e.steps import Step

if TYPE_CHECKING:
    from tests.e2e.apps import App

__all__ = ["close_while_polled"]


async def close_while_polled(app: "App", step: Step) -> int:
    """Close a transport in the middle of a poll; return how many events were emitted, numbered from 0.

    The poll has taken an event, and waits until CLOSE is in the queue, where it then looks for more. Another
    event is in the queue when the transport is closed.
    """
    finished, sid = app.colour.finished, step["sid"]
    eio_sid = app.sio.manager.eio_sid_from_sid(sid, "/")
    socket = app.sio.eio.sockets[eio_sid]
    kind = _AsyncQueue if asyncio.iscoroutinefunction(socket.queue.get) else _SyncQueue
    queue = socket.queue = kind(socket.queue, [app.colour.event() for _ in range(2)])
    emitted = 0
    while not queue.taken.is_set():  # the poll that waits already takes no time
        await finished(app.sio.emit("e", emitted, to=sid))
        emitted += 1
        await app.colour.sleep(0.05)
    await finished(app.sio.emit("e", emitted, to=sid))
    await finished(socket.close(wait=False))  # with threads it would wait for another poll, for ever (4.15.1)
    return emitted + 1


class _Queue:
    """A transport's queue, from which the first packet is taken slowly."""

    def __init__(self, queue: Any, events: list[Event]) -> None:
        self.taken, self.closing = events
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


class _SyncQueue(_Queue):
    def put(self, packet: Any) -> None:
        self._queue.put(packet)
        if packet is not None and packet.packet_type == eio_packet.CLOSE:
            self.closing.set()

    def get(self, **options: Any) -> Any:
        packet = self._queue.get(**options)
        if options.get("block", True):
            self.taken.set()
            drive(self.closing.wait())
        return packet


class _AsyncQueue(_Queue):
    async def put(self, packet: Any) -> None:
        await self._queue.put(packet)
        if packet is not None and packet.packet_type == eio_packet.CLOSE:
            self.closing.set()

    async def get(self) -> Any:
        packet = await self._queue.get()
        self.taken.set()
        await self.closing.wait()
        return packet
