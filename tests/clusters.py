"""A real Redis Cluster for tests: six processes on the loopback, three primaries with a replica each.

`cluster_url` gives the URL of an empty one that all tests of a process share; who breaks one makes its own.
The servers are of the kind that the environment variable ``CLUSTER_KIND`` names, one of
`tests.servers.SERVER_KINDS`; "redis70" by default.
"""

import contextlib
import os
import time
from collections import ChainMap
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from redis.crc import key_slot

from tests.faults.redis_process import RedisProcess
from tests.ports import free_port
from tests.servers import assert_none_leaked, keys_that_stay
from tests.tls import Tls
from tests.waiting import wait_until

__all__ = ["CLUSTER_KIND", "RealCluster", "cluster_url", "real_cluster"]

CLUSTER_KIND = os.environ.get("CLUSTER_KIND", "redis70")

_SLOTS = 16_384
_PRIMARIES = 3
_SECONDS = 60.0  # for what takes one or two on a machine that has nothing else to do
_TALKATIVE_MS = 1_000  # a node hears of what others know within half of its patience with them
_ATTEMPTS = 10  # at two ports each; Redis 6.2 has its second one where systems give them to anybody


class RealCluster:
    """Six servers. You must `start` it, and `close` it at the end, or use it in a ``with`` statement.

    Nothing fails over by itself while a test does not want it: nodes are patient with one another.

    Args:
        folder: for the data of the nodes.
        kind: one of `tests.servers.SERVER_KINDS`.
        node_timeout: seconds without an answer after which the others count a node as failed.
        tls: certificates, for nodes that speak TLS with one another, and on a port besides their plain one.
    """

    def __init__(
        self, folder: Path, *, kind: str = CLUSTER_KIND, node_timeout: float = 30.0, tls: Tls | None = None
    ) -> None:
        self.kind = kind
        self.nodes: list[RedisProcess] = []
        self._buses: dict[int, int] = {}  # ports on which nodes talk to one another, where they were chosen
        self._folder = folder
        self._tls = tls
        self._tls_ports: dict[int, int] = {}
        self._node_timeout = node_timeout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Names the first two nodes; the others are found."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    @property
    def tls_url(self) -> str:
        """The same over TLS."""
        assert self._tls is not None, "the nodes speak no TLS"
        places = ",".join(f"127.0.0.1:{self._tls_ports[node.port]}" for node in self.nodes[:2])
        return f"rediss+cluster://{places}?ssl_ca_certs={self._tls.authority}"

    def start(self) -> None:
        """Start the nodes, and make them a cluster.

        Raises:
            RuntimeError: they did not become one.
        """
        try:
            for number in range(2 * _PRIMARIES):
                self.nodes.append(self._started(str(number)))
            self._form()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.close()

    def add_node(self) -> RedisProcess:
        """Start one more, which joins as a primary without slots."""
        node = self._started(str(len(self.nodes)))
        self.nodes.append(node)
        self._meet(node)
        self.wait_until_agreed()
        return node

    # ------------------------------------------------------------------ who has what

    def owner(self, key: str) -> RedisProcess:
        """The node that has a key's slot, as the nodes that run see it."""
        return self.owner_of(key_slot(key.encode()))

    def owner_of(self, slot: int) -> RedisProcess:
        """The node that has a slot."""
        return next(self._by_id(each["id"]) for each in self._table(self._any()) if slot in each["slots"])

    def replicas_of(self, node: RedisProcess) -> list[RedisProcess]:
        """The replicas of a node."""
        own = self.id_of(node)
        return [self._by_id(each["id"]) for each in self._table(self._any()) if each["primary"] == own]

    def primaries(self) -> list[RedisProcess]:
        """The nodes that have slots."""
        return [self._by_id(each["id"]) for each in self._table(self._any()) if each["slots"]]

    def id_of(self, node: RedisProcess) -> str:
        """What the cluster calls a node."""
        table = self._table(node if node.running else self._any())
        return next(str(each["id"]) for each in table if each["port"] == node.port)

    # ------------------------------------------------------------------ what happens to it

    def begin_move(self, slot: int, target: RedisProcess) -> RedisProcess:
        """Begin to move a slot; return the node that has it. Its keys stay where they are for now."""
        source = self.owner_of(slot)
        self._set_slot(target, slot, "IMPORTING", self.id_of(source))
        self._set_slot(source, slot, "MIGRATING", self.id_of(target))
        return source

    def move_keys(self, slot: int, source: RedisProcess, target: RedisProcess, keys: Sequence[str]) -> None:
        """Move some keys of a slot that is being moved."""
        if keys:
            port = self._port_for_nodes(target)
            command = ("MIGRATE", "127.0.0.1", port, "", 0, 10_000, "REPLACE", "KEYS", *keys)
            source.client.execute_command(*command)

    def keys_in(self, slot: int, node: RedisProcess) -> list[str]:
        """The keys of a slot that a node has."""
        return [str(key) for key in node.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10_000)]

    def end_move(self, slot: int, source: RedisProcess, target: RedisProcess) -> None:
        """Give a slot to the node that has all its keys by now."""
        new = self.id_of(target)
        for node in (target, source, *self.primaries()):
            self._set_slot(node, slot, "NODE", new)

    def move(self, slot: int, target: RedisProcess) -> None:
        """Move a slot with all its keys, some at a time, as ``redis-cli --cluster reshard`` does."""
        source = self.begin_move(slot, target)
        if self.id_of(source) == self.id_of(target):
            return
        while keys := self.keys_in(slot, source)[:10]:
            self.move_keys(slot, source, target, keys)
        self.end_move(slot, source, target)

    def fail_over(self, primary: RedisProcess) -> RedisProcess:
        """Let a replica take a node's place at once, whatever that has not passed on; return it."""
        replica = next(each for each in self.replicas_of(primary) if each.running)
        replica.client.execute_command("CLUSTER FAILOVER", "TAKEOVER")
        wait_until(
            lambda: replica.client.info("replication")["role"] == "master",
            timeout=_SECONDS,
            what="the replica took over",
        )
        return replica

    @contextlib.contextmanager
    def without(self, slot: int) -> Generator[None]:
        """Let nobody have a slot, as far as any node knows, while the block runs."""
        owner = self.owner_of(slot)
        for node in self.nodes:
            with contextlib.suppress(redis.ResponseError):  # "already unassigned": it has heard of it
                node.client.execute_command("CLUSTER", "DELSLOTS", slot)
        try:
            yield
        finally:
            with contextlib.suppress(
                redis.ResponseError
            ):  # "already busy": Valkey heard of it from its replica
                owner.client.execute_command("CLUSTER", "ADDSLOTS", slot)
            self.wait_until_agreed()

    def mend(self) -> None:
        """Bring back what was ended or frozen, and empty all nodes."""
        for node in self.nodes:
            if node.running:
                node.thaw()
            else:
                node.start()
        self.wait_until_agreed()
        self._await(self._replicated, "replicated")
        for node in self.primaries():
            node.client.flushall()

    def wait_until_agreed(self) -> None:
        """Wait until all nodes that run tell the same of the slots, and serve them."""
        wait_until(self._agreed, timeout=_SECONDS, what="the nodes agree")

    def wait_until_copied(self, node: RedisProcess) -> None:
        """Wait until a replica of a node has all that the node has."""
        copied = node.client.execute_command("WAIT", 1, round(_SECONDS * 1000))
        assert copied >= 1, "no replica has it"

    # ------------------------------------------------------------------ forming

    def _started(self, name: str) -> RedisProcess:
        for attempt in range(1, _ATTEMPTS):
            with contextlib.suppress(RuntimeError):
                return self._begun(f"{name}-{attempt}")
        return self._begun(f"{name}-{_ATTEMPTS}")

    def _begun(self, name: str) -> RedisProcess:
        bus = None if self.kind == "redis62" else free_port()
        node = self._node(name, bus)
        try:
            node.start()
        except RuntimeError:
            node.close()
            raise
        if bus is not None:
            self._buses[node.port] = bus
        return node

    def _node(self, name: str, bus: int | None) -> RedisProcess:
        options: dict[str, Any] = {  # also the names of its other arguments, for all mypy knows
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(_TALKATIVE_MS),
            "cluster-replica-validity-factor": "0",  # a replica may take over however old its data are
        }
        if bus is not None:
            options["cluster-port"] = str(bus)
        port = free_port()
        if self._tls is not None:
            options |= _tls_options(self._tls, port)
        node = RedisProcess(self.kind, self._folder / name, keep=False, **options)
        self._tls_ports[node.port] = port
        return node

    def _form(self) -> None:
        share = -(-_SLOTS // _PRIMARIES)
        for number, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < _PRIMARIES:
                slots = range(number * share, min((number + 1) * share, _SLOTS))
                node.client.execute_command("CLUSTER ADDSLOTS", *slots)
        for node in self.nodes[1:]:
            self._meet(node)
        self._await(lambda: all(len(self._table(node)) == len(self.nodes) for node in self.nodes), "met")
        for number, node in enumerate(self.nodes[_PRIMARIES:]):
            node.client.execute_command("CLUSTER REPLICATE", self.id_of(self.nodes[number]))
        self._await(self._replicated, "replicated")
        self.wait_until_agreed()
        for node in self.nodes:
            node.config_set("cluster-node-timeout", str(round(self._node_timeout * 1000)))

    def _meet(self, node: RedisProcess) -> None:
        bus = self._buses.get(node.port, node.port + 10_000)
        self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", self._port_for_nodes(node), bus)

    def _port_for_nodes(self, node: RedisProcess) -> int:
        return node.port if self._tls is None else self._tls_ports[node.port]

    def _replicated(self) -> bool:
        infos = [node.client.info("replication") for node in self.nodes]
        replicas = [info for info in infos if info["role"] == "slave"]
        whole = len(replicas) == len(self.nodes) - _PRIMARIES
        return whole and all(info.get("master_link_status") == "up" for info in replicas)

    def _agreed(self) -> bool:
        running = [node for node in self.nodes if node.running]
        with contextlib.suppress(redis.RedisError):
            states = [node.client.execute_command("CLUSTER INFO") for node in running]
            views = [
                sorted((each["id"], each["primary"], sorted(each["slots"])) for each in self._table(node))
                for node in running
            ]
            return all("ok" in str(state.get("cluster_state")) for state in states) and all(
                view == views[0] for view in views
            )
        return False

    def _await(self, predicate: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not predicate():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the nodes have not {what} in time")
            time.sleep(0.01)

    def _set_slot(self, node: RedisProcess, slot: int, *what: str) -> None:
        node.client.execute_command("CLUSTER SETSLOT", slot, *what)

    def _any(self) -> RedisProcess:
        return next(node for node in reversed(self.nodes) if self._answers(node) and self._is_part(node))

    def _answers(self, node: RedisProcess) -> bool:
        return node.running and not node.frozen

    def _is_part(self, node: RedisProcess) -> bool:
        return len(self._table(node)) > 1

    def _by_id(self, wanted: str) -> RedisProcess:
        port = next(each["port"] for each in self._table(self._any()) if each["id"] == wanted)
        return next(node for node in self.nodes if node.port == port)

    def _table(self, node: RedisProcess) -> list[dict[str, Any]]:
        """What a node knows of the others: id, port, primary, slots."""
        found: dict[str, Any] = node.client.execute_command("CLUSTER NODES")
        return [
            {
                "id": facts["node_id"],
                "port": int(address.rpartition(":")[2]),
                "primary": facts["master_id"],
                "slots": _numbers(facts["slots"]),
            }
            for address, facts in found.items()
            if "handshake" not in facts["flags"]
        ]


def _tls_options(tls: Tls, port: int) -> dict[str, str]:
    return {
        "tls-port": str(port),
        "tls-cluster": "yes",
        "tls-replication": "yes",
        "tls-auth-clients": "no",
        "tls-cert-file": str(tls.certificate),
        "tls-key-file": str(tls.key),
        "tls-ca-cert-file": str(tls.authority),
    }


def _numbers(ranges: Sequence[Sequence[str]]) -> set[int]:
    return {
        slot
        for each in ranges
        if each and each[0].isdigit()
        for slot in range(int(each[0]), int(each[-1]) + 1)
    }


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A cluster that the tests of a process share, and leave as it is."""
    with RealCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(real_cluster: RealCluster) -> Iterator[str]:
    """URL of an empty cluster."""
    for node in real_cluster.primaries():
        node.client.flushall()
    yield real_cluster.url
    assert_none_leaked(ChainMap(*(keys_that_stay(node.client) for node in real_cluster.primaries())))
