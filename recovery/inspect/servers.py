"""The servers of a cluster, asked while it lives: a store does not know who reads from it."""

import asyncio

from recovery.aio.roll_call import Roll, call_the_roll
from recovery.channels import HasChannels
from recovery.errors import ConfigurationError
from recovery.offsets import ORIGIN, Offset
from recovery.settings import Settings
from recovery.stores import open_async_store

__all__ = ["ask_servers"]


def ask_servers(url: str, settings: Settings, *, newest: Offset = ORIGIN, patience: float = 2.0) -> Roll:
    """Ask all servers of a cluster for a word, Node's among them.

    Args:
        url: of the store.
        settings: the servers' own: names, and how their channels are called.
        newest: the last entry of the stream, from which lag is counted.
        patience: seconds to wait for those that do not answer.

    Raises:
        ConfigurationError: the store has no channels, as ``embedded://`` with nobody else on it.
        StoreError: they could not be asked.

    >>> ask_servers("memory://docs", Settings(), patience=0.1)
    Roll(servers=(), silent=0)
    """
    return asyncio.run(_ask(url, settings, newest, patience))


async def _ask(url: str, settings: Settings, newest: Offset, patience: float) -> Roll:
    store = open_async_store(
        url, stream_name=settings.stream_name, session_key_prefix=settings.session_key_prefix
    )
    try:
        if not isinstance(store, HasChannels):
            raise ConfigurationError("this store has no channels by which servers could be asked")
        return await call_the_roll(
            store,
            channel_prefix=settings.channel_prefix or settings.stream_name,
            use_sharded_pubsub=settings.use_sharded_pubsub,
            patience=patience,
            newest=newest,
        )
    finally:
        await store.close()
