"""An EVENT and a CLOSE in one polling payload: what python-engineio makes of a close in the wrong moment."""

import asyncio
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

    The poll has seen an event, or taken it (with threads), and waits until CLOSE is in the queue, too.
    Another event is in the queue when the transport is closed.
    """
    finished, sid = app.colour.finished, step["sid"]
    eio_sid = app.sio.manager.eio_sid_from_sid(sid, "/")
    socket = app.sio.eio.sockets[eio_sid]
    taken, closing = (app.colour.event() for _ in range(2))
    if inspect.iscoroutinefunction(socket.queue.get):
        _slow_down(socket, taken, closing)
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


def _slow_down(socket: Any, taken: Event, closing: Event) -> None:
    """Have the polls of an asyncio server take what is there only when a CLOSE is behind it."""
    poll, send = socket.poll, socket.send

    async def slow_poll() -> Any:
        while socket.queue.empty():
            await asyncio.sleep(0.01)
        taken.set()
        await closing.wait()
        return await poll()

    async def watched_send(packet: Any) -> None:
        await send(packet)
        if _is_close(packet):
            closing.set()

    socket.poll, socket.send = slow_poll, watched_send


def _is_close(packet: Any) -> bool:
    return packet is not None and packet.packet_type == eio_packet.CLOSE
