"""Fixtures of all tests."""

from tests.searching import load_profile
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

pytest_plugins = ["recovery.testing.plugin"]  # where this distribution is installed, pytest has it already

load_profile()
