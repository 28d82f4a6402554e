"""The store under test, of either colour, and a hand that does to it what no command can.

Tests are written once, as coroutines; a store for threads is called in a thread.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import freezegun
from redis import asyncio as aredis

from recovery.commands import AsyncStore, Command, GetStream, Store
from recovery.errors import StoreError
from recovery.offsets import Offset
from recovery.records import Pid
from recovery.stores import open_async_store, open_store
from recovery.stores.memory import MemoryState
from recovery.stores.redis.keys import Keys
from tests.waiting import async_wait_until

__all__ = ["KEYS", "ClusterHand", "Hand", "MemoryHand", "RedisHand", "Subject", "hand_of", "opened"]

R = TypeVar("R")

KEYS = Keys("socket.io", "sio:session:")


class Subject:
    """One store; its methods are those of `AsyncStore`, whatever its colour."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def execute(self, command: Command[R]) -> R:
        return await self._store.execute(command)

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        return await self._store.execute_many(commands)

    async def close(self) -> None:
        await self._store.close()


class InThreads:
    """A synchronous store as an asyncio store: each call in a thread."""

    def __init__(self, store: Store) -> None:
        self._sync = store

    async def execute(self, command: Command[R]) -> R:
        return await asyncio.to_thread(self._sync.execute, command)

    async def execute_many(self, commands: Sequence[Command[R]]) -> list[R | StoreError]:
        return await asyncio.to_thread(self._sync.execute_many, commands)

    async def close(self) -> None:
        await asyncio.to_thread(self._sync.close)


def opened(source: Any, colour: str) -> Subject:
    """Open a store with the names of `KEYS`."""
    names = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}
    if colour == "async":
        return Subject(open_async_store(source, **names))
    return Subject(InThreads(open_store(source, **names)))


class Hand(Protocol):
    """What happens to a store from outside."""

    async def delete_stream(self) -> None:
        """Lose the stream, and nothing else."""

    async def lose_writes(self, after: Offset) -> None:
        """Lose the stream's entries after an offset, as a failover to a replica that lagged behind does."""

    async def lose_session(self, pid: Pid) -> None:
        """Evict a session's value, but not its claim."""

    async def age_stream(self, subject: Subject, ms: int) -> None:
        """Make everything in the stream older. `ms` is small: a server's clock cannot be turned."""

    async def age_sessions(self, ms: int) -> None:
        """Make every session older, and the list of deadlines."""

    async def turn_clock_back(self, ms: int) -> None:
        """Let the newest entry lie in the future."""

    async def waiting_reads(self) -> int:
        """Tell how many reads wait for something to be appended."""
        ...

    async def close(self) -> None:
        """Let go of what the hand holds."""


class MemoryHand:
    """Turns the process's clock."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._frozen: Any = None  # freezegun's controls
        self._freezer: Any = None

    async def delete_stream(self) -> None:
        self._state.delete_stream()

    async def lose_writes(self, after: Offset) -> None:
        self._state.lose_writes(after)

    async def lose_session(self, pid: Pid) -> None:
        self._state._claims[pid].value = None

    async def age_stream(self, subject: Subject, ms: int) -> None:
        self._turn(ms)

    async def age_sessions(self, ms: int) -> None:
        self._turn(ms)

    async def turn_clock_back(self, ms: int) -> None:
        self._turn(-ms)

    async def waiting_reads(self) -> int:
        return len(self._state._waiters)

    async def close(self) -> None:
        if self._freezer is not None:
            self._freezer.stop()

    def _turn(self, ms: int) -> None:
        if self._freezer is None:
            self._freezer = freezegun.freeze_time(real_asyncio=True, ignore=["_pytest"])
            self._frozen = self._freezer.start()
        self._frozen.tick(ms / 1000)


class RedisHand:
    """Changes what lies in the server, whose clock it cannot turn."""

    def __init__(self, url: str) -> None:
        self.client: Any = self._connected(url)  # its types are those of both colours at once

    def _connected(self, url: str) -> Any:
        return aredis.Redis.from_url(url)

    async def delete_stream(self) -> None:
        await self.client.delete(KEYS.stream)

    async def lose_writes(self, after: Offset) -> None:
        kept = await self.client.xrange(KEYS.stream, max=str(after))
        await self.client.delete(KEYS.stream)
        for id_, fields in kept:
            await self.client.xadd(KEYS.stream, fields, id=id_)
        await self.client.hset(KEYS.epoch, "last", str(after))

    async def lose_session(self, pid: Pid) -> None:
        await self.client.delete(KEYS.session(pid))

    async def age_stream(self, subject: Subject, ms: int) -> None:
        state = await subject.execute(GetStream())
        assert state is not None
        until = state.now_ms + ms

        async def has_passed() -> bool:
            now = await subject.execute(GetStream())
            return now is not None and now.now_ms >= until

        await async_wait_until(has_passed)

    async def age_sessions(self, ms: int) -> None:
        async for claim in self.client.scan_iter(match="{*}:claim"):
            for field in ("deadline", "since", "claimed", "leased"):
                if await self.client.hexists(claim, field):
                    await self.client.hincrby(claim, field, -ms)
            await self._expire_sooner(claim, ms)
            await self._expire_sooner(claim.removeprefix(b"{").removesuffix(b"}:claim"), ms)
        for pid in await self.client.zrange(KEYS.deadlines, 0, -1):
            await self.client.zincrby(KEYS.deadlines, -ms, pid)
        await self._expire_sooner(KEYS.deadlines.encode(), ms)

    async def turn_clock_back(self, ms: int) -> None:
        future = Offset(int(time.time() * 1000) + ms, 7)
        await self.client.xadd(KEYS.stream, {"from": "the future"}, id=str(future))

    async def waiting_reads(self) -> int:
        return int((await self.client.info("clients"))["blocked_clients"])

    async def hang_up(self) -> None:
        """End all connections but the hand's own."""
        await self.client.client_kill_filter(_type="normal", skipme=True)

    async def count_keys(self) -> int:
        return int(await self.client.dbsize())

    async def close(self) -> None:
        await self.client.aclose()

    async def _expire_sooner(self, key: bytes, ms: int) -> None:
        left = await self.client.pttl(key)
        if left > 0:
            await self.client.pexpire(key, left - ms)  # a time that has passed deletes the key


class ClusterHand(RedisHand):
    """The same on a cluster: what is asked of a server is asked of all nodes with slots."""

    async def waiting_reads(self) -> int:
        return sum(int(info["blocked_clients"]) for info in await self.on_all("INFO", "clients"))

    async def hang_up(self) -> None:
        await self.on_all("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def count_keys(self) -> int:
        return sum(await self.on_all("DBSIZE"))

    async def on_all(self, *command: str) -> list[Any]:  # its shape depends on the command
        """Send a command to each node with slots."""
        await self.client.initialize()
        return [await node.execute_command(*command) for node in self.client.get_primaries()]

    def _connected(self, url: str) -> Any:
        first = url.removeprefix("redis+cluster://").partition(",")[0]
        return aredis.RedisCluster.from_url(f"redis://{first}")


def hand_of(url: str) -> RedisHand:
    """The hand for a server or a cluster."""
    return ClusterHand(url) if "+cluster://" in url else RedisHand(url)
