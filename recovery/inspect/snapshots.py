"""Snapshots: a store's sessions and entries in one file, written by `write_snapshot` and read as a source.

Writing takes memory for one block at a time, and so does reading: the index says which block holds an offset.
A snapshot of a live store is not taken at one moment: sessions first, then the stream up to where it was by
then, so that every position that a session names is in it.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from recovery.errors import SourceError
from recovery.inspect.records import StoredSession
from recovery.inspect.snapshot_format import (
    BEGIN,
    VERSION,
    BlockKind,
    BlockPlace,
    packed_entry,
    packed_session,
    read_block,
    read_tail,
    unpacked_entry,
    unpacked_session,
    write_block,
    write_tail,
)
from recovery.inspect.sources import Source, entries_between
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.packing import is_list, is_map
from recovery.records import Entry, Epoch, Pid, ServerId, StreamState

__all__ = ["Selection", "SnapshotSource", "Written", "write_snapshot"]

T = TypeVar("T")

_BLOCK_BYTES = 2**20  # of what is in a block, before it is compressed


def _every(_stored: StoredSession) -> bool:
    return True


def _as_it_is(entry: Entry) -> Entry:
    return entry


def _unchanged(stored: StoredSession) -> StoredSession:
    return stored


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes into a snapshot.

    Attributes:
        after: entries after this offset.
        upto: entries up to this one; None for the end.
        wanted: which sessions.
        redact_session: applied to each session.
        redact_entry: applied to each entry.
        note: what was left out or changed, for whoever reads it; "" for nothing.
    """

    after: Offset = ORIGIN
    upto: Offset | None = None
    wanted: Callable[[StoredSession], bool] = _every
    redact_session: Callable[[StoredSession], StoredSession] = _unchanged
    redact_entry: Callable[[Entry], Entry] = _as_it_is
    note: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a snapshot holds."""

    sessions: int
    entries: int
    size: int


@dataclass(slots=True)
class _Blocks:
    """Where blocks were written."""

    sessions: list[BlockPlace] = field(default_factory=list[BlockPlace])
    entries: list[BlockPlace] = field(default_factory=list[BlockPlace])


def write_snapshot(source: Source, path: Path, selection: Selection | None = None) -> Written:
    """Write a snapshot of a source; the file is there when it is whole, and not before.

    Raises:
        SourceError: the file cannot be written.

    Example::

        write_snapshot(open_source("redis://localhost"), Path("incident.snapshot"))
    """
    selection = selection or Selection()
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds pids
        try:
            with os.fdopen(descriptor, "wb") as file:
                written = _write(source, file, selection)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise SourceError(f"cannot write {path}: {error.strerror}") from error
    return written


def _write(source: Source, file: BinaryIO, selection: Selection) -> Written:
    file.write(BEGIN)
    write_block(file, BlockKind.HEADER, {"version": VERSION, "from": source.place, "note": selection.note})
    blocks, servers = _Blocks(), set[ServerId]()
    for sessions in _by_size(_selected(source, selection, servers), _size_of_session):
        position = write_block(file, BlockKind.SESSIONS, [packed_session(each) for each in sessions])
        blocks.sessions.append(BlockPlace(position, len(sessions)))
    state = source.stream()
    upto = selection.upto or (None if state is None else state.last)
    found = () if state is None else entries_between(source, selection.after, upto)
    for entries in _by_size(map(selection.redact_entry, found), Entry.size):
        position = write_block(file, BlockKind.ENTRIES, [packed_entry(each) for each in entries])
        blocks.entries.append(
            BlockPlace(position, len(entries), first=entries[0].offset, last=entries[-1].offset)
        )
    index = write_block(file, BlockKind.INDEX, _index(source, state, blocks, servers))
    write_tail(file, index)
    return Written(
        sessions=sum(place.count for place in blocks.sessions),
        entries=sum(place.count for place in blocks.entries),
        size=file.tell(),
    )


def _selected(source: Source, selection: Selection, servers: set[ServerId]) -> Iterator[StoredSession]:
    for stored in source.sessions():
        if selection.wanted(stored):
            if "holder" in stored.claim:
                servers.add(ServerId(stored.claim["holder"].decode(errors="replace")))
            yield selection.redact_session(stored)


def _index(
    source: Source, state: StreamState | None, blocks: _Blocks, servers: Iterable[ServerId]
) -> dict[str, object]:
    batches = {server: source.last_batch_ms(server) for server in sorted(servers)}
    return {
        "taken_ms": source.now_ms() if state is None else state.now_ms,
        "epoch": None if state is None else state.epoch,
        "sessions": [[place.position, place.count] for place in blocks.sessions],
        "entries": [
            [place.position, place.count, str(place.first), str(place.last)] for place in blocks.entries
        ],
        "servers": {server: at for server, at in batches.items() if at is not None},
    }


def _size_of_session(stored: StoredSession) -> int:
    return (stored.size or 0) + 300


def _by_size(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Put items into groups that are as large as a block."""
    group: list[T] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= _BLOCK_BYTES:
            yield group
            group, total = [], 0
    if group:
        yield group


