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

from adapter.packet_queues import PacketQueue

__all__ = ["Poll", "keep_close_apart", "use_packet_queues", "without_close"]


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

    __slots__ = ("__weakref__", "_queue", "_server", "_timer", "_until")

    def __init__(self, socket: Any) -> None:
        self._queue: PacketQueue = socket.queue
        self._server = socket.server
        self._until = 0.0  # when to give up, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self) -> list[Any]:
        """Return what is sent next; an empty list if the transport is to end."""
        queue = self._queue
        while queue.empty():
            loop = asyncio.get_running_loop()
            self._until = loop.time() + self._server.ping_interval + self._server.ping_timeout
            if self._timer is None:
                self._look_later(loop)
            try:
                await queue.arrival()
            except asyncio.CancelledError:
                raise exceptions.QueueEmpty from None  # as engineio does
        return without_close(queue.take())

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look whether it is time to give up: one timer serves many waits. It keeps nobody in memory."""
        there: ref[Poll] = ref(self)
        self._timer = loop.call_at(self._until, _look_if_there, there, loop)

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up if it is time."""
        self._timer = None
        if not self._queue.is_awaited():
            return  # whoever waits next begins anew
        if loop.time() < self._until:
            self._look_later(loop)
        else:
            self._queue.end_waiting(exceptions.QueueEmpty())


def _look_if_there(poll: "ref[Poll]", loop: asyncio.AbstractEventLoop) -> None:
    if (there := poll()) is not None:
        there.look(loop)


def use_packet_queues(server: Any) -> None:
    """Have the sockets that an Engine.IO server makes from now on have packet queues. Once per server.

    An application that asks its ``create_queue`` for a bound gets what it got before.
    """
    stock = server.create_queue

    def create(*args: Any, **kwargs: Any) -> Any:
        return stock(*args, **kwargs) if args or kwargs else PacketQueue()

    server.create_queue = create


def keep_close_apart(socket: Any) -> None:
    """Have a socket take packets as is said above. Harmless when repeated."""
    if isinstance(socket.queue, PacketQueue) and not isinstance(socket.poll, Poll):
        socket.poll = Poll(socket)
