"""A plugin of pytest: fixtures for tests of applications that use recovery.

pytest loads it where this distribution is installed. It imports nothing until a fixture is asked for.

- `recovery_store_url`: the URL of an empty private Valkey;
- `recovery_cluster`: opens clusters of an application's servers on that store, in real time;
- `simulated_cluster`: opens simulated clusters, in virtual time, with every fault that one may want.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a test suite that uses none of the fixtures must not pay for them
    from recovery.stores.embedded import EmbeddedServer
    from recovery.testing.cluster import SimulatedCluster
    from recovery.testing.embedded import EmbeddedCluster

__all__ = ["recovery_cluster", "recovery_store_url", "simulated_cluster"]


@pytest.fixture(scope="session")
def _recovery_store() -> "Iterator[EmbeddedServer]":
    from recovery.errors import ConfigurationError
    from recovery.stores.embedded import EmbeddedServer

    try:
        server = EmbeddedServer()
    except ConfigurationError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def recovery_store_url(_recovery_store: "EmbeddedServer") -> str:
    """The URL of an empty Valkey server that ends with the run; skips if there is none for this machine."""
    redis: Any = import_module("redis")  # its methods are typed in part only
    with redis.Redis.from_url(_recovery_store.url) as client:
        client.flushall()
    return _recovery_store.url


@pytest.fixture
def recovery_cluster(recovery_store_url: str) -> "Callable[..., EmbeddedCluster]":
    """What makes an `EmbeddedCluster` of an application, on an empty store; takes its arguments but the URL.

    Example::

        async def test_chat(recovery_cluster):
            async with recovery_cluster(register_handlers) as cluster:
                anna = cluster.client("anna")
                await anna.connect(cluster.servers[0])
    """
    from functools import partial

    from recovery.testing.embedded import EmbeddedCluster

    return partial(EmbeddedCluster, url=recovery_store_url)


@pytest.fixture
def simulated_cluster() -> "Iterator[Callable[..., SimulatedCluster]]":
    """What makes a `SimulatedCluster`, which is closed after the test; takes its arguments.

    Example::

        def test_chat(simulated_cluster):
            cluster = simulated_cluster(servers=2, application=register_handlers)
            anna = cluster.client("anna")
            cluster.connect(anna, "s1")
    """
    from recovery.testing.cluster import SimulatedCluster

    with ExitStack() as clusters:

        def make(**options: Any) -> SimulatedCluster:
            return clusters.enter_context(SimulatedCluster(**options))

        yield make
