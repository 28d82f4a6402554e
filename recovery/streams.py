"""Which stream a namespace is in, where servers of Node's have several (`streamCount` of their adapter).

Node's adapter 0.3.x hashes the name of a namespace to one of so many streams, ``<streamName>-0``,
``<streamName>-1`` and so on. A manager of this project has one stream.
"""

from recovery.records import Namespace

__all__ = ["stream_name_of"]

_INT_BITS = 32


def stream_name_of(
    namespace: Namespace | str, *, stream_name: str = "socket.io", stream_count: int = 1
) -> str:
    """The setting `stream_name` with which a manager is in the same stream as servers of Node's.

    Args:
        stream_name: Node's ``streamName``.
        stream_count: Node's ``streamCount``.

    Raises:
        ValueError: Node's servers do not read the stream that they write to: the hash is negative, and is
            taken as it is. They do not hear of one another in this namespace either.

    >>> stream_name_of("/", stream_count=3)
    'socket.io-2'
    """
    if stream_count == 1:
        return stream_name
    hashed = _hash(namespace)
    number = abs(hashed) % stream_count
    if hashed < 0 and number:
        raise ValueError(
            f"servers of Node's write {namespace!r} to {stream_name}--{number}, and read no such stream;"
            " use another streamCount, or another name"
        )
    return f"{stream_name}-{number}"


def _hash(text: str) -> int:
    """What `String.hashCode` of Java would be, over the UTF-16 code units of JavaScript."""
    units = text.encode("utf-16-le", "surrogatepass")
    hashed = 0
    for at in range(0, len(units), 2):
        hashed = (hashed * 31 + int.from_bytes(units[at : at + 2], "little")) % 2**_INT_BITS
    return hashed - 2**_INT_BITS if hashed >= 2 ** (_INT_BITS - 1) else hashed
