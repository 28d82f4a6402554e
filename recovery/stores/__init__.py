"""Stores, by URL.

===================================================  =================================================
``memory://``                                        private to the store object; one process, nothing
                                                     durable, nothing running
``memory://NAME``                                    shared by all stores of this name in this process
``redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]``       Redis 6.2 or later, Valkey 7.2 or later
``rediss://...``                                     the same over TLS
``unix://[[USER:]PASSWORD@]/PATH[?db=N]``            the same over a Unix socket
``valkey://``, ``valkeys://``, ``valkey+unix://``    other spellings of these three
``redis+sentinel://[[USER:]PASSWORD@]HOST[:PORT]``   the primary that these sentinels tell, and the next one
``[,HOST[:PORT]...]/SERVICE[/DB]``                   after a failover; what stands before @ is for the primary
``rediss+sentinel://...``                            the same over TLS, to the sentinels, too
``valkey+sentinel://``, ``valkeys+sentinel://``      other spellings of these two
``redis+cluster://[[USER:]PASSWORD@]HOST[:PORT]``    the Redis Cluster that these are nodes of; one of them
``[,HOST[:PORT]...]``                                has to answer, and tells of the others
``rediss+cluster://...``                             the same over TLS
``valkey+cluster://``, ``valkeys+cluster://``        other spellings of these two
``embedded://``                                      a private Valkey server that ends with this process
``embedded://PATH``                                  the same, with its data kept in the folder PATH
===================================================  =================================================

In place of a URL: a client of redis-py or valkey-py of either colour (its address and credentials are
copied, it is never used or changed), or a store of one's own.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from recovery.commands import AsyncStore, Store
from recovery.errors import ConfigurationError
from recovery.stores.memory import AsyncMemoryStore, MemoryState, MemoryStore, shared_state

if TYPE_CHECKING:  # redis-py is imported when a store needs it
    from recovery.stores.redis.endpoints import Endpoint

__all__ = ["Client", "endpoint_of", "open_async_store", "open_store", "renewed"]

_FORMS = (
    "memory://, memory://NAME, redis://HOST:PORT/DB, rediss://..., unix:///PATH, valkey://..., valkeys://...,"
    " valkey+unix://..., redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB,"
    " redis+cluster://HOST:PORT,HOST:PORT, embedded:// and embedded://PATH"
)


class Client(Protocol):
    """A client of redis-py or valkey-py, of either colour."""

    @property
    def connection_pool(self) -> object:
        """Where the client keeps its address and credentials."""
        ...


def open_store(source: str | Store | Client, *, stream_name: str, session_key_prefix: str) -> Store:
    """Open a store for a synchronous server. Nothing is connected yet.

    Args:
        source: a URL, a client, or a store; see the module.
        stream_name: key of the stream, the same for all servers of a cluster.
        session_key_prefix: what the keys of sessions begin with.

    Raises:
        ConfigurationError: the source is none of these, or not supported.

    >>> store = open_store("memory://", stream_name="socket.io", session_key_prefix="sio:session:")
    >>> store.close()
    """
    if not isinstance(source, str) and _is_store(source, wants_coroutines=False):
        return cast(Store, source)  # isinstance cannot check a protocol's signatures
    if isinstance(source, str) and _scheme(source) == "memory":
        return MemoryStore(_memory_state(source))
    from recovery.stores.redis.keys import Keys  # noqa: PLC0415  # see TYPE_CHECKING
    from recovery.stores.redis.store import RedisStore  # noqa: PLC0415

    keys = Keys(stream_name, session_key_prefix)
    if isinstance(source, str) and _scheme(source) == "embedded":
        from recovery.stores.embedded import EmbeddedServer  # noqa: PLC0415

        server = EmbeddedServer(_rest(source) or None)
        return RedisStore(endpoint_of(server.url), keys, on_close=server.stop)
    return RedisStore(endpoint_of(source), keys)


def open_async_store(
    source: str | AsyncStore | Client, *, stream_name: str, session_key_prefix: str
) -> AsyncStore:
    """Open a store for an asyncio server; see `open_store`. May be called without an event loop.

    >>> store = open_async_store("memory://", stream_name="socket.io", session_key_prefix="sio:session:")
    """
    if not isinstance(source, str) and _is_store(source, wants_coroutines=True):
        return cast(AsyncStore, source)  # isinstance cannot check a protocol's signatures
    if isinstance(source, str) and _scheme(source) == "memory":
        return AsyncMemoryStore(_memory_state(source))
    from recovery.stores.redis.keys import Keys  # noqa: PLC0415  # see TYPE_CHECKING
    from recovery.stores.redis.store import AsyncRedisStore  # noqa: PLC0415

    keys = Keys(stream_name, session_key_prefix)
    if isinstance(source, str) and _scheme(source) == "embedded":
        from recovery.stores.embedded import EmbeddedServer  # noqa: PLC0415

        server = EmbeddedServer(_rest(source) or None)

        async def stop() -> None:
            await asyncio.to_thread(server.stop)

        return AsyncRedisStore(endpoint_of(server.url), keys, on_close=stop)
    return AsyncRedisStore(endpoint_of(source), keys)


def renewed(store: AsyncStore) -> AsyncStore:
    """Return what a forked process uses in place of a store of its parent, which may have connections.

    A store of one's own has to see to that itself, in a method ``renewed()``, or has nothing to share.
    """
    renew: Callable[[], AsyncStore] | None = getattr(store, "renewed", None)
    return store if renew is None else renew()


def _is_store(source: object, *, wants_coroutines: bool) -> bool:
    """Tell whether the caller passed a store of the right colour.

    Raises:
        ConfigurationError: it is a store of the other colour.
    """
    execute_many = getattr(source, "execute_many", None)
    if execute_many is None:
        return False
    if inspect.iscoroutinefunction(execute_many) is not wants_coroutines:
        name = type(source).__qualname__
        raise ConfigurationError(
            f"{name} has methods that block: expected a store with coroutines (recovery.commands.AsyncStore),"
            " as the managers of both colours want one"
            if wants_coroutines
            else f"{name} has coroutines: expected a store that blocks (recovery.commands.Store)"
        )
    return True


def _memory_state(url: str) -> MemoryState | None:
    name = _rest(url)
    return shared_state(name) if name else None


def endpoint_of(source: object) -> "Endpoint":
    """Read where a store on a Redis or Valkey server is, from its URL or a client.

    Raises:
        ConfigurationError: it is neither, or one that is not supported.

    >>> endpoint_of("redis://localhost:7000").place
    'localhost:7000'
    """
    from recovery.stores.redis import endpoints  # noqa: PLC0415  # see TYPE_CHECKING

    if not isinstance(source, str):
        return endpoints.endpoint_of_client(source)
    scheme = _scheme(source)
    shown = endpoints.masked(source)
    if scheme not in endpoints.SCHEMES:
        raise ConfigurationError(f"unknown store URL {shown!r}; expected one of {_FORMS}")
    return endpoints.endpoint_of_url(source)


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else ""


def _rest(url: str) -> str:
    return url.partition("://")[2]
