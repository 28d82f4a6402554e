"""The servers of the fault tests do what a test tells them to."""

import threading
from pathlib import Path

import pytest
import redis

from tests.faults.redis_process import RedisProcess
from tests.servers import SERVER_KINDS
from tests.waiting import wait_until


@pytest.fixture(params=SERVER_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_data_outlives_a_stop_and_a_kill(kind: str, tmp_path: Path) -> None:
    with RedisProcess(kind, tmp_path, fsync="always") as server:
        url = server.url
        server.client.set("a", "1")
        server.stop()
        assert not server.running
        with pytest.raises(redis.ConnectionError):
            server.client.ping()
        server.start()
        server.client.set("b", "2")
        server.kill()
        server.start()
        assert server.url == url
        assert server.client.mget("a", "b") == ["1", "2"]


def test_a_server_that_keeps_nothing_is_empty_after_a_restart(tmp_path: Path) -> None:
    with RedisProcess("valkey", tmp_path, keep=False) as server:
        server.client.set("a", "1")
        server.restart()
        assert server.client.get("a") is None


def test_a_frozen_server_answers_later(tmp_path: Path) -> None:
    answers: list[object] = []
    with RedisProcess("valkey", tmp_path) as server:
        server.client.set("a", "1")
        server.freeze()
        asking = threading.Thread(target=lambda: answers.append(server.client.get("a")))
        asking.start()
        asking.join(0.1)
        assert asking.is_alive()
        assert server.running
        server.thaw()
        asking.join(10)
        assert answers == ["1"]


def test_a_frozen_server_can_be_ended(tmp_path: Path) -> None:
    server = RedisProcess("valkey", tmp_path)
    server.start()
    server.freeze()
    server.close()
    assert not server.running


def test_options_are_given_at_the_start_and_later(tmp_path: Path) -> None:
    with RedisProcess("redis70", tmp_path, maxmemory_policy="allkeys-lru") as server:
        assert server.client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        server.config_set("maxmemory", "1")
        assert server.client.config_get("maxmemory") == {"maxmemory": "1"}


def test_a_replica_has_what_its_primary_has_and_becomes_one(kind: str, tmp_path: Path) -> None:
    with RedisProcess(kind, tmp_path / "one") as primary, RedisProcess(kind, tmp_path / "two") as replica:
        primary.client.set("a", "1")
        replica.replica_of(primary)
        assert wait_until(lambda: replica.client.get("a")) == "1"
        with pytest.raises(redis.ReadOnlyError):
            replica.client.set("b", "2")
        replica.replica_of(None)
        replica.client.set("b", "2")
        assert primary.client.get("b") is None


def test_a_replica_of_nobody_is_read_only(tmp_path: Path) -> None:
    with RedisProcess("valkey", tmp_path) as server:
        server.become_lonely_replica()
        with pytest.raises(redis.ReadOnlyError):
            server.client.set("a", "1")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = RedisProcess("valkey", tmp_path, maxmemory="a lot")
    with pytest.raises(RuntimeError, match="maxmemory"):
        server.start()
    server.close()


def test_servers_have_ports_of_their_own(tmp_path: Path) -> None:
    with RedisProcess("valkey", tmp_path / "one") as one, RedisProcess("valkey", tmp_path / "two") as two:
        one.client.set("a", "1")
        assert two.client.get("a") is None
