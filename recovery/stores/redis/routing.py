"""Routing: the requests of a round go to the nodes of a Redis Cluster that have their slots.

Written once, as a generator that yields *parcels* and is sent the replies; the links of either colour carry
them. What one script of ours touches is in one slot, so that no request needs two nodes.

1. A request that a node redirects (``MOVED``, ``ASK``) was not carried out, and goes to the other node.
   Whatever else goes wrong is an outage like any other: the caller repeats (`recovery.commands`, rule 2).
2. While a slot is on its way to another node (``ASK``), requests for keys that are there already, or do not
   exist yet, go there; requests of one key stay in order. A script finds some of its keys here and some
   there, or would make one (``TRYAGAIN``): that is a moment's outage.
3. The map of the slots is asked for when there is none, and again after each sign that it is out of date.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis.endpoints import Node
from recovery.stores.redis.links import interrupted_error
from recovery.stores.redis.rounds import Call, Request
from recovery.stores.redis.slots import SlotMap, redirection_of, slot_of_request

__all__ = ["Parcel", "Routed", "Routing", "route"]

_MOST_REDIRECTIONS = 5
"""As redis-py's cluster client by and large; a sound cluster needs one, and one more while a slot moves."""

_ASKED_AT_MOST = 3
"""Nodes that are asked for the map in one go: a dead one may take `connections.CONNECT_TIMEOUT` each."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Requests for one node.

    Attributes:
        asking: the node is getting their slot, and serves it only if told so.
    """

    node: Node
    requests: Sequence[Request]
    asking: bool = False


@dataclass(frozen=True, slots=True)
class Routed:
    """What came of a round.

    Attributes:
        replies: in the order of the requests; what has none has its error in its place.
        source: what the first request was answered from. It is another one if the slot has gone to another
            node, however the cluster came to that.
    """

    replies: list[Any]
    source: tuple[int, Node | None] = (0, None)


Routing = Generator[list[Parcel], list[list[Any]], Routed]


def route(requests: Sequence[Request], slots: SlotMap, *, follow: bool = True) -> Routing:
    """Get a round's requests to where they belong.

    Args:
        follow: whether what has moved is sent to its new node. A read would wait there for what it is not to
            be told anyway (`recovery.stores.redis.links`, law 4).

    Yields:
        Parcels that may travel side by side, no two of them to one node. Send back the replies of each, as
        `links.AsyncLink.send` returns them.
    """
    if slots.stale:
        error = yield from _ask_for_map(slots)
        if error is not None:
            return Routed([error for _ in requests])
    delivery = _Delivery(requests, slots, follow=follow)
    while parcels := delivery.parcels():
        delivery.take((yield parcels))
    return delivery.routed()


def _ask_for_map(slots: SlotMap) -> Generator[list[Parcel], list[list[Any]], StoreError | None]:
    """Ask for the map; return why there is none. An old one does where nobody answers."""
    error: StoreError | None = None
    for node in slots.candidates()[:_ASKED_AT_MOST]:
        [[reply]] = yield [Parcel(node, [Call(("CLUSTER", "SLOTS"))])]
        try:
            if isinstance(reply, StoreError):
                raise reply
            slots.take(reply, node)
        except StoreError as exc:
            error = _explained(exc, node)
            slots.doubt(node)
        else:
            return None
    return None if slots.nodes else error


def _explained(error: StoreError, node: Node) -> StoreError:
    if "cluster support disabled" in str(error):
        return StoreError(f"{node} is no node of a Redis Cluster: use redis://{node}")
    return error


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a request goes next."""

    node: Node
    asking: bool = False


class _Delivery:
    """The requests of a round on their way."""

    def __init__(self, requests: Sequence[Request], slots: SlotMap, *, follow: bool) -> None:
        self._requests = requests
        self._slots = slots
        self._follow = follow
        self._replies: dict[int, Any] = {}
        self._ways: dict[int, _Way] = {}  # of the requests that have no reply yet
        self._redirections = [0] * len(requests)
        self._sent: list[tuple[_Way, list[int]]] = []
        self._asked: Node | None = None  # by the first request, in the end
        for index in range(len(requests)):
            node = slots.owner(self._slot(index))
            if node is None:
                self._replies[index] = _nobody()
                slots.stale = True
            else:
                self._ways[index] = _Way(node)

    def parcels(self) -> list[Parcel]:
        """What is to be sent now."""
        groups: dict[_Way, list[int]] = {}
        for index, way in sorted(self._ways.items(), key=lambda item: item[0]):
            groups.setdefault(way, []).append(index)
        first: dict[Node, _Way] = {}
        for way in groups:
            first.setdefault(way.node, way)
        self._sent = [(way, groups[way]) for way in first.values()]
        return [
            Parcel(way.node, [self._requests[index] for index in group], way.asking)
            for way, group in self._sent
        ]

    def take(self, replies: Sequence[Sequence[Any]]) -> None:
        """Take the replies to what was sent."""
        for (way, group), answers in zip(self._sent, replies, strict=True):
            for index, reply in zip(group, answers, strict=True):
                self._take(index, reply, way)

    def routed(self) -> Routed:
        """What came of all requests."""
        source = (self._slots.changes(self._slot(0)), self._asked)
        return Routed([self._replies[index] for index in range(len(self._requests))], source)

    def _take(self, index: int, reply: Any, way: _Way) -> None:
        redirection = redirection_of(reply)
        if redirection is None:
            self._answer(index, reply, way)
            return
        node = Node(redirection.host or way.node.host, redirection.port)
        if redirection.moved:
            self._slots.moved(redirection.slot, node)
        self._redirections[index] += 1
        if redirection.moved and not self._follow:
            self._answer(index, interrupted_error(), way)
        elif self._redirections[index] > _MOST_REDIRECTIONS:
            self._answer(index, _disagreement(), way)
        else:
            self._ways[index] = _Way(node, asking=not redirection.moved)

    def _answer(self, index: int, reply: Any, way: _Way) -> None:
        del self._ways[index]
        self._replies[index] = reply
        if index == 0 and way.asking:
            self._asked = way.node
        if isinstance(reply, StoreUnavailableError):
            self._slots.doubt(way.node)

    def _slot(self, index: int) -> int:
        slot = slot_of_request(self._requests[index])
        return self._slots.home if slot is None else slot


def _nobody() -> StoreUnavailableError:
    return StoreUnavailableError("no node of the cluster has this slot", maybe_applied=False)


def _disagreement() -> StoreUnavailableError:
    what = f"the nodes of the cluster do not agree: redirected {_MOST_REDIRECTIONS} times"
    return StoreUnavailableError(what, maybe_applied=False)
