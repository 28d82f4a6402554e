"""A sentinel that tells what a test wants it to tell, as no real one does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

__all__ = ["FakeSentinel", "fake_sentinel"]


class FakeSentinel:
    """One sentinel.

    Attributes:
        port: where it listens.
        tells: port of the primary; None if it knows none.
        others: how many other sentinels it sees.
        asked: how often it was asked where the primary is.
    """

    def __init__(self, tells: int | None) -> None:
        self.port = 0
        self.tells = tells
        self.others = 2
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        try:
            while True:
                words = await _command(reader)
                writer.write(self._answer([word.upper() for word in words]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked has heard enough
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, words: list[bytes]) -> bytes:
        if words[:2] == [b"SENTINEL", b"MASTER"]:
            return _array(b"name", b"main", b"num-other-sentinels", b"%d" % self.others)
        if words[:2] == [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME"]:
            self.asked += 1
            return b"*-1\r\n" if self.tells is None else _array(b"127.0.0.1", b"%d" % self.tells)
        return b"+OK\r\n"


@asynccontextmanager
async def fake_sentinel(tells: int | None) -> AsyncGenerator[FakeSentinel]:
    """Let a sentinel listen while the block runs."""
    made = FakeSentinel(tells)
    serving: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        await made.serve(reader, writer)
        serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1")
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words: list[bytes] = []
    for _ in range(count):
        length = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words


def _array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
