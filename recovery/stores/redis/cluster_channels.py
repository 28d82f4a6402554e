"""PUB/SUB of a Redis Cluster; see `recovery.channels`.

1. A plain message goes to all nodes, and a server listens at the one that has the stream. Whoever sends asks
   the other nodes how many listen there: a node counts its own listeners only, and servers of Node's may be
   anywhere.
2. A sharded message stays with the nodes that have its channel's slot, and a server listens there: at as many
   nodes as its channels are spread over.
3. What listens at a node is a `RedisChannels`, which comes back by itself. With each of its failures the
   slots are asked for again, and channels that belong elsewhere by now go there.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from math import inf

from recovery.channels import Hear
from recovery.errors import StoreError
from recovery.stores.redis.channels import RedisChannels
from recovery.stores.redis.cluster_links import AsyncClusterLink
from recovery.stores.redis.endpoints import Endpoint, Node
from recovery.stores.redis.rounds import Call, Exchange
from recovery.stores.redis.slots import SlotMap, slot_of

__all__ = ["ClusterChannels"]

_PINGS_IN_SILENCE = 3
"""A listener at a node where nobody sends is made to hear something so often before silence means loss."""

_NODES_KNOWN_FOR = 5.0
"""Seconds after which it is asked again which nodes there are: nobody tells of one that has joined."""


class ClusterChannels:
    """The channels of one server on a Redis Cluster.

    Args:
        slots: of the store; see `recovery.stores.redis.cluster_links.slots_of`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        slots: SlotMap,
        hear: Hear,
        *,
        sharded: bool,
        silence: float,
        failed: Callable[[StoreError], None],
    ) -> None:
        self._endpoint = endpoint
        self._slots = slots
        self._hear = hear
        self._sharded = sharded
        self._silence = silence
        self._failed = failed
        self._sender = AsyncClusterLink(endpoint, slots)
        self._sending = asyncio.Lock()
        self._listeners: dict[Node, RedisChannels] = {}
        self._places: dict[str, Node] = {}  # by channel
        self._placing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_for_nodes = -inf  # when, on the loop's clock
        self._closed = False

    async def publish(self, channel: str, payload: bytes, *, counted: bool = True) -> int:
        """Send a message; return how many listeners got it, as far as they can be counted at one moment."""
        name = "SPUBLISH" if self._sharded else "PUBLISH"
        async with self._sending:
            [sent] = await self._sender.run([_number(Call((name, channel, payload)))])
            if isinstance(sent, StoreError):
                raise sent
            return sent + await self._count_elsewhere(channel) if counted else sent

    async def subscribe(self, *channels: str) -> None:
        """Listen to channels; see `recovery.channels.Channels.subscribe`."""
        async with self._placing:
            await self._learn_slots()
            for channel in channels:
                self._places.setdefault(channel, self._place_of(channel))
            wanted = {node: self._at(node) for node in sorted({self._places[each] for each in channels})}
        for node, listener in wanted.items():
            await listener.subscribe(*(each for each in channels if self._places.get(each) == node))

    async def close(self) -> None:
        """Stop listening, and drop all connections."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._sender.close()
        for listener in self._listeners.values():
            await listener.close()

    async def _count_elsewhere(self, channel: str) -> int:
        """Count those that listen at other nodes than the one that was sent to."""
        sent_to = self._place_of(channel)
        now = asyncio.get_running_loop().time()
        if now - self._asked_for_nodes > _NODES_KNOWN_FOR:
            self._asked_for_nodes, self._slots.stale = now, True
        question = Call(("PUBSUB", "SHARDNUMSUB" if self._sharded else "NUMSUB", channel))
        others = await self._sender.each(replicas=True, but=sent_to)
        counts = await asyncio.gather(*(other.run([_second(question)]) for other in others))
        for [count] in counts:
            if isinstance(count, StoreError):
                self._slots.stale = True  # the node may be gone
                raise count
        return sum(count for [count] in counts if not isinstance(count, StoreError))

    async def _learn_slots(self) -> None:
        """See that it is known which node has what; raises `StoreError`."""
        async with self._sending:
            await self._sender.each()

    def _place_of(self, channel: str) -> Node:
        """The node to listen at, and to send to."""
        slot = slot_of(channel) if self._sharded else self._slots.home
        return self._slots.owner(slot) or self._slots.candidates()[0]

    def _at(self, node: Node) -> RedisChannels:
        if node not in self._listeners:
            self._listeners[node] = RedisChannels(
                self._endpoint.at(node),
                self._hear,
                sharded=self._sharded,
                silence=self._silence,
                failed=self._look_again,
            )
            if self._sharded and len(self._listeners) == 1:
                self._begin(self._keep_talking())
        return self._listeners[node]

    def _look_again(self, error: StoreError) -> None:
        """A listener has failed: maybe because its channels belong elsewhere."""
        self._failed(error)
        self._slots.stale = True
        self._begin(self._place_anew())

    async def _place_anew(self) -> None:
        async with self._placing:
            with contextlib.suppress(StoreError):  # the next failure brings us back
                await self._learn_slots()
                moved = [each for each, node in self._places.items() if self._place_of(each) != node]
                for channel in moved:
                    self._listeners[self._places[channel]].forget(channel)
                    self._places[channel] = self._place_of(channel)
                await self._listen(moved)
                for node in self._listeners.keys() - set(self._places.values()):
                    await self._listeners.pop(node).close()

    async def _listen(self, channels: Sequence[str]) -> None:
        for node in sorted({self._places[channel] for channel in channels}):
            with contextlib.suppress(StoreError):  # it goes on trying
                await self._at(node).subscribe(*(each for each in channels if self._places[each] == node))

    async def _keep_talking(self) -> None:
        """See that each listener hears something: heartbeats reach one of them only."""
        while True:
            await asyncio.sleep(self._silence / _PINGS_IN_SILENCE)
            for listener in list(self._listeners.values()):
                await listener.ping()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        if not self._closed:
            task = asyncio.get_running_loop().create_task(work, name="recovery.channels")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _number(request: Call) -> Exchange[int]:
    reply = yield request
    return int(reply)


def _second(request: Call) -> Exchange[int]:
    """``PUBSUB NUMSUB`` answers with the channel and the number."""
    reply = yield request
    return int(reply[1])
