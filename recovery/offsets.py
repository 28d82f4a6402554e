"""Offsets: where a packet stands in the one order that all clients of a stream share.

An offset is the id of a stream entry, ``ms-seq``: the milliseconds of the store's clock when the
entry was appended, and a sequence number within that millisecond (Redis, "Entry IDs",
https://redis.io/docs/latest/develop/data-types/streams/). It is ordered as a pair of numbers, never
as text: ``9-0`` comes before ``10-0``.

1. An offset says nothing about which packets a client received; a *position* does ("everything up to
   here"), and is written as the offset of the last entry included.
2. `ORIGIN` precedes every entry.
"""

import re
from typing import NamedTuple

__all__ = ["ORIGIN", "Offset", "parse_offset"]

_MAX_PART = 2**64 - 1  # Redis keeps each half of an entry id in an unsigned 64-bit integer
_PATTERN = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


class Offset(NamedTuple):
    """One place in the stream; compares as a pair of numbers.

    Attributes:
        ms: milliseconds since 1970 on the store's clock, 0 to 2**64 - 1.
        seq: number within that millisecond, 0 to 2**64 - 1.

    >>> Offset(9, 0) < Offset(10, 0)
    True
    >>> str(Offset(1700000000000, 3))
    '1700000000000-3'
    """

    ms: int
    seq: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


ORIGIN = Offset(0, 0)


def parse_offset(text: str | bytes) -> Offset:
    """Read an offset as Redis writes it, and as a client presents it.

    Args:
        text: ``ms-seq`` in decimal digits, each half at most 2**64 - 1. Nothing else is accepted: no
            sign, no space, no missing half.

    Raises:
        ValueError: the text is not an offset. The message does not repeat more than 40 characters
            of it, because it may come from a client.

    >>> parse_offset("1700000000000-3")
    Offset(ms=1700000000000, seq=3)
    """
    decoded = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    match = _PATTERN.fullmatch(decoded)
    if match is None:
        raise ValueError(f"offset {decoded[:40]!r} is not of the form 'ms-seq'")
    offset = Offset(int(match[1]), int(match[2]))
    if max(offset) > _MAX_PART:
        raise ValueError(f"offset {decoded[:40]!r} exceeds 64 bits")
    return offset
