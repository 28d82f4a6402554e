"""A cluster whose nodes speak TLS, with clients and with one another."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import socketio

from adapter import AsyncRecoveryManager, RecoveryManager
from recovery.commands import OpenStream
from recovery.errors import StoreUnavailableError
from recovery.records import Epoch
from recovery.stores import open_async_store
from tests.clusters import RealCluster
from tests.contract.subject import KEYS
from tests.interleavings.client import Client
from tests.interleavings.transports import WebSocketTransport
from tests.rediscluster.test_rights import NAMES, use
from tests.tls import Tls, issue
from tests.waiting import async_wait_until


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Certificates for this machine."""
    return issue(tmp_path_factory.mktemp("certificates"), 0)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[RealCluster]:
    """Redis 7.0, which Debian builds with TLS."""
    with RealCluster(tmp_path_factory.mktemp("tls-cluster"), kind="redis70", tls=tls) as cluster:
        yield cluster


@pytest.fixture
def cluster(nodes: RealCluster) -> RealCluster:
    """The same, empty."""
    nodes.mend()
    return nodes


async def test_a_server_does_all_that_it_does(cluster: RealCluster) -> None:
    await use(cluster.tls_url, cluster)


async def test_an_authority_that_does_not_vouch_is_said(cluster: RealCluster, tls: Tls) -> None:
    url = cluster.tls_url.replace(str(tls.authority), str(tls.other_authority))
    store = open_async_store(url, **NAMES)
    with pytest.raises(StoreUnavailableError, match="certificate verify failed"):
        await store.execute(OpenStream(Epoch("e")))
    await store.close()


async def _until(predicate: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return predicate()

    await async_wait_until(holds, timeout=30.0, what=what)


async def test_a_client_recovers_over_a_failover(cluster: RealCluster) -> None:
    manager = AsyncRecoveryManager(cluster.tls_url, publish_timeout=30.0)
    sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager, monitor_clients=False)
    app = socketio.ASGIApp(sio)
    client = Client()
    client.open(WebSocketTransport(app))
    await _until(lambda: client.is_connected, "connected")
    await sio.emit("n", 1)
    await _until(lambda: client.got("n") == [1], "the first packet")
    client.cut()
    primary = cluster.owner(KEYS.stream)
    await asyncio.to_thread(cluster.wait_until_copied, primary)
    await asyncio.to_thread(cluster.fail_over, primary)
    emitter = RecoveryManager(cluster.tls_url, write_only=True, publish_timeout=30.0)
    await asyncio.to_thread(emitter.emit, "n", 2)
    client.open(WebSocketTransport(app))
    await _until(lambda: client.got("n") == [1, 2], "what it missed")
    assert client.outcomes == ["fresh", "recovered"]
    emitter.close()
    await manager.close()
