"""Where the store is, and how to get in: what a URL or the caller's client says of that.

Nothing is connected here, and the caller's client is never used or changed. A store on Redis Sentinel has
an endpoint without an address: `recovery.stores.redis.sentinels` finds the primary whenever it connects. One
on Redis Cluster has one that names some nodes: `recovery.stores.redis.cluster_links` makes one for each.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from redis import connection as sync_connections

from recovery.errors import ConfigurationError

__all__ = [
    "SCHEMES",
    "Address",
    "Cluster",
    "Endpoint",
    "Node",
    "Sentinels",
    "endpoint_of_client",
    "endpoint_of_url",
    "masked",
]

SENTINEL_PORT = 26_379
"""Where a sentinel listens if nothing else is said."""

_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
    "valkey+unix": "unix",
}
_SENTINEL_SCHEMES = {
    "redis+sentinel": "redis",
    "rediss+sentinel": "rediss",
    "valkey+sentinel": "redis",
    "valkeys+sentinel": "rediss",
}
_CLUSTER_SCHEMES = {
    "redis+cluster": "redis",
    "rediss+cluster": "rediss",
    "valkey+cluster": "redis",
    "valkeys+cluster": "rediss",
}
SCHEMES = frozenset(_SCHEMES) | frozenset(_SENTINEL_SCHEMES) | frozenset(_CLUSTER_SCHEMES)
"""What a URL of a server, of sentinels, or of nodes of a cluster may begin with."""

_FOR_SENTINELS = "sentinel_"
"""What an option of a URL begins with that is for connections to sentinels."""

_SENTINEL_FORM = "redis+sentinel://[[USER:]PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DB]"
_CLUSTER_FORM = "redis+cluster://[[USER:]PASSWORD@]HOST[:PORT][,HOST[:PORT]...]"
_SECRETS = re.compile(r"(?<=[?&])((?:sentinel_)?(?:password|ssl_password)=)[^&#]*")

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

_OF_CLUSTER_CLIENTS = frozenset(
    {
        "client_name",
        "credential_provider",
        "password",
        "socket_keepalive",
        "socket_keepalive_options",
        "username",
    }
)
"""What is copied of a cluster client's options, besides those for TLS. The rest is about how it routes."""

_SYNC_ONLY = ("ssl_validate_ocsp", "ssl_validate_ocsp_stapled")
"""Off by default, and unknown to asyncio connections: left out where off, refused there where on."""


Address = tuple[str, int]
"""Host and port."""


@dataclass(slots=True)
class Sentinels:
    """Who knows where the primary is.

    Attributes:
        service: what the sentinels call the primary and its replicas.
        endpoints: of the sentinels; who answered last comes first.
        fewest_others: a sentinel that sees fewer others than this is not believed.
        host: goes in place of the host that sentinels tell, None for theirs.
        primary: where it was when it was last looked for; a connection to anywhere else is of no use.
    """

    service: str
    endpoints: Sequence["Endpoint"]
    fewest_others: int = 0
    host: str | None = None
    primary: Address | None = None


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """Where a node of a Redis Cluster listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who knows the nodes of a Redis Cluster.

    Attributes:
        nodes: some of them, one of which at least has to answer.
        remap: where what calls itself so is to be found, if that is somewhere else.
    """

    nodes: tuple[Node, ...]
    remap: Callable[[Address], Address] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is, and how to get in.

    Attributes:
        place: for messages; no credentials.
        options: as a connection of redis-py takes them, None left out. Credentials: never shown.
        kind: what to make, one of redis-py's stock connections or a class of the caller's own.
        sentinels: whom to ask for host and port, if those are not among the options.
        cluster: whom to ask for the nodes, if it is a Redis Cluster.
    """

    place: str
    options: Mapping[str, Any] = field(repr=False)  # redis-py's options have no common type
    kind: str | type
    sentinels: Sentinels | None = None
    cluster: Cluster | None = None

    def at(self, node: Node) -> "Endpoint":
        """The same way in, to one node of the cluster."""
        host, port = node.host, node.port
        if self.cluster is not None and self.cluster.remap is not None:
            host, port = self.cluster.remap((host, port))
        return Endpoint(str(node), {**self.options, "host": host, "port": port}, self.kind)


def endpoint_of_url(url: str) -> Endpoint:
    """Read a URL: of redis-py's forms, or with Valkey's spelling, or one that names sentinels or nodes.

    Raises:
        ConfigurationError: it cannot be read.

    >>> endpoint_of_url("redis+sentinel://one,two:26380/main").place
    'main (sentinels one:26379, two:26380)'
    >>> endpoint_of_url("redis+cluster://one,two:6380").place
    'the cluster of one:6379, two:6380'
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    try:
        if scheme in _SENTINEL_SCHEMES:
            return _of_sentinel_url(_SENTINEL_SCHEMES[scheme], rest)
        if scheme in _CLUSTER_SCHEMES:
            return _of_cluster_url(_CLUSTER_SCHEMES[scheme], rest)
        return _of_plain_url(f"{_SCHEMES.get(scheme, scheme)}://{rest}")
    except ValueError as error:
        raise ConfigurationError(f"cannot read the store URL {masked(url)!r}: {error}") from error


