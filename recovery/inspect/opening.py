"""Opening a source: by the URL of a store, or the path of a file."""

from pathlib import Path

from recovery.errors import ConfigurationError
from recovery.inspect.dumps import open_dump
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.server_source import ServerSource
from recovery.inspect.snapshot_format import BEGIN
from recovery.inspect.snapshots import SnapshotSource
from recovery.inspect.sources import Source
from recovery.settings import Settings
from recovery.stores import endpoint_of
from recovery.stores.embedded import EmbeddedServer
from recovery.stores.memory import shared_state
from recovery.stores.redis.endpoints import masked
from recovery.stores.redis.keys import Keys

__all__ = ["open_dump_source", "open_live_source", "open_snapshot_source", "open_source"]

_DEFAULTS = Settings()


def open_source(
    place: str | Path,
    *,
    stream_name: str = _DEFAULTS.stream_name,
    session_key_prefix: str = _DEFAULTS.session_key_prefix,
    database: int = 0,
) -> Source:
    """Open whatever a text names: a store's URL, a snapshot, or a dump.

    Args:
        place: a URL as managers take it (``memory://NAME`` in the process that has it), or a path.
        stream_name: as of the servers; a snapshot has only one.
        session_key_prefix: the same.
        database: of a dump; a URL names its own.

    Raises:
        ConfigurationError: the URL is none, or what it needs is not installed.
        SourceError: the file is neither, is damaged, or is too new.
        StoreUnavailableError: nobody answers there.

    >>> source = open_source("memory://docs")
    >>> list(source.sessions())
    []
    """
    keys = Keys(stream_name, session_key_prefix)
    if isinstance(place, str) and "://" in place:
        return open_live_source(place, keys)
    path = Path(place)
    if _is_snapshot(path):
        return open_snapshot_source(path)
    return open_dump_source(path, keys, database=database)


def open_live_source(url: str, keys: Keys) -> Source:
    """Open a store by its URL; raises `ConfigurationError`."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "memory":
        if not rest:
            raise ConfigurationError(
                "memory:// is private to its server; name it (memory://NAME) to look inside"
            )
        return MemorySource(shared_state(rest), url)
    if scheme.lower() == "embedded":
        if not rest:
            raise ConfigurationError("embedded:// forgets everything; name its folder (embedded://PATH)")
        server = EmbeddedServer(rest)
        return ServerSource(endpoint_of(server.url), keys, place=url, on_close=server.stop)
    return ServerSource(endpoint_of(url), keys, place=masked(url))


def open_snapshot_source(path: Path) -> Source:
    """Open a snapshot; raises `SourceError`."""
    return SnapshotSource(path)


def open_dump_source(path: Path, keys: Keys, *, database: int = 0) -> Source:
    """Open a dump of Redis or Valkey; raises `SourceError`."""
    return open_dump(path, keys, database=database)


def _is_snapshot(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(BEGIN)) == BEGIN
