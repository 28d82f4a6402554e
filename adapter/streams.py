"""The streams of one process, and the runtime of each, made when it is first needed.

1. A namespace is in one stream, which never changes (`recovery.streams`). Its offsets, its epoch, its replay
   log and the claims of its clients are those of that stream.
2. There is no order between two streams, and a fault of one does not touch the other.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial

from adapter.seams import EioPacket
from recovery.aio.runtime import Runtime
from recovery.commands import AsyncStore
from recovery.errors import ConfigurationError
from recovery.settings import Settings
from recovery.streams import HasStreams, stream_name_of

__all__ = ["Streams"]

_NAMES_KEPT = 1024  # clients may name namespaces, where an application accepts any

Make = Callable[[AsyncStore], Runtime[EioPacket]]


class Streams:
    """Runtimes by namespace.

    Args:
        make: makes the runtime of a stream.

    Raises:
        ConfigurationError: the store has one stream only, and more are wanted.
    """

    def __init__(self, store: AsyncStore, settings: Settings, make: Make) -> None:
        self._store = store
        self._several = store if isinstance(store, HasStreams) and settings.stream_count > 1 else None
        if self._several is None and settings.stream_count > 1:
            raise ConfigurationError(
                f"stream_count is {settings.stream_count}, but {type(store).__qualname__} has no method"
                " stream(name) that opens another stream (recovery.streams.HasStreams): use 1, or add it"
            )
        self._make = make
        self._runtimes: dict[str, Runtime[EioPacket]] = {}
        self._stores = [store]
        name_of = partial(
            stream_name_of, stream_name=settings.stream_name, stream_count=settings.stream_count
        )
        self._name_of = lru_cache(_NAMES_KEPT)(name_of)

    def of(self, namespace: str) -> Runtime[EioPacket]:
        """The runtime of a namespace's stream."""
        name = self._name_of(namespace)
        if name not in self._runtimes:
            self._runtimes[name] = self._make(self._open(name))
        return self._runtimes[name]

    def made(self) -> tuple[Runtime[EioPacket], ...]:
        """Those that were needed yet; in any thread."""
        return tuple(self._runtimes.values())

    async def close(self) -> None:
        """Write what is left to write, and close the connections to the store."""
        await asyncio.gather(*(runtime.close() for runtime in self._runtimes.values()))
        await self.drop()

    async def drop(self) -> None:
        """Close the connections to the store, and nothing else."""
        for store in reversed(self._stores):
            await store.close()

    def _open(self, name: str) -> AsyncStore:
        if self._several is None:
            return self._store
        store = self._several.stream(name)
        self._stores.append(store)
        return store
