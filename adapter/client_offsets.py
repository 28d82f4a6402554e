"""What an offset looks like from the client's side: the last argument of an event, if it is one.

A server that gives a pid puts an offset behind the arguments of the events that it can replay. Nothing marks
it as one, and a volatile event of a Node server has none, so its own last string must not be taken for it
(socket.io#5539 is about what the JavaScript client makes of that). The servers that exist write three kinds:

- ``ms-seq``, the id of a stream entry: this project, and Node's redis-streams-adapter 0.3. Here every event
  that asks for no acknowledgement has one, volatile ones too.
- seven digits of base 64, perhaps with a number behind, Node's in-memory adapter (socket.io-adapter 2.5,
  ``contrib/yeast.ts``): the milliseconds since 1970, so a word of seven letters hardly ever reads as today.
- an ObjectId, Node's mongo-adapter: 24 hexadecimal digits, the first eight of them seconds since 1970.

What is none of these stays an argument.
"""

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["offset_of"]

_STREAM_ID = re.compile(
    r"[0-9]{10,20}-[0-9]{1,20}", re.ASCII
)  # a stream's clock counts milliseconds since 1970
_YEAST = re.compile(r"([0-9A-Za-z_-]{7})(?:\.[0-9A-Za-z_-]+)?", re.ASCII)
_OBJECT_ID = re.compile(r"([0-9a-f]{8})[0-9a-f]{16}", re.ASCII)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_CLOCKS_DIFFER = 30 * 86400.0  # seconds by which a server's clock and ours may be apart


def offset_of(arguments: Sequence[Any], now: float) -> str | None:
    """Return the offset at the end of an event's arguments, or None.

    Args:
        arguments: without the event's name.
        now: seconds since 1970.

    >>> offset_of(["news", "1700000000000-3"], now=1.7e9)
    '1700000000000-3'
    >>> offset_of([{"score": 1}, "goodbye"], now=1.7e9) is None
    True
    """
    last = arguments[-1] if arguments else None
    return last if isinstance(last, str) and _is_offset(last, now) else None


def _is_offset(text: str, now: float) -> bool:
    if _STREAM_ID.fullmatch(text):
        return True
    if match := _YEAST.fullmatch(text):
        return abs(_decoded(match[1]) / 1000 - now) < _CLOCKS_DIFFER
    if match := _OBJECT_ID.fullmatch(text):
        return abs(int(match[1], 16) - now) < _CLOCKS_DIFFER
    return False


def _decoded(text: str) -> int:
    value = 0
    for character in text:
        value = value * len(_DIGITS) + _DIGITS.index(character)
    return value
