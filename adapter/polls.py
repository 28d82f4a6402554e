"""Polls: how a transport of an asyncio server takes packets out of its queue, with no task or timer for each.

It stands in for ``AsyncSocket.poll`` of python-engineio (4.15.1), and does the same but for rule 4:

1. It waits for a packet, for at most ping interval and ping timeout, and returns all that are there then.
2. A `None` in the queue is the word to end. Alone it is taken out, and nothing is returned; behind packets it
   stays.
3. It raises `engineio.exceptions.QueueEmpty` if nothing came in time, or whoever waits was cancelled.
4. No polling payload holds an event and a CLOSE (`without_close`). A close empties the queue first, but a
   poll may have taken an event by then, and look for more.

That one waits through `asyncio.wait_for`, which on Python 3.11 makes a task for each wait: a third of the
time of a broadcast.
"""

import asyncio
from typing import Any
from weakref import ref

from engineio import exceptions
from engineio.packet import CLOSE

__all__ = ["Poll", "keep_close_apart", "without_close"]


def without_close(packets: list[Any]) -> list[Any]:
    """What is sent of a payload: CLOSE is left out if there is anything else.

    JavaScript (4.8) would run the handlers of such events after its reconnection, in which they are replayed.
    It learns of the end all the same: its next poll is refused.
    """
    if len(packets) < 2:
        return packets
    return [packet for packet in packets if packet.packet_type != CLOSE] or packets


class Poll:
    """The poll of one socket: ``socket.poll = Poll(socket)``."""

    __slots__ = ("__weakref__", "_gave_up", "_is_waiting", "_queue", "_server", "_timer", "_until")

    def __init__(self, socket: Any) -> None:
        self._queue: asyncio.Queue[Any] = socket.queue
        self._server = socket.server
        self._until = 0.0  # when to give up, on the loop's clock
        self._is_waiting = False
        self._gave_up = False
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self) -> list[Any]:
        """Return what is sent next; an empty list if the transport is to end."""
        queue = self._queue
        first = await self._first() if queue.empty() else queue.get_nowait()
        queue.task_done()
        if first is None:
            return []
        packets = [first]
        while not queue.empty():
            packet = queue.get_nowait()
            queue.task_done()
            if packet is None:
                queue.put_nowait(None)
                break
            packets.append(packet)
        return without_close(packets)

    async def _first(self) -> Any:
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._server.ping_interval + self._server.ping_timeout
        if self._timer is None:
            self._look_later(loop)
        self._is_waiting = True
        try:
            packet = await self._queue.get()
        except asyncio.CancelledError:
            raise exceptions.QueueEmpty from None  # as engineio does
        finally:
            self._is_waiting = False
        if packet is None and self._gave_up:
            self._queue.task_done()
            raise exceptions.QueueEmpty
        return packet

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look whether it is time to give up: one timer serves many waits. It keeps nobody in memory."""
        there: ref[Poll] = ref(self)
        self._timer = loop.call_at(self._until, _look_if_there, there, loop)

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up if it is time."""
        self._timer = None
        if not self._is_waiting:
            return  # whoever waits next begins anew
        if loop.time() < self._until or not self._queue.empty():
            self._until = max(self._until, loop.time())
            self._look_later(loop)
            return
        self._gave_up = True
        self._queue.put_nowait(None)


def _look_if_there(poll: "ref[Poll]", loop: asyncio.AbstractEventLoop) -> None:
    if (there := poll()) is not None:
        there.look(loop)


def keep_close_apart(socket: Any) -> None:
    """Have a socket take packets as is said above. Harmless when repeated."""
    if not isinstance(socket.poll, Poll):
        socket.poll = Poll(socket)
