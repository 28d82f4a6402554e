"""The slots of a Redis Cluster: which key is in which, and which node has which, as far as is known.

The map comes from ``CLUSTER SLOTS``, which all supported servers know, and is corrected by what nodes say of
single slots (``MOVED``). It may always be out of date: the nodes decide.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.crc import key_slot

from recovery.errors import StoreError
from recovery.stores.redis.endpoints import Node
from recovery.stores.redis.rounds import Request, Script, ServerError

__all__ = ["Redirection", "SlotMap", "redirection_of", "slot_of", "slot_of_request"]

_REDIRECTION = re.compile(r"(MOVED|ASK) (\d+) (\S*):(\d+)")
_WITHOUT_KEYS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "CONFIG", "INFO", "PING", "PUBLISH", "PUBSUB", "SCAN", "TIME"}
)


@dataclass(frozen=True, slots=True)
class Redirection:
    """A node says that another one has a slot.

    Attributes:
        host: "" for the same host as the node that says so.
        moved: for good; else only for the request that it answers.
    """

    slot: int
    host: str
    port: int
    moved: bool


def slot_of(key: str | bytes) -> int:
    """The slot of a key.

    >>> slot_of("socket.io") == slot_of("{socket.io}:epoch")
    True
    """
    return key_slot(key.encode() if isinstance(key, str) else key)


def slot_of_request(request: Request) -> int | None:
    """The slot of what a request touches; None if it may go to any node."""
    if isinstance(request, Script):
        return slot_of(request.keys[0])
    name, *rest = request.args
    if name in _WITHOUT_KEYS:
        return None
    if name == "XREAD":
        rest = rest[rest.index("STREAMS") + 1 :]
    return slot_of(rest[0] if isinstance(rest[0], bytes) else str(rest[0]))


def redirection_of(reply: object) -> Redirection | None:
    """Read an error that stands in a reply's place as a redirection, if it is one."""
    found = _REDIRECTION.match(str(reply)) if isinstance(reply, ServerError) else None
    if found is None:
        return None
    word, slot, host, port = found.groups()
    return Redirection(int(slot), host, int(port), moved=word == "MOVED")


@dataclass(slots=True)
class SlotMap:
    """Which node has which slot. Shared by the links of one store.

    Attributes:
        seeds: nodes that were configured.
        home: the slot whose node gets what may go to any.
        stale: it is to be asked for again.
        nodes: all nodes known, replicas too.
        maps: how often it was told; each time, nodes may have come and gone.
    """

    seeds: Sequence[Node]
    home: int
    stale: bool = True
    nodes: tuple[Node, ...] = ()
    maps: int = 0
    _owners: dict[int, Node] = field(default_factory=dict[int, Node])
    _changes: dict[int, int] = field(default_factory=dict[int, int])
    _order: list[Node] = field(default_factory=list[Node])  # whom to ask for the map, the likeliest first

    def owner(self, slot: int) -> Node | None:
        """The node that has a slot, None if that is not known."""
        return self._owners.get(slot)

    def owners(self) -> list[Node]:
        """The nodes that have slots, in an order that stays."""
        return sorted(set(self._owners.values()))

    def changes(self, slot: int) -> int:
        """How often a slot was found to have gone from one node to another."""
        return self._changes.get(slot, 0)

    def candidates(self) -> list[Node]:
        """Whom to ask for the map, the likeliest to know first."""
        return list(dict.fromkeys([*self._order, *self.nodes, *self.seeds]))

    def prefer(self, node: Node) -> None:
        """A node is up, and knows something new."""
        self._order = [node, *(each for each in self.candidates() if each != node)]

    def doubt(self, node: Node) -> None:
        """A node does not answer: others may have taken its place."""
        self._order = [*(each for each in self.candidates() if each != node), node]
        self.stale = True

    def moved(self, slot: int, node: Node) -> None:
        """A node has said that another has a slot: who knows that knows more."""
        self._set(slot, node)
        self.prefer(node)
        self.stale = True

    def take(self, reply: Sequence[Any], asked: Node) -> None:
        """Take the answer to ``CLUSTER SLOTS``.

        Raises:
            StoreError: it cannot be read, or nobody has any slot.
        """
        try:
            ranges = [_range(part, asked) for part in reply]
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise StoreError(f"cannot read the slots of {asked}: {type(error).__name__}") from error
        if not ranges:
            raise StoreError(f"{asked} knows no node with slots: the cluster is not formed")
        covered: set[int] = set()
        for first, last, nodes in ranges:
            for slot in range(first, last + 1):
                self._set(slot, nodes[0])
            covered.update(range(first, last + 1))
        for slot in self._owners.keys() - covered:
            del self._owners[slot]
        self.nodes = tuple(dict.fromkeys(node for _, _, nodes in ranges for node in nodes))
        self._order = [each for each in self._order if each in {*self.nodes, *self.seeds}]
        self.prefer(asked)
        self.stale = False
        self.maps += 1

    def _set(self, slot: int, node: Node) -> None:
        before = self._owners.get(slot)
        if before not in (None, node):
            self._changes[slot] = self._changes.get(slot, 0) + 1
        self._owners[slot] = node


def _range(part: Sequence[Any], asked: Node) -> tuple[int, int, list[Node]]:
    """One element of the answer to ``CLUSTER SLOTS``: first slot, last slot, primary, replicas."""
    first, last, *nodes = part
    return int(first), int(last), list(_nodes(nodes, asked))


def _nodes(parts: Iterable[Sequence[Any]], asked: Node) -> Iterator[Node]:
    for host, port, *_ in parts:
        # No name, or "?" for one that is not known: where the answer came from.
        name = host.decode() if host not in (None, b"", b"?") else asked.host
        yield Node(name, int(port))
