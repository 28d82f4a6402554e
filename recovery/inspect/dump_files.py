"""Dumps of a Redis or Valkey server: what a file says of itself, before any server reads it.

An RDB file begins with ``REDIS`` and four digits, or ``VALKEY`` and three, which are the version of its
format, and goes on with auxiliary fields (who wrote it, and when). An append-only file is such a file with
commands behind it, or commands alone; a *manifest* names the parts that servers from 7.0 on make of one
(https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recovery.errors import SourceError

__all__ = ["DumpFile", "DumpPart", "read_dump_file"]

_HEADER = re.compile(rb"(?:REDIS([0-9]{4})|VALKEY([0-9]{3}))")
_MANIFEST_LINE = re.compile(r"file (?P<name>\S+) seq (?P<seq>[0-9]+) type (?P<type>[bhi])\b")
_STAMP = re.compile(rb"^#TS:([0-9]{1,12})\r?$", re.MULTILINE)
_AUX = 0xFA
_LONGEST_AUX = 2**16  # bytes of an auxiliary field that we look at
_TAIL = 2**16  # bytes at the end of an append-only file that are searched for its last time stamp


@dataclass(frozen=True, slots=True)
class DumpPart:
    """One file, and whether it is the base of an append-only file or an increment."""

    path: Path
    is_base: bool


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A dump as its files describe it.

    Attributes:
        parts: in the order in which they are loaded.
        version: of the RDB format, None if there is no such part.
        is_valkeys: the version is one of Valkey's own (from 9.0 on), not one shared with Redis.
        writer: program and version that wrote it, "" if it does not say.
        at_ms: when it was written; 0 if it does not say.
        is_append_only: its last part may end in the middle of a command.
    """

    parts: tuple[DumpPart, ...]
    version: int | None
    is_valkeys: bool
    writer: str
    at_ms: int
    is_append_only: bool


def read_dump_file(path: Path) -> DumpFile:
    """Read what a dump says of itself.

    Args:
        path: an RDB file, an append-only file, the manifest of one, or the folder that holds a manifest.

    Raises:
        SourceError: it is none of these, or cannot be opened.
    """
    try:
        if path.is_dir():
            return _of_parts(tuple(_parts_of(_manifest_in(path))))
        with path.open("rb") as file:
            begin = file.read(16)
        if begin.startswith(b"file "):
            return _of_parts(tuple(_parts_of(path)))
        if _HEADER.match(begin):
            return _of_parts((DumpPart(path, is_base=True),))
        if begin.startswith((b"*", b"#TS:")):
            return _of_parts((DumpPart(path, is_base=False),))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    raise SourceError(f"{path} is no RDB file, append-only file or manifest of Redis or Valkey")


def _manifest_in(folder: Path) -> Path:
    found = sorted(folder.glob("*.manifest"))
    if len(found) != 1:
        raise SourceError(
            f"the folder {folder} has {len(found)} manifests of append-only files, expected one"
        )
    return found[0]


def _parts_of(manifest: Path) -> Iterator[DumpPart]:
    for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _MANIFEST_LINE.match(line)
        if found is not None and found["type"] != "h":  # history: replaced, and about to be deleted
            yield DumpPart(manifest.parent / Path(found["name"]).name, is_base=found["type"] == "b")


def _of_parts(parts: tuple[DumpPart, ...]) -> DumpFile:
    if not parts:
        raise SourceError("the manifest names no file")
    version, is_valkeys, fields = None, False, dict[str, str]()
    with parts[0].path.open("rb") as file:
        header = _HEADER.match(file.read(9))
        if header is not None:
            version, is_valkeys = int(header[1] or header[2]), header[1] is None
            fields = dict(_auxiliary_fields(file))
    product = "Valkey" if "valkey-ver" in fields else "Redis"
    number = fields.get("valkey-ver") or fields.get("redis-ver")
    written = int(fields["ctime"]) * 1000 if fields.get("ctime", "").isdecimal() else 0
    stamps = [_last_stamp_ms(part.path) for part in parts if not part.is_base]
    return DumpFile(
        parts,
        version,
        is_valkeys,
        writer=f"{product} {number}" if number else "",
        at_ms=max([written, *stamps]),
        is_append_only=not parts[-1].is_base or "1" in (fields.get("aof-base"), fields.get("aof-preamble")),
    )


def _auxiliary_fields(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The fields that stand in front of the data; ends at whatever else comes."""
    while (opcode := file.read(1)) and opcode[0] == _AUX:
        name, value = _string(file), _string(file)
        if name is None or value is None:
            return
        yield name, value


def _string(file: BinaryIO) -> str | None:
    """A string of the RDB format, where it is a plain or a whole number; else None."""
    first = file.read(1)
    if not first:
        return None
    kind, low = first[0] >> 6, first[0] & 0x3F
    if kind == 3:
        if low > 2:
            return None  # compressed: no field that we look for is
        return str(int.from_bytes(file.read(1 << low), "little", signed=True))
    length = low
    if kind == 1:
        length = low << 8 | int.from_bytes(file.read(1), "big")
    elif kind == 2:
        length = int.from_bytes(file.read(4), "big")
    return file.read(length).decode(errors="replace") if length <= _LONGEST_AUX else None


def _last_stamp_ms(path: Path) -> int:
    """The last time stamp in an append-only file (``aof-timestamp-enabled``), 0 if there is none."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        stamps = _STAMP.findall(file.read())
    return int(stamps[-1]) * 1000 if stamps else 0