def endpoint_of_client(client: object) -> Endpoint:
    """Read where a client of redis-py or valkey-py, of either colour, would connect to.

    Raises:
        ConfigurationError: it is no such client, or one that reads from replicas.
    """
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    pool: Any = getattr(client, "connection_pool", None)  # of two libraries and two colours
    if hasattr(client, "nodes_manager"):
        return _of_cluster_client(client)
    if hasattr(client, "master_for"):
        raise ConfigurationError(
            f"expected a client that {kind}.master_for(SERVICE) makes, not {kind} itself"
        )
    if pool is None or not hasattr(pool, "connection_kwargs"):
        raise ConfigurationError(f"expected a store URL, a store, or a client of redis-py, not {kind}")
    endpoint = _endpoint(pool.connection_class, pool.connection_kwargs)
    return endpoint if not hasattr(pool, "sentinel_manager") else _of_sentinel_pool(endpoint, pool)


def masked(url: str) -> str:
    """Return a URL that may be shown.

    >>> masked("redis://me:secret@host:6379/0")
    'redis://me:***@host:6379/0'
    >>> masked("redis+sentinel://:secret@one,two/main?sentinel_password=hush")
    'redis+sentinel://:***@one,two/main?sentinel_password=***'
    """
    url = _SECRETS.sub(r"\1***", url)
    scheme, between, rest = url.partition("://")
    ends = (
        "/?" if "unix" in scheme else "?"
    )  # a path may have an @; a password that has a / is wrong, and secret
    credentials, at, _ = re.split(f"[{ends}]", rest, maxsplit=1)[0].rpartition("@")
    if not at:
        return url
    return f"{scheme}{between}{credentials.partition(':')[0]}:***{rest[len(credentials) :]}"


def _of_plain_url(url: str) -> Endpoint:
    pools: Any = sync_connections.ConnectionPool  # its options are untyped
    pool = pools.from_url(url)
    return _endpoint(pool.connection_class, pool.connection_kwargs)


def _of_sentinel_url(scheme: str, rest: str) -> Endpoint:
    """Read what stands behind the scheme; raises `ValueError`."""
    address, _, query = rest.partition("?")
    address, _, path = address.partition("/")
    credentials, at, hosts = address.rpartition("@")
    service, database = _service_and_database(path)
    options = [option for option in query.split("&") if option]
    own = [option for option in options if not option.startswith(_FOR_SENTINELS)]
    theirs = [option.removeprefix(_FOR_SENTINELS) for option in options if option not in own]
    theirs += [option for option in own if option.startswith("ssl_")]  # of two, redis-py takes the first
    if not all(hosts.split(",")):
        raise ValueError(f"a host is missing; expected {_SENTINEL_FORM}")
    sentinels = [
        _of_plain_url(f"{scheme}://{_with_port(host)}?{'&'.join(theirs)}") for host in hosts.split(",")
    ]
    primary = _of_plain_url(f"{scheme}://{credentials}{at}primary/{database}?{'&'.join(own)}")
    return _found_by(Sentinels(service, sentinels), primary)


