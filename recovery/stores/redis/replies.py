"""Replies, read out of bytes: in place of redis-py's parser for asyncio, where hiredis is not installed.

redis-py (8.1) awaits each line and each value by itself: an entry of the stream has a dozen, and half of a
reader's time went there. Here a reply is read without waiting, as far as it has come; what has not is waited
for, and reading goes on where it was. What comes out is the same.
"""

from typing import Any

from redis.asyncio import connection as connections
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import InvalidResponse

__all__ = ["Parser", "Replies", "parser_class"]

_CHUNK = 1 << 16
_NOTHING = object()

# The parsers of redis-py have private names only; which one is the default tells whether hiredis is there.
_Stock: Any = getattr(connections, "_AsyncRESP2Parser", None)


def parser_class() -> Any:
    """The class of parsers for connections that speak RESP2."""
    return connections.DefaultParser if _Stock is None or _has_hiredis() else Parser


def _has_hiredis() -> bool:
    return "Hiredis" in getattr(connections.DefaultParser, "__name__", "")


class Replies:
    r"""Reads replies out of what comes in, piece by piece.

    >>> replies = Replies()
    >>> replies.feed(b"*2\r\n:1\r\n$5\r\nhel")
    >>> replies.next() is None
    True
    >>> replies.feed(b"lo\r\n")
    >>> replies.next()
    ([1, b'hello'],)
    """

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._open: list[tuple[list[Any], int]] = []  # arrays that are not complete, and their lengths
        self.lacking = 0
        """Bytes that are certainly missing of what was begun."""

    def feed(self, data: bytes) -> None:
        """Take what came in."""
        self._data = self._data[self._at :] + data
        self._at = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come in of a reply that was not returned."""
        return not self._open and self._at == len(self._data)

    def next(self) -> tuple[Any] | None:
        """Return the next reply, alone in a tuple; None if it has not come whole.

        An error stands as its text, in an `Exception`, where it came.
        """
        while (value := self._value()) is not _NOTHING:
            while self._open:
                items, length = self._open[-1]
                items.append(value)
                if len(items) < length:
                    break
                value = self._open.pop()[0]
            else:
                return (value,)
        return None

    def _value(self) -> Any:
        """Return the next value that is no array with something in it; those are opened on the way."""
        data, at = self._data, self._at
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                self._at, self.lacking = at, 1
                return _NOTHING
            kind, text = data[at : at + 1], data[at + 1 : end]
            at = end + 2
            if kind == b"$":
                return self._bulk(end - len(text) - 1, at, int(text))
            if kind != b"*" or int(text) <= 0:
                self._at = at
                return _simple(kind, text)
            self._open.append(([], int(text)))
            self._at = at

    def _bulk(self, begin: int, at: int, size: int) -> Any:
        if size < 0:
            self._at = at
            return None
        end = at + size
        if len(self._data) < end + 2:
            self._at, self.lacking = begin, end + 2 - len(self._data)
            return _NOTHING
        self._at = end + 2
        return self._data[at:end]


def _simple(kind: bytes, text: bytes) -> Any:
    if kind == b":":
        return int(text)
    if kind == b"+":
        return text
    if kind == b"-":
        return _ReplyError(text.decode(errors="replace"))
    if kind == b"*":
        return [] if int(text) == 0 else None
    raise InvalidResponse(f"no reply begins with {kind!r}")


class _ReplyError(Exception):
    """An error of the server, as text."""


_Base: Any = _Stock or object


class Parser(_Base):  # type: ignore[misc]  # whatever redis-py has
    """redis-py's parser, with another way to read."""

    def on_connect(self, connection: Any) -> None:
        """Begin with a stream."""
        self._replies = Replies()
        _Base.on_connect(self, connection)

    async def can_read(self) -> bool:
        """Whether bytes that nobody asked for have come, or the end."""
        return not self._replies.is_idle or bool(await _Base.can_read(self))

    async def read_response(self, *_args: Any, **_kwargs: Any) -> Any:  # of redis-py; nothing is decoded here
        """Return the next reply, or an error that stands in its place."""
        if not self._connected:
            raise LostError("the connection was closed")
        while (reply := self._replies.next()) is None:
            data = await self._stream.read(max(_CHUNK, self._replies.lacking))
            if not data:
                raise LostError("the server closed the connection")
            self._replies.feed(data)
        return self._meant(reply[0])

    def _meant(self, value: Any) -> Any:
        if not isinstance(value, _ReplyError):
            return value
        error = self.parse_error(str(value))
        if isinstance(error, LostError):
            raise error
        return error