class SnapshotSource:
    """A snapshot as a source; see `recovery.inspect.sources.Source`. May be used by several threads.

    Attributes:
        note: what was left out or changed when it was written.

    Raises:
        SourceError: the file is no snapshot, is damaged, or is newer than this release reads.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self.is_live = False
        self._lock = threading.Lock()
        self._held: tuple[int, tuple[Entry, ...]] = (-1, ())  # the block that was read last
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        try:
            self._read_outline()
        except SourceError as error:
            self._file.close()
            raise SourceError(f"{path}: {error}") from error

    def _read_outline(self) -> None:
        index_at = read_tail(self._file)
        header = _map(read_block(self._file, len(BEGIN), BlockKind.HEADER))
        if header.get("version") != VERSION:
            raise SourceError(f"it has version {header.get('version')!r}, this release reads {VERSION}")
        self.note = str(header.get("note", ""))
        index = _map(read_block(self._file, index_at, BlockKind.INDEX))
        try:
            self._taken_ms = int(index["taken_ms"])
            self._epoch = None if index["epoch"] is None else Epoch(str(index["epoch"]))
            self._sessions = [BlockPlace(int(at), int(count)) for at, count in index["sessions"]]
            self._entries = [_entry_place(each) for each in index["entries"]]
            self._servers = {str(name): int(at) for name, at in _map(index["servers"]).items()}
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError("the snapshot is damaged: its index cannot be read") from error

    def now_ms(self) -> int:
        """The moment at which it was taken."""
        return self._taken_ms

    def stream(self) -> StreamState | None:
        """Both ends of the part of the stream that is in it."""
        if self._epoch is None or not self._entries:
            return None
        first, last = self._entries[0].first, self._entries[-1].last
        assert first is not None and last is not None, "places of entries have both"
        return StreamState(self._epoch, first, last, self._taken_ms)

    def length(self) -> int:
        """Number of entries in it."""
        return sum(place.count for place in self._entries)

    def read(self, after: Offset, count: int, *, wait_ms: int = 0) -> tuple[Entry, ...]:  # noqa: ARG002 - nothing to wait for
        """Entries after an offset, ascending."""
        begin = bisect_right(self._entries, after, key=_last_of)
        found = (
            entry
            for number in range(begin, len(self._entries))
            for entry in self._block(number)
            if entry.offset > after
        )
        return tuple(islice(found, count))

    def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
        """Entries at or before an offset, descending."""
        begin = bisect_left(self._entries, upto, key=_last_of)
        found = (
            entry
            for number in range(min(begin, len(self._entries) - 1), -1, -1)
            for entry in reversed(self._block(number))
            if entry.offset <= upto
        )
        return tuple(islice(found, count))

    def session(self, pid: Pid) -> StoredSession | None:
        """One session; looks through all."""
        return next((each for each in self.sessions(pid) if each.pid == pid), None)

    def sessions(self, prefix: str = "") -> Iterator[StoredSession]:
        """All sessions whose pid begins so."""
        for place in self._sessions:
            with self._lock:
                block = read_block(self._file, place.position, BlockKind.SESSIONS)
            for value in _list(block):
                stored = unpacked_session(value)
                if stored.pid.startswith(prefix):
                    yield stored

    def last_batch_ms(self, server: ServerId) -> int | None:
        """When a server last appended something before it was taken."""
        return self._servers.get(server)

    def facts(self) -> Mapping[str, str]:
        """Nothing: a file has no server."""
        return {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _block(self, number: int) -> tuple[Entry, ...]:
        with self._lock:
            if self._held[0] != number:
                block = read_block(self._file, self._entries[number].position, BlockKind.ENTRIES)
                self._held = number, tuple(map(unpacked_entry, _list(block)))
            return self._held[1]


def _entry_place(value: Any) -> BlockPlace:  # out of a file
    position, count, first, last = value
    return BlockPlace(int(position), int(count), parse_offset(first), parse_offset(last))


def _last_of(place: BlockPlace) -> Offset:
    assert place.last is not None, "places of entries have both"
    return place.last


def _map(value: object) -> Mapping[Any, Any]:
    if not is_map(value):
        raise SourceError("the snapshot is damaged: expected a map")
    return value


def _list(value: object) -> list[Any]:
    if not is_list(value):
        raise SourceError("the snapshot is damaged: expected a list")
    return value
