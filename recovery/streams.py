"""Which stream a namespace is in, as Node's adapter has it, and what a store needs to have several.

Node's adapter 0.3.x hashes the name of a namespace to one of ``streamCount`` streams, ``<streamName>-0``,
``<streamName>-1`` and so on; with one, it is ``<streamName>``.
"""

from typing import Protocol, runtime_checkable

from recovery.commands import AsyncStore

__all__ = ["HasStreams", "stream_name_of"]

_INT_BITS = 32


@runtime_checkable
class HasStreams(Protocol):
    """A store (`recovery.commands.AsyncStore`) that can open further streams."""

    def stream(self, name: str) -> AsyncStore:
        """Open a stream of that name on the same server, with the same sessions. Nothing is connected yet.

        It is closed by itself, and before this one.
        """
        ...


def stream_name_of(namespace: str, *, stream_name: str = "socket.io", stream_count: int = 1) -> str:
    """The name of the stream that a namespace is in.

    A hash may be negative, and Node's servers take it as it is: their ``%`` keeps the sign, and they write to
    a stream ``<streamName>--1`` that none of them reads. Servers of this project read what they write, so
    that only Node's do not hear of one another in such a namespace.

    Args:
        stream_name: the setting, Node's ``streamName``.
        stream_count: the setting, Node's ``streamCount``.

    >>> stream_name_of("/", stream_count=3), stream_name_of("/notifications", stream_count=3)
    ('socket.io-2', 'socket.io--2')
    >>> stream_name_of("/")
    'socket.io'
    """
    if stream_count == 1:
        return stream_name
    hashed = _hash(namespace)
    number = abs(hashed) % stream_count
    return f"{stream_name}-{-number if hashed < 0 else number}"


def _hash(text: str) -> int:
    """What `String.hashCode` of Java would be, over the UTF-16 code units of JavaScript."""
    units = text.encode("utf-16-le", "surrogatepass")
    hashed = 0
    for at in range(0, len(units), 2):
        hashed = (hashed * 31 + int.from_bytes(units[at : at + 2], "little")) % 2**_INT_BITS
    return hashed - 2**_INT_BITS if hashed >= 2 ** (_INT_BITS - 1) else hashed
