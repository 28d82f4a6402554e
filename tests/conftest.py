"""Fixtures of all tests."""

import gc
import signal

import pytest

from tests.clusters import cluster_url, real_cluster
from tests.searching import load_profile
from tests.servers import (
    redis62_server,
    redis62_url,
    redis70_server,
    redis70_url,
    valkey_server,
    valkey_url,
)
from tests.tls import redis70_tls

__all__ = [
    "cluster_url",
    "real_cluster",
    "redis62_server",
    "redis62_url",
    "redis70_server",
    "redis70_tls",
    "redis70_url",
    "valkey_server",
    "valkey_url",
]

pytest_plugins = ["recovery.testing.plugin"]  # where this distribution is installed, pytest has it already

load_profile()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what it runs in the background ignore Ctrl-C, and so would every process that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the modules and the tests themselves out of garbage collections: many tests end with one."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with tests that may take longer than others, or one worker runs them when the other is done."""
    usual = float(config.getini("timeout"))

    def seconds(item: pytest.Item) -> float:
        own = item.get_closest_marker("timeout")
        return max(usual, own.args[0]) if own is not None and own.args else usual

    items.sort(key=seconds, reverse=True)
