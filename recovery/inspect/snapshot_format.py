"""The format of a snapshot: versioned, compressed MessagePack (``docs/reference/snapshot-format.md``).

A snapshot is a row of blocks between two marks, written from front to back:

1. the mark ``SIORECOV``;
2. blocks: a letter for their kind, four bytes for their length (most significant first), and so many bytes of
   zlib, which carries a checksum; inside is one MessagePack value;
3. eight bytes for the place of the last block, and the mark ``SIO-END.``.

The first block is the header and the last one the index, so a file that was cut off has no index and is
refused. Whatever is read here may have been written by anybody: it raises `SourceError`, nothing else.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, BinaryIO

from recovery.errors import MalformedError, SourceError
from recovery.inspect.records import CLAIM_FIELDS, StoredSession
from recovery.offsets import Offset, parse_offset
from recovery.packing import is_list, is_map, pack, unpack
from recovery.records import Entry, Pid

__all__ = [
    "BEGIN",
    "END",
    "VERSION",
    "BlockKind",
    "BlockPlace",
    "packed_entry",
    "packed_session",
    "read_block",
    "read_tail",
    "unpacked_entry",
    "unpacked_session",
    "write_block",
    "write_tail",
]

BEGIN = b"SIORECOV"
END = b"SIO-END."
VERSION = 1
"""What this release writes, and the newest that it reads."""

_HEAD = struct.Struct(">cI")
_TAIL = struct.Struct(">Q8s")
_MOST_BLOCK_BYTES = 2**30  # decompressed; a block of ours has a mebibyte, or one large entry


class BlockKind(Enum):
    """What is in a block."""

    HEADER = b"H"
    SESSIONS = b"S"
    ENTRIES = b"E"
    INDEX = b"Z"


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A block of sessions or entries, as the index names it.

    Attributes:
        position: bytes from the begin of the file.
        count: sessions or entries in it.
        first: offset of its first entry; None for sessions.
        last: offset of its last entry.
    """

    position: int
    count: int
    first: Offset | None = None
    last: Offset | None = None


def write_block(file: BinaryIO, kind: BlockKind, value: object) -> int:
    """Write a block; return its position."""
    position = file.tell()
    packed = zlib.compress(pack(value, dates=True), 6)
    file.write(_HEAD.pack(kind.value, len(packed)))
    file.write(packed)
    return position


def read_block(file: BinaryIO, position: int, kind: BlockKind) -> Any:  # what is inside is for the caller
    """Read the block at a position.

    Raises:
        SourceError: there is no such block, or it is damaged.
    """
    try:
        file.seek(position)
    except (OSError, OverflowError, ValueError) as error:  # no file reaches there
        raise SourceError(f"the snapshot is damaged: nothing can be at {position}") from error
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or head[:1] != kind.value:
        raise SourceError(f"the snapshot is damaged: no {kind.name.lower()} at {position}")
    length = _HEAD.unpack(head)[1]
    try:
        expander = zlib.decompressobj()
        plain = expander.decompress(file.read(length), _MOST_BLOCK_BYTES)
        if not expander.eof:
            raise SourceError(f"the snapshot is damaged: the block at {position} is cut off or too large")
        return unpack(plain, dates=True)
    except SourceError:
        raise
    except Exception as error:  # unpackers raise many types
        kind_of_error = type(error).__name__
        raise SourceError(f"the snapshot is damaged: the block at {position}: {kind_of_error}") from error


def write_tail(file: BinaryIO, index_position: int) -> None:
    """Write what a reader looks for first."""
    file.write(_TAIL.pack(index_position, END))


def read_tail(file: BinaryIO) -> int:
    """Return the position of the index.

    Raises:
        SourceError: the file is no snapshot, or was cut off.
    """
    file.seek(0)
    if file.read(len(BEGIN)) != BEGIN:
        raise SourceError("it is no snapshot of socketio-recovery")
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL.size))
    tail = file.read(_TAIL.size)
    if len(tail) < _TAIL.size or not tail.endswith(END):
        raise SourceError("the snapshot is damaged: it was cut off")
    position: int = _TAIL.unpack(tail)[0]
    return position


def packed_entry(entry: Entry) -> list[object]:
    """An entry as a snapshot has it: ``[offset, {field: value}]``."""
    return [str(entry.offset), dict(entry.fields)]


def unpacked_entry(value: object) -> Entry:
    """Read what `packed_entry` wrote; raises `SourceError`."""
    try:
        offset, fields = _list(value)
        return Entry(parse_offset(offset), _bytes_map(fields))
    except (ValueError, TypeError, MalformedError) as error:
        raise SourceError("the snapshot is damaged: an entry cannot be read") from error


def packed_session(stored: StoredSession) -> dict[str, object]:
    """A session as a snapshot has it."""
    return {
        "pid": stored.pid,
        "claim": {name: stored.claim[name] for name in CLAIM_FIELDS if name in stored.claim},
        "value": stored.value,
        "size": stored.size,
        "claim_until_ms": stored.claim_until_ms,
        "value_until_ms": stored.value_until_ms,
        "problem": stored.problem,
    }


def unpacked_session(value: object) -> StoredSession:
    """Read what `packed_session` wrote; raises `SourceError`."""
    try:
        if not is_map(value):
            raise MalformedError("it is no map")
        claim = value["claim"]
        return StoredSession(
            pid=Pid(_typed(value["pid"], str)),
            claim={name: _typed(claim[name], bytes) for name in CLAIM_FIELDS if name in claim},
            value=None if value["value"] is None else _typed(value["value"], bytes),
            size=_number(value["size"]),
            claim_until_ms=_number(value["claim_until_ms"]),
            value_until_ms=_number(value["value_until_ms"]),
            problem=_typed(value["problem"], str),
        )
    except (KeyError, TypeError, MalformedError) as error:
        raise SourceError("the snapshot is damaged: a session cannot be read") from error


def _typed(value: object, kind: type) -> Any:  # of that kind
    if not isinstance(value, kind):
        raise MalformedError(f"expected {kind.__name__}")
    return value


def _number(value: object) -> int | None:
    return None if value is None else _typed(value, int)


def _list(value: object) -> list[Any]:
    if not is_list(value):
        raise MalformedError("expected a list")
    return value


def _bytes_map(value: object) -> Mapping[bytes, bytes]:
    if not is_map(value):
        raise MalformedError("expected a map")
    return {_typed(name, bytes): _typed(each, bytes) for name, each in value.items()}