def _service_and_database(path: str) -> tuple[str, str]:
    """Take SERVICE/DB apart, and DB/SERVICE, which python-socketio's own managers want."""
    parts = [unquote(part) for part in path.split("/") if part]
    named = [part for part in parts if not part.isdecimal()]
    numbers = [part for part in parts if part.isdecimal()]
    if len(named) != 1 or len(numbers) > 1:
        raise ValueError(f"it has to name one service, and may name one database; expected {_SENTINEL_FORM}")
    return named[0], numbers[0] if numbers else "0"


def _with_port(host: str) -> str:
    return host if re.search(r":\d*$", host.rpartition("]")[2]) else f"{host}:{SENTINEL_PORT}"


def _of_sentinel_pool(endpoint: Endpoint, pool: Any) -> Endpoint:  # of two libraries and two colours
    if not pool.is_master:
        raise ConfigurationError(
            "this client reads from replicas: expected one that master_for(SERVICE) makes"
        )
    manager = pool.sentinel_manager
    sentinels = [endpoint_of_client(each) for each in manager.sentinels]
    # The last is of redis-py alone, and has no public name.
    host = getattr(manager, "_force_master_ip", None)
    return _found_by(Sentinels(pool.service_name, sentinels, manager.min_other_sentinels, host), endpoint)


def _of_cluster_url(scheme: str, rest: str) -> Endpoint:
    """Read what stands behind the scheme; raises `ValueError`."""
    address, mark, query = rest.partition("?")
    address, _, database = address.partition("/")
    credentials, at, hosts = address.rpartition("@")
    if database.strip("/") not in {"", "0"}:
        raise ValueError(f"a cluster has no database but 0; expected {_CLUSTER_FORM}")
    if not all(hosts.split(",")):
        raise ValueError(f"a host is missing; expected {_CLUSTER_FORM}")
    each = [_of_plain_url(f"{scheme}://{credentials}{at}{host}{mark}{query}") for host in hosts.split(",")]
    return _of_nodes(each[0], [Node(one.options["host"], one.options.get("port", 6379)) for one in each])


def _of_cluster_client(client: Any) -> Endpoint:  # of two libraries and two colours
    manager = client.nodes_manager
    # Asyncio clients have their options in an attribute of their own, and the class among them.
    options: Mapping[str, Any] = getattr(client, "connection_kwargs", None) or manager.connection_kwargs
    made_of = options.get("connection_class") or sync_connections.Connection
    if options.get("ssl"):
        made_of = sync_connections.SSLConnection
    wanted = {
        name: options[name] for name in options if name in _OF_CLUSTER_CLIENTS or name.startswith("ssl_")
    }
    nodes = [Node(node.host, int(node.port)) for node in manager.startup_nodes.values()]
    return _of_nodes(_endpoint(made_of, wanted), nodes, getattr(manager, "address_remap", None))


def _of_nodes(
    endpoint: Endpoint, nodes: Sequence[Node], remap: Callable[[Address], Address] | None = None
) -> Endpoint:
    options = {name: value for name, value in endpoint.options.items() if name not in {"host", "port", "db"}}
    place = f"the cluster of {', '.join(map(str, nodes))}"
    return replace(endpoint, place=place, options=options, cluster=Cluster(tuple(nodes), remap))


def _found_by(sentinels: Sentinels, primary: Endpoint) -> Endpoint:
    options = {name: value for name, value in primary.options.items() if name not in {"host", "port"}}
    asked = ", ".join(each.place for each in sentinels.endpoints)
    place = f"{sentinels.service} (sentinels {asked})"
    return replace(primary, place=place, options=options, sentinels=sentinels)


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
