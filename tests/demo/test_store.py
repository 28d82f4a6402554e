"""The demo leaves a user's own store as it found it, as far as anything stays for ever."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from adapter.demo.store import shared_store
from recovery.commands import OpenStream
from recovery.errors import ConfigurationError, StoreUnavailableError
from recovery.records import Epoch
from recovery.stores import open_store
from recovery.stores.embedded import EmbeddedServer


@pytest.fixture
def own_store() -> Iterator[str]:
    with EmbeddedServer() as server:
        yield server.url


def keys_at(url: str) -> set[bytes]:
    client: Any = redis.Redis.from_url(url)  # redis-py types its replies for both colours at once
    with client:
        return set(client.keys())


def test_its_stream_is_deleted_in_the_end_and_nothing_else(own_store: str) -> None:
    def open_stream(name: str) -> None:
        store = open_store(own_store, stream_name=name, session_key_prefix=f"{name}:")
        store.execute(OpenStream(Epoch("e")))
        store.close()

    open_stream("socket.io")
    before = keys_at(own_store)
    with shared_store(own_store) as store:
        open_stream(store.stream_name)
        assert len(keys_at(own_store)) == 2 * len(before)
    assert keys_at(own_store) == before


def test_no_two_runs_share_a_stream(own_store: str) -> None:
    with shared_store(own_store) as first, shared_store(own_store) as second:
        assert first.url == second.url
        assert first.stream_name != second.stream_name
        assert first.session_key_prefix != second.session_key_prefix


@pytest.mark.parametrize("url", [None, "embedded://"])
def test_without_a_store_of_the_users_own_one_is_started(url: str | None) -> None:
    with shared_store(url) as store:
        assert keys_at(store.url) == set()
    with pytest.raises(redis.ConnectionError):
        keys_at(store.url)


@pytest.mark.parametrize("url", ["memory://", "memory://name", "http://localhost"])
def test_what_two_processes_cannot_share_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError), shared_store(url):
        pass


def test_a_store_that_does_not_answer_is_noticed_at_once() -> None:
    with pytest.raises(StoreUnavailableError), shared_store("unix:///nonexistent/socket"):
        pass
