"""Links to a Redis Cluster: one connection to each node that is needed, made when it is.

They look like those to a single server (`recovery.stores.redis.links`), and what they add to its laws is in
`recovery.stores.redis.routing`. A reader is told of each change of node, too (law 4): what the new one has
may not be all that the old one had. The links of one store share what is known of the slots, so that whatever
proves continuity asks the node that was read from.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from recovery.errors import ConfigurationError, StoreError, StoreUnavailableError
from recovery.records import Pid
from recovery.stores.redis.endpoints import Endpoint, Node
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.links import (
    AsyncLink,
    Link,
    Replies,
    interrupted_error,
    run_rounds,
    run_rounds_in_thread,
)
from recovery.stores.redis.rounds import Call, Exchange, Request
from recovery.stores.redis.routing import Parcel, Routed, route
from recovery.stores.redis.slots import SlotMap, slot_of

__all__ = ["AsyncClusterLink", "ClusterLink", "async_link_to", "link_to", "slots_of"]

R = TypeVar("R")


def slots_of(endpoint: Endpoint, keys: Keys) -> SlotMap | None:
    """What the links of one store share; None for a single server.

    Raises:
        ConfigurationError: what one script touches would not be in one slot.
    """
    if endpoint.cluster is None:
        return None
    pid = Pid("p")
    for name, one, other in (
        ("stream_name", keys.stream, keys.epoch),
        ("session_key_prefix", keys.session(pid), keys.claim(pid)),
    ):
        if slot_of(one) != slot_of(other):
            raise ConfigurationError(
                f"with this {name} the keys {one!r} and {other!r} are in different slots of a Redis Cluster;"
                " leave its braces out, or write one pair around what is to be hashed"
            )
    return SlotMap(endpoint.cluster.nodes, slot_of(keys.stream))


def async_link_to(
    endpoint: Endpoint, slots: SlotMap | None, *, wait: float = 0.0
) -> "AsyncLink | AsyncClusterLink":
    """A link for asyncio to whatever an endpoint is.

    Args:
        slots: from `slots_of`.
        wait: longest time in seconds that a read may be let wait.
    """
    if slots is None:
        return AsyncLink(endpoint, wait=wait)
    return AsyncClusterLink(endpoint, slots, wait=wait)


def link_to(endpoint: Endpoint, slots: SlotMap | None, *, wait: float = 0.0) -> "Link | ClusterLink":
    """A link for threads; see `async_link_to`."""
    return Link(endpoint, wait=wait) if slots is None else ClusterLink(endpoint, slots, wait=wait)


class AsyncClusterLink:
    """Connections for asyncio; see `AsyncLink`.

    Args:
        slots: shared by all links of a store.
        wait: longest time in seconds that a read on this link may be let wait by a node.
    """

    def __init__(self, endpoint: Endpoint, slots: SlotMap, *, wait: float = 0.0) -> None:
        self._endpoint = endpoint
        self._slots = slots
        self._wait = wait
        self._links: dict[Node, AsyncLink] = {}
        self._source = _Source()
        self._maps = 0
        self._closed = False
        self._link(slots.seeds[0])  # which raises if an option is none

    async def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        return await run_rounds(exchanges, self._send)

    async def each(self, *, replicas: bool = False, but: Node | None = None) -> list[AsyncLink]:
        """A link to each node that has slots.

        Args:
            replicas: to their replicas, too.
            but: not to this one.

        Raises:
            StoreError: nobody could tell which nodes there are.
        """
        if self._slots.stale:
            [found] = await self.run([_anything()])
            if isinstance(found, StoreError):
                raise found
        nodes = self._slots.nodes if replicas else self._slots.owners()
        return [self._link(node) for node in nodes if node != but]

    async def close(self) -> None:
        """Drop all connections, at once, and make no other; see `AsyncLink.close`."""
        self._closed = True
        for link in list(self._links.values()):
            await link.close()

    async def _send(self, requests: list[Request]) -> Replies:
        routing = route(requests, self._slots, follow=not self._wait)
        try:
            parcels = next(routing)
            while True:
                parcels = routing.send(await self._deliver_all(parcels))
        except StopIteration as done:
            routed: Routed = done.value
        await self._forget_nodes()
        return self._source.checked(routed) if self._wait > 0 else routed.replies

    async def _deliver_all(self, parcels: list[Parcel]) -> list[Replies]:
        if len(parcels) == 1:  # the usual case needs no task
            return [await self._deliver(parcels[0])]
        return list(await asyncio.gather(*map(self._deliver, parcels)))

    async def _deliver(self, parcel: Parcel) -> Replies:
        if self._closed:
            return [_closed_error() for _ in parcel.requests]
        return await self._link(parcel.node).send(parcel.requests, asking=parcel.asking)

    def _link(self, node: Node) -> AsyncLink:
        if node not in self._links:
            self._links[node] = AsyncLink(self._endpoint.at(node), wait=self._wait)
        return self._links[node]

    async def _forget_nodes(self) -> None:
        """Drop the connections to nodes that are none any more, as far as a new map tells."""
        if self._maps == self._slots.maps:
            return
        self._maps = self._slots.maps
        for node in self._links.keys() - set(self._slots.candidates()):
            await self._links.pop(node).close()


class ClusterLink:
    """Connections for threads; see `AsyncClusterLink`. Calls need a lock around them, `close` does not."""

    def __init__(self, endpoint: Endpoint, slots: SlotMap, *, wait: float = 0.0) -> None:
        self._endpoint = endpoint
        self._slots = slots
        self._wait = wait
        self._links: dict[Node, Link] = {}
        self._source = _Source()
        self._maps = 0
        self._closed = False
        self._link(slots.seeds[0])  # which raises if an option is none

    def run(self, exchanges: Sequence[Exchange[R]]) -> list[R | StoreError]:
        """Run exchanges together; what failed has its error in its place."""
        return run_rounds_in_thread(exchanges, self._send)

    def each(self) -> list[Link]:
        """A link to each node that has slots; see `AsyncClusterLink.each`."""
        if self._slots.stale:
            [found] = self.run([_anything()])
            if isinstance(found, StoreError):
                raise found
        return [self._link(node) for node in self._slots.owners()]

    def close(self) -> None:
        """Drop all connections, at once, and make no other; a call under way ends with an error."""
        self._closed = True
        for link in list(self._links.values()):
            link.close()

    def _send(self, requests: list[Request]) -> Replies:
        routing = route(requests, self._slots, follow=not self._wait)
        try:
            parcels = next(routing)
            while True:
                parcels = routing.send([self._deliver(parcel) for parcel in parcels])
        except StopIteration as done:
            routed: Routed = done.value
        self._forget_nodes()
        return self._source.checked(routed) if self._wait > 0 else routed.replies

    def _deliver(self, parcel: Parcel) -> Replies:
        if self._closed:
            return [_closed_error() for _ in parcel.requests]
        return self._link(parcel.node).send(parcel.requests, asking=parcel.asking)

    def _link(self, node: Node) -> Link:
        if node not in self._links:
            self._links[node] = Link(self._endpoint.at(node), wait=self._wait)
        return self._links[node]

    def _forget_nodes(self) -> None:
        if self._maps == self._slots.maps:
            return
        self._maps = self._slots.maps
        for node in self._links.keys() - set(self._slots.candidates()):
            self._links.pop(node).close()


class _Source:
    """What a reader was last answered from."""

    def __init__(self) -> None:
        self._known: tuple[int, Node | None] = (0, None)

    def checked(self, routed: Routed) -> Replies:
        """Return the replies, or errors if another node gave them than before."""
        if routed.source == self._known:
            return routed.replies
        self._known = routed.source
        return [reply if isinstance(reply, StoreError) else interrupted_error() for reply in routed.replies]


def _anything() -> Exchange[object]:
    """Ask for something that any node answers: then the slots are known."""
    reply: object = yield Call(("TIME",))
    return reply


def _closed_error() -> StoreUnavailableError:
    return StoreUnavailableError("the store was closed", maybe_applied=False)
