"""The page that chooses a Redis: each of its examples reaches a real one, set up as the page has it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import socketio

from adapter import AsyncRecoveryManager
from recovery.errors import PublishError
from tests.clusters import RealCluster
from tests.docs.pages import DOCS, blocks
from tests.inspect.commands import run
from tests.rights import PASSWORD, documented
from tests.sentinel.processes import SentinelGroup
from tests.tls import Tls

PAGE = DOCS / "how-to" / "choose-a-redis.md"
FILES = {block.name: block.text for block in blocks(PAGE) if block.language == "python"}
LINES = {block.name: block.text.splitlines() for block in blocks(PAGE) if block.language == "text"}


def _manager(name: str, places: dict[str, str]) -> AsyncRecoveryManager:
    """Run an example, with addresses of this machine in place of the page's."""
    text = FILES[name]
    for on_page, here in {**places, "PASSWORD": PASSWORD}.items():
        assert on_page in text or on_page == "PASSWORD", f"{name} has no {on_page}"
        text = text.replace(on_page, here)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, name, "exec"), names)  # noqa: S102 - our own page
    manager: AsyncRecoveryManager = names["manager"]
    return manager


async def _works(manager: AsyncRecoveryManager, url: str) -> None:
    socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    await manager.emit("n", 1)
    await manager.close()
    with redis.Redis.from_url(url) as client:
        assert client.xlen("socket.io") == 2, "its first entry, and the packet"


async def test_one_server(valkey_url: str) -> None:
    await _works(_manager("one_server.py", {"redis://localhost:6379/0": valkey_url}), valkey_url)


async def test_a_unix_socket(valkey_url: str) -> None:
    places = {"unix:///run/redis/redis-server.sock": valkey_url}
    await _works(_manager("unix_socket.py", places), valkey_url)


@pytest.fixture
def secured(redis70_url: str, redis70_tls: Tls) -> Iterator[Tls]:
    """A server that speaks TLS, and has the user of the page about security."""
    with redis.Redis.from_url(redis70_url) as admin:
        admin.execute_command(*documented("acl", "acl-cluster"))
        yield redis70_tls
        admin.execute_command("ACL", "DELUSER", "recovery")


async def test_over_tls(secured: Tls, redis70_url: str) -> None:
    places = {"redis.example.com:6380": secured.place, "/etc/ssl/redis-ca.pem": str(secured.authority)}
    await _works(_manager("over_tls.py", places), redis70_url)


async def test_with_a_client(secured: Tls, redis70_url: str) -> None:
    host, _, port = secured.place.partition(":")
    places = {
        "redis.example.com": host,
        "6380": port,
        "/etc/ssl/redis-ca.pem": str(secured.authority),
        "/etc/ssl/client.pem": str(secured.client_certificate),
    }
    await _works(_manager("with_a_client.py", places), redis70_url)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    """Sentinels with the page's lines in their configuration, and servers with theirs."""
    settings = dict(line.rsplit(" ", 1) for line in LINES["sentinel.conf"])
    options = {line.split()[0].replace("-", "_"): line.split()[1] for line in LINES["redis.conf"]}
    folder: Path = tmp_path_factory.mktemp("sentinels")
    with SentinelGroup("redis70", folder, options=options, settings=settings) as group:
        for sentinel in group.sentinels:
            sentinel.client.execute_command(*documented("acl-asker"))
        group.primary.client.execute_command(*documented("acl", "acl-cluster", "acl-sentinel"))
        yield group


@pytest.fixture
def group(started: SentinelGroup) -> Iterator[SentinelGroup]:
    yield started
    started.primary.client.flushall()


def test_the_configuration_of_the_page_is_taken(group: SentinelGroup) -> None:
    facts = group.sentinels[0].facts()
    assert (int(facts["down-after-milliseconds"]), int(facts["failover-timeout"])) == (5000, 10_000)
    assert group.primary.client.config_get("min-replicas-*") == {
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": "5",
    }


def _places(group: SentinelGroup, spelled: str) -> dict[str, str]:
    return {
        spelled.format(number): spelled.format(number)
        .replace(f"sentinel-{number}", "127.0.0.1")
        .replace("26379", str(sentinel.port))
        for number, sentinel in enumerate(group.sentinels, start=1)
    }


async def test_sentinels_by_url(group: SentinelGroup) -> None:
    manager = _manager("sentinel_url.py", _places(group, "sentinel-{}:26379"))
    await _works(manager, group.primary.url)


async def test_sentinels_by_a_client(group: SentinelGroup) -> None:
    manager = _manager("sentinel_client.py", _places(group, '"sentinel-{}", 26379'))
    await _works(manager, group.primary.url)


def test_the_command_line_takes_the_same(group: SentinelGroup) -> None:
    [command] = [block.text for block in blocks(PAGE) if block.language == "sh"]
    _, *words = command.split()
    ports = ",".join(f"127.0.0.1:{each.port}" for each in group.sentinels)
    answer = run(*(word.replace("sentinel-1,sentinel-2", ports) for word in words))
    assert answer.status == 0, answer.err


async def test_a_primary_that_no_replica_hears_takes_nothing(group: SentinelGroup) -> None:
    """As the page says of ``min-replicas-to-write``."""
    group.primary.config_set("min-replicas-to-write", "2")
    manager = AsyncRecoveryManager(group.url, publish_timeout=0.3, write_only=True)
    with pytest.raises(PublishError, match="NOREPLICAS") as caught:
        await manager.emit("n", 1)
    assert caught.value.maybe_stored is False
    group.primary.config_set("min-replicas-to-write", "1")
    await manager.emit("n", 2)
    await manager.close()


@pytest.fixture
def nodes(cluster_url: str, real_cluster: RealCluster) -> Iterator[RealCluster]:
    """A Redis Cluster with the user of the page about security."""
    for node in real_cluster.nodes:
        node.client.execute_command(*documented("acl", "acl-cluster", "acl-nodes"))
    yield real_cluster
    for node in real_cluster.nodes:
        node.client.execute_command("ACL", "DELUSER", "recovery")


async def test_a_cluster_by_url(nodes: RealCluster) -> None:
    one, two, *_ = nodes.nodes
    places = {"node-1:6379": f"127.0.0.1:{one.port}", "node-2:6379": f"127.0.0.1:{two.port}"}
    await _works(_manager("cluster_url.py", places), nodes.owner("socket.io").url)


async def test_a_cluster_by_a_client(nodes: RealCluster) -> None:
    places = {"node-1": "127.0.0.1", "6379": str(nodes.nodes[0].port)}
    await _works(_manager("cluster_client.py", places), nodes.owner("socket.io").url)


def test_every_example_is_run() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name in FILES)
