"""A check-up of a Redis Cluster: are all slots served, and is there somebody to take a node's place?"""

from collections.abc import Sequence
from typing import Any

from recovery.errors import StoreError
from recovery.inspect.findings import Finding, Level
from recovery.inspect.server_source import ServerSource, facts_in
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.slots import slot_of

__all__ = ["check_cluster"]

_SLOTS = 16_384


def check_cluster(check: str, source: ServerSource, keys: Keys) -> Finding:
    """Check the nodes that have slots, as the node sees them that has the stream.

    Args:
        check: the name of this check.

    Raises:
        StoreError: it does not answer.
    """
    try:
        facts = facts_in(source.ask("CLUSTER", "INFO"))
        ranges: Sequence[Any] = source.ask("CLUSTER", "SLOTS")
    except StoreError as error:
        return Finding(
            check, Level.SKIP, f"cannot be asked: {error}", "it takes +cluster|info and +cluster|slots"
        )
    served = sum(last - first + 1 for first, last, *_ in ranges)
    if facts.get("cluster_state") != "ok" or served < _SLOTS:
        said = f"{served} of {_SLOTS} slots are served, state {facts.get('cluster_state')}"
        return Finding(check, Level.FAIL, said, "look at redis-cli --cluster check, and repair it")
    nodes = {_name(primary): replicas for _, _, primary, *replicas in ranges}
    slot = slot_of(keys.stream)
    home = next(_name(part[2]) for part in ranges if part[0] <= slot <= part[1])
    said = (
        f"a cluster of {len(nodes)} primaries and {sum(map(len, nodes.values()))} replicas;"
        f" the stream is at {home} (slot {slot})"
    )
    lonely = sorted(name for name, replicas in nodes.items() if not replicas)
    if lonely:
        todo = "give it a replica: when it dies, its sessions cannot be recovered"
        if home in lonely:
            todo = "give it a replica: when it dies, nothing can be emitted"
        return Finding(check, Level.WARN, f"{said}; without a replica: {', '.join(lonely)}", todo)
    return Finding(check, Level.OK, said)


def _name(node: Sequence[Any]) -> str:
    host = node[0].decode() if node[0] else "?"
    return f"{host}:{node[1]}"
