"""How connections are made; nothing else in this library makes any.

We use redis-py's connections without its clients and pools: a client retries by itself, which stores
an entry twice, and stalls in a blocking read that is longer than its socket timeout. What the
caller's client or URL says of the server (address, database, credentials, TLS) is copied; how to
talk (decoding, protocol, timeouts, retries) is ours. The caller's client is never used or changed.
"""

import asyncio
from asyncio import StreamWriter
from collections.abc import Coroutine, Sequence
from types import ModuleType
from typing import Any, Protocol

from redis import connection as sync_connections
from redis.asyncio import connection as async_connections
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from recovery.errors import ConfigurationError
from recovery.stores.redis.endpoints import Endpoint

__all__ = [
    "AsyncConnection",
    "SyncConnection",
    "async_connection",
    "can_read",
    "sync_connection",
    "to_the_end",
]

CONNECT_TIMEOUT = 2.0
"""Seconds until a connection must stand, its handshake included."""

ANSWER_TIMEOUT = 2.0
"""Seconds until an answer must have begun; long enough for a script that waits for a disk's fsync, and short
enough for another attempt on another connection within ``publish_timeout`` (5 s by default): a connection
that a firewall has forgotten is silent for ever. Repeating is harmless, see `recovery.commands`.

A read that blocks gets its own block time on top: a socket timeout below it would end every wait in
an error (redis-py's default of 5 s does).
"""


class SyncConnection(Protocol):
    """What we use of a connection of redis-py, whose own types say less.

    Attributes:
        host: to connect to next; none of a Unix socket.
        port: the same.
    """

    host: str
    port: int

    def connect(self) -> None:
        """Connect and introduce ourselves."""

    def disconnect(self) -> None:
        """Shut the socket down; whoever reads from it gets an error at once."""

    def pack_commands(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[bytes]:
        """Write commands in the Redis protocol."""
        ...

    def send_packed_command(self, command: list[bytes], *, check_health: bool) -> None:
        """Send what `pack_commands` wrote."""

    def read_response(self) -> Any:  # its shape depends on what was asked
        """Wait for the next reply; raises it if it is an error."""

    def can_read(self, *, timeout: float) -> bool:
        """Tell whether bytes, or the end of the connection, have arrived."""
        ...


class AsyncConnection(Protocol):
    """The same of an asyncio connection; see `SyncConnection`, and `can_read`.

    Attributes:
        socket_timeout: seconds that a reply may take, None for ever.
    """

    socket_timeout: float | None

    host: str
    port: int

    async def connect(self) -> None:
        """Connect and introduce ourselves."""

    async def disconnect(self, *, nowait: bool) -> None:
        """Close the socket; whoever reads from it gets an error at once."""

    def pack_commands(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[bytes]:
        """Write commands in the Redis protocol."""
        ...

    async def send_packed_command(self, command: list[bytes], *, check_health: bool) -> None:
        """Send what `pack_commands` wrote."""

    async def read_response(self) -> Any:  # its shape depends on what was asked
        """Wait for the next reply; raises it if it is an error."""


def sync_connection(endpoint: Endpoint, *, wait: float = 0.0) -> SyncConnection:
    """Make a connection for threads; it connects when told to.

    Args:
        wait: longest time in seconds that the server may let a read wait.

    Raises:
        ConfigurationError: an option is none of redis-py's, or a class is of the other colour.
    """
    for sentinel in endpoint.sentinels.endpoints if endpoint.sentinels else ():
        sync_connection(sentinel)  # what is wrong with it is said now, too
    kind = _kind(endpoint, sync_connections)
    try:
        made: SyncConnection = kind(**endpoint.options, **_manners(wait), retry=Retry(NoBackoff(), 0))
    except TypeError as error:
        raise _bad_option(endpoint, error) from error
    return made


def async_connection(endpoint: Endpoint, *, wait: float = 0.0) -> AsyncConnection:
    """Make a connection for asyncio; see `sync_connection`."""
    for sentinel in endpoint.sentinels.endpoints if endpoint.sentinels else ():
        async_connection(sentinel)
    kind = _kind(endpoint, async_connections)
    try:
        made: AsyncConnection = kind(**endpoint.options, **_manners(wait), retry=AsyncRetry(NoBackoff(), 0))
    except TypeError as error:
        raise _bad_option(endpoint, error) from error
    return made


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await what sends or connects, and end as a cancelled task must.

    redis-py (8.1) sends through `asyncio.wait_for`, which on Python 3.11 swallows a cancellation that comes
    just as the inner call completes (https://github.com/python/cpython/issues/86296). The task would go on,
    and whoever cancels once and waits (`asyncio.run`, closing) would wait for ever. The test
    ``tests/regressions/test_exit_hangs.py`` shows when this can go.
    """
    cancellations = _cancellations()
    await work
    if _cancellations() > cancellations:
        raise asyncio.CancelledError


async def can_read(connection: AsyncConnection) -> bool:
    """Tell whether bytes that nobody asked for, or the end of the connection, have arrived."""
    # redis-py 8.1 sees an end, but no reset; ``tests/contract/test_faults.py`` (reset while nothing was under
    # way) shows when this can go.
    writer: StreamWriter | None = getattr(connection, "_writer", None)
    if writer is not None and writer.is_closing():
        return True
    # redis-py 8 renamed the method, and warns about the old name.
    probe = getattr(connection, "can_read", None) or getattr(connection, "can_read_destructive", None)
    return probe is not None and bool(await probe())


def _cancellations() -> int:
    """How often this task was cancelled; what it did about that does not matter."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _kind(endpoint: Endpoint, colour: ModuleType) -> type:
    if isinstance(endpoint.kind, str):
        stock: type = getattr(colour, endpoint.kind)
        return stock
    if issubclass(endpoint.kind, colour.AbstractConnection):
        return endpoint.kind
    raise ConfigurationError(
        f"the client's connection class {endpoint.kind.__qualname__} does not derive from"
        f" {colour.__name__}.AbstractConnection; pass a client with one that does, or a URL"
    )


def _manners(wait: float) -> dict[str, Any]:  # as options of redis-py, see Endpoint
    return {
        "decode_responses": False,
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT + wait,
    }


def _bad_option(endpoint: Endpoint, error: TypeError) -> ConfigurationError:
    return ConfigurationError(f"cannot connect to {endpoint.place} with these options: {error}")
