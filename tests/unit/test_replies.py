"""Replies are read as redis-py reads them, wherever the network has cut them."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import connection as connections
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import InvalidResponse, ResponseError

from recovery.stores.redis.replies import Parser, Replies

_STOCK: Any = getattr(connections, "_AsyncRESP2Parser", None)
_OURS: Any = Parser
_Encoder: Any = vars(connections)["Encoder"]

_values = st.recursive(
    st.none() | st.integers(-(2**62), 2**62) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def _as_sent(value: object) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    assert isinstance(value, list)
    return b"*%d\r\n" % len(value) + b"".join(map(_as_sent, value))


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(values=st.lists(_values, min_size=1, max_size=4), cuts=st.lists(st.integers(0, 10_000), max_size=8))
@example(values=[[b"", None, []], 0], cuts=list(range(40)))
def test_what_was_sent_is_read_wherever_it_is_cut(values: list[object], cuts: list[int]) -> None:
    reader, read = Replies(), list[object]()
    for piece in _cut(b"".join(map(_as_sent, values)), cuts):
        reader.feed(piece)
        while (reply := reader.next()) is not None:
            read.append(reply[0])
    assert read == values
    assert reader.is_idle


def test_a_reply_that_has_begun_is_known_to_lack_something() -> None:
    reader = Replies()
    reader.feed(b"*1\r\n$100\r\nabc")
    assert reader.next() is None
    assert not reader.is_idle
    assert reader.lacking == 100 + 2 - 3


class _Connection:
    """What a parser needs of one."""

    def __init__(self) -> None:
        self._reader = asyncio.StreamReader()
        self.encoder = _Encoder("utf-8", "strict", decode_responses=False)


def _parser(kind: Any) -> tuple[Any, asyncio.StreamReader]:
    made, connection = kind(socket_read_size=65536), _Connection()
    made.on_connect(connection)
    return made, connection._reader


@pytest.fixture(params=[_STOCK, _OURS], ids=["redis-py", "ours"])
def kind(request: pytest.FixtureRequest) -> Any:
    """A class of parsers: what is said here holds for both."""
    return request.param


async def test_an_error_of_a_command_is_a_reply(kind: Any) -> None:
    parser, stream = _parser(kind)
    stream.feed_data(b"-WRONGTYPE of key\r\n*2\r\n-ERR no\r\n+OK\r\n")
    error = await parser.read_response()
    assert isinstance(error, ResponseError)
    assert "WRONGTYPE of key" in str(error)


async def test_the_end_of_the_stream_is_an_error_even_within_a_reply(kind: Any) -> None:
    parser, stream = _parser(kind)
    stream.feed_data(b"*2\r\n:1\r\n")
    stream.feed_eof()
    with pytest.raises(LostError):
        await parser.read_response()


async def test_what_is_no_reply_is_an_error(kind: Any) -> None:
    parser, stream = _parser(kind)
    stream.feed_data(b"HTTP/1.1 400\r\n")
    with pytest.raises(InvalidResponse):
        await parser.read_response()


async def test_bytes_that_nobody_asked_for_are_seen(kind: Any) -> None:
    parser, stream = _parser(kind)
    assert not await parser.can_read()
    stream.feed_data(b":1\r\n:2\r\n")
    assert await parser.can_read()
    assert await parser.read_response() == 1
    assert await parser.can_read()
    assert await parser.read_response() == 2
    assert not await parser.can_read()


async def test_many_replies_come_one_after_the_other(kind: Any) -> None:
    parser, stream = _parser(kind)
    stream.feed_data(b"".join(map(_as_sent, [[b"a", [1, None]], b"x" * 200_000, []])))
    assert await parser.read_response() == [b"a", [1, None]]
    assert await parser.read_response() == b"x" * 200_000
    assert await parser.read_response() == []


def test_an_error_within_an_array_stands_there_as_text() -> None:
    reader = Replies()
    reader.feed(b"*2\r\n-ERR no\r\n+OK\r\n")
    reply = reader.next()
    assert reply is not None
    error, fine = reply[0]
    assert (str(error), fine) == ("ERR no", b"OK")
