"""The inspector on a real cluster: it finds what lies on any node, and says what is wrong with the nodes."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from recovery.inspect import open_source
from recovery.inspect.checkup import Level, check_up
from recovery.records import Pid
from recovery.stores import open_store
from tests.clusters import RealCluster
from tests.contract.builders import append, save
from tests.contract.subject import KEYS
from tests.inspect.commands import run
from tests.waiting import wait_until

PIDS = [Pid(f"pid-{number:016}") for number in range(30)]


@pytest.fixture
def filled(own_cluster: RealCluster) -> RealCluster:
    """A cluster with a stream, and sessions on all nodes."""
    names = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}
    with closing(open_store(own_cluster.url, **names)) as store:
        store.execute(append(b"a", b"b"))
        store.execute_many([save(pid=pid, create=True) for pid in PIDS])
    return own_cluster


def topology(url: str) -> dict[str, Any]:
    answer = run("doctor", "--url", url, "--json")
    return next(each for each in answer.json["findings"] if each["check"] == "topology")


def test_sessions_of_all_nodes_are_found_and_the_stream(filled: RealCluster) -> None:
    with closing(open_source(filled.url)) as source:
        assert sorted(stored.pid for stored in source.sessions()) == PIDS
        assert source.length() == 3
        assert source.session(PIDS[3]) is not None


def test_what_was_exported_can_be_imported_into_a_cluster(filled: RealCluster, tmp_path: Path) -> None:
    file = str(tmp_path / "snapshot")
    assert run("export", "--url", filled.url, file).status == 0
    assert run("import", "--to", filled.url, "--yes", file).status != 0, "there is something already"
    filled.mend()
    assert run("import", "--to", filled.url, "--yes", file).status == 0
    with closing(open_source(filled.url)) as source:
        assert sorted(stored.pid for stored in source.sessions()) == PIDS


def test_a_whole_cluster_is_well(filled: RealCluster) -> None:
    wait_until(lambda: "3 replicas" in topology(filled.url)["said"], what="all replicas are known")
    found = topology(filled.url)
    assert found["level"] == "ok"
    home = filled.owner(KEYS.stream).port
    assert f"the stream is at 127.0.0.1:{home} (slot {key_slot(KEYS.stream.encode())})" in found["said"]


def test_a_primary_without_a_replica_is_named(filled: RealCluster) -> None:
    home = filled.owner(KEYS.stream)
    [replica] = filled.replicas_of(home)
    replica.client.execute_command("CLUSTER", "REPLICATE", filled.id_of(_another(filled, home)))
    try:
        wait_until(lambda: topology(filled.url)["level"] == "warn", timeout=60, what="it is lonely")
        found = topology(filled.url)
        assert f"without a replica: 127.0.0.1:{home.port}" in found["said"]
        assert "nothing can be emitted" in found["todo"]
    finally:
        replica.client.execute_command("CLUSTER", "REPLICATE", filled.id_of(home))


def test_slots_that_nobody_has_are_trouble(filled: RealCluster) -> None:
    with filled.without(key_slot(KEYS.stream.encode()) - 1), closing(open_source(filled.url)) as source:
        found = next(each for each in check_up(source, KEYS) if each.check == "topology")
    assert found.level is Level.FAIL
    assert found.said.startswith("16383 of 16384 slots are served")


def test_a_url_of_a_single_server_is_told_what_to_write(filled: RealCluster) -> None:
    found = topology(filled.owner(KEYS.stream).url)
    assert (found["level"], found["todo"]) == ("fail", "use redis+cluster:// in place of redis://")


def _another(cluster: RealCluster, node: Any) -> Any:
    return next(each for each in cluster.primaries() if each is not node)
