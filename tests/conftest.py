"""Fixtures of all tests."""

from tests.servers import (
    redis62_server,
    redis62_url,
    redis70_server,
    redis70_url,
    valkey_server,
    valkey_url,
)

__all__ = [
    "redis62_server",
    "redis62_url",
    "redis70_server",
    "redis70_url",
    "valkey_server",
    "valkey_url",
]
