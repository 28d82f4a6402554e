"""How connections are made; nothing else in this library makes any.

We use redis-py's connections without its clients and pools: a client retries by itself, which stores
an entry twice, and stalls in a blocking read that is longer than its socket timeout. What the
caller's client or URL says of the server (address, database, credentials, TLS) is copied; how to
talk (decoding, protocol, timeouts, retries) is ours. The caller's client is never used or changed.
"""

from asyncio import StreamWriter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from redis import connection as sync_connections
from redis.asyncio import connection as async_connections
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from recovery.errors import ConfigurationError
from recovery.stores.redis.replies import parser_class

__all__ = [
    "ANSWER_TIMEOUT",
    "AsyncConnection",
    "Endpoint",
    "SyncConnection",
    "async_connection",
    "can_read",
    "connect",
    "endpoint_of_client",
    "endpoint_of_url",
    "masked",
    "sync_connection",
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

_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
    "valkey+unix": "unix",
}

# Of a pool's connection_kwargs: what says how to talk, which is ours to decide, and what ties a
# connection to its pool or its client.
_NOT_COPIED = frozenset(
    {
        "cache_allow_list",
        "cache_deny_list",
        "cache_enabled",
        "cache_max_size",
        "cache_policy",
        "cache_ttl",
        "client_cache",
        "connection_class",
        "connection_pool",
        "decode_responses",
        "driver_info",
        "encoder_class",
        "encoding",
        "encoding_errors",
        "event_dispatcher",
        "health_check_interval",
        "himport_registry",
        "legacy_responses",
        "lib_name",
        "lib_version",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "max_connections",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "parser_class",
        "protocol",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_read_size",
        "socket_timeout",
    }
)


_SYNC_ONLY = ("ssl_validate_ocsp", "ssl_validate_ocsp_stapled")
"""Off by default, and unknown to asyncio connections: left out where off, refused there where on."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is, and how to get in.

    Attributes:
        place: for messages; no credentials.
        options: as a connection of redis-py takes them, None left out. Credentials: never shown.
        kind: what to make, one of redis-py's stock connections or a class of the caller's own.
    """

    place: str
    options: Mapping[str, Any] = field(repr=False)  # redis-py's options have no common type
    kind: str | type


class SyncConnection(Protocol):
    """What we use of a connection of redis-py, whose own types say less."""

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
    """The same of an asyncio connection; see `SyncConnection`, `connect` and `can_read`.

    Attributes:
        socket_timeout: seconds that a reply may take, None for ever.
    """

    socket_timeout: float | None

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


def endpoint_of_url(url: str) -> Endpoint:
    """Read a URL, of redis-py's forms or with Valkey's spelling of the scheme.

    Raises:
        ConfigurationError: redis-py cannot read it.
    """
    scheme, _, rest = url.partition("://")
    spelled = f"{_SCHEMES.get(scheme, scheme)}://{rest}"
    pools: Any = sync_connections.ConnectionPool  # its options are untyped
    try:
        pool = pools.from_url(spelled)
    except ValueError as error:
        raise ConfigurationError(f"cannot read the store URL {masked(url)!r}: {error}") from error
    return _endpoint(pool.connection_class, pool.connection_kwargs)


def endpoint_of_client(client: object) -> Endpoint:
    """Read where a client of redis-py or valkey-py, of either colour, would connect to.

    Raises:
        ConfigurationError: it is no such client, or one of a cluster or a sentinel.
    """
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    pool: Any = getattr(client, "connection_pool", None)  # of two libraries and two colours
    if "Cluster" in type(client).__name__ or "Sentinel" in type(pool).__name__:
        raise ConfigurationError(f"this release does not support clusters and sentinels yet (got {kind})")
    if pool is None or not hasattr(pool, "connection_kwargs"):
        raise ConfigurationError(f"expected a store URL, a store, or a client of redis-py, not {kind}")
    return _endpoint(pool.connection_class, pool.connection_kwargs)


def sync_connection(endpoint: Endpoint, *, wait: float = 0.0) -> SyncConnection:
    """Make a connection for threads; it connects when told to.

    Args:
        wait: longest time in seconds that the server may let a read wait.
    """
    kind = _kind(endpoint, sync_connections)
    try:
        made: SyncConnection = kind(**endpoint.options, **_manners(wait), retry=Retry(NoBackoff(), 0))
    except TypeError as error:
        raise _bad_option(endpoint, error) from error
    return made


def async_connection(endpoint: Endpoint, *, wait: float = 0.0) -> AsyncConnection:
    """Make a connection for asyncio; see `sync_connection`."""
    kind = _kind(endpoint, async_connections)
    try:
        made: AsyncConnection = kind(
            **endpoint.options,
            **_manners(wait),
            retry=AsyncRetry(NoBackoff(), 0),
            parser_class=parser_class(),
        )
    except TypeError as error:
        raise _bad_option(endpoint, error) from error
    return made


async def connect(connection: AsyncConnection, patience: float) -> None:
    """Connect, and leave it to the caller from then on to be patient.

    Of itself, redis-py has a timer for each reply, and a task for each thing it sends (8.1).

    Args:
        patience: seconds that an answer of the handshake may take.
    """
    connection.socket_timeout = patience
    await connection.connect()
    connection.socket_timeout = None


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


def masked(url: str) -> str:
    """Return a URL that may be shown.

    >>> masked("redis://me:secret@host:6379/0")
    'redis://me:***@host:6379/0'
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


def _endpoint(connection_class: Any, kwargs: Mapping[str, Any]) -> Endpoint:
    options = {name: value for name, value in kwargs.items() if name not in _NOT_COPIED and value is not None}
    for name in _SYNC_ONLY:
        if not options.get(name, True):
            del options[name]
    tls = any("SSL" in base.__name__ for base in connection_class.__mro__)
    if tls and kwargs.get("ssl_cert_reqs", "") is None:
        options["ssl_cert_reqs"] = "none"  # None says so too, and was dropped with the defaults
    stock = connection_class.__module__.split(".")[0] in {"redis", "valkey"}
    kind = "UnixDomainSocketConnection" if "path" in kwargs else "SSLConnection" if tls else "Connection"
    place = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    return Endpoint(place, options, kind if stock else connection_class)


def _kind(endpoint: Endpoint, colour: ModuleType) -> type:
    if isinstance(endpoint.kind, str):
        stock: type = getattr(colour, endpoint.kind)
        return stock
    if issubclass(endpoint.kind, colour.AbstractConnection):
        return endpoint.kind
    raise ConfigurationError(
        f"the client's connection class {endpoint.kind.__qualname__} does not derive from"
        f" {colour.__name__}.AbstractConnection; pass a client of the server's own colour, or a URL"
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
