"""An EVENT and a CLOSE in one polling payload: what python-engineio makes of a close in the wrong moment."""

import inspect
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
    taken, closing = (app.colour.event() for _ in range(2))
    if inspect.iscoroutinefunction(socket.queue.get):
        _slow_down(socket.queue, taken, closing)
    else:
        socket.queue = _SyncQueue(socket.queue, taken, closing)
    emitted = 0
    while not taken.is_set():  # the poll that waits already takes no time
        await finished(app.sio.emit("e", emitted, to=sid))
        emitted += 1
        await app.colour.sleep(0.05)
    await finished(app.sio.emit("e", emitted, to=sid))
    await finished(socket.close(wait=False))  # with threads it would wait for another poll, for ever (4.15.1)
    return emitted + 1


class _SyncQueue:
    """A transport's queue, from which the first packet is taken slowly."""

    def __init__(self, queue: Any, taken: Event, closing: Event) -> None:
        self._taken, self._closing = taken, closing
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def put(self, packet: Any) -> None:
        self._queue.put(packet)
        if _is_close(packet):
            self._closing.set()

    def get(self, **options: Any) -> Any:
        packet = self._queue.get(**options)
        if options.get("block", True):
            self._taken.set()
            drive(self._closing.wait())
        return packet


def _slow_down(queue: Any, taken: Event, closing: Event) -> None:
    """Do the same to a queue of asyncio, which others hold already."""
    put, get = queue.put, queue.get

    async def watched_put(packet: Any) -> None:
        await put(packet)
        if _is_close(packet):
            closing.set()

    async def slow_get() -> Any:
        packet = await get()
        taken.set()
        await closing.wait()
        return packet

    queue.put, queue.get = watched_put, slow_get


def _is_close(packet: Any) -> bool:
    return packet is not None and packet.packet_type == eio_packet.CLOSE
