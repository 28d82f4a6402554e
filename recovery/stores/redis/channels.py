"""PUB/SUB of a Redis or Valkey server: one connection listens, another sends; see `recovery.channels`.

1. A connection that was lost is made again, and listens to all channels that were asked for.
2. Silence means loss: the caller hears its own heartbeats, or else the connection is not what it seems.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from redis import exceptions

from recovery.channels import Hear
from recovery.errors import StoreError, StoreUnavailableError
from recovery.packing import is_list
from recovery.stores.redis import faults
from recovery.stores.redis.connections import AsyncConnection, async_connection, to_the_end
from recovery.stores.redis.endpoints import Endpoint
from recovery.stores.redis.links import AsyncLink
from recovery.stores.redis.rounds import Call, Exchange
from recovery.stores.redis.sentinels import async_connect

__all__ = ["RedisChannels"]

_PATIENCE = 2.0
"""Seconds that `RedisChannels.subscribe` waits for Redis to confirm; it goes on in the background."""

_LONGEST_PAUSE = 5.0
_FIRST_PAUSE = 0.1
"""Seconds between two attempts to listen, while there is no connection; doubled each time."""

_MESSAGES = frozenset({b"message", b"smessage"})
# What a connection is told besides: "pong", and "sunsubscribe" when a channel's slot goes to another node.
_CONFIRMATIONS = frozenset({b"subscribe", b"ssubscribe"})


class RedisChannels:
    """The channels of one server on a Redis or Valkey server."""

    def __init__(
        self,
        endpoint: Endpoint,
        hear: Hear,
        *,
        sharded: bool,
        silence: float,
        failed: Callable[[StoreError], None],
    ) -> None:
        self._endpoint = endpoint
        self._hear = hear
        self._prefix = "S" if sharded else ""
        self._silence = silence
        self._failed = failed
        self._sender = AsyncLink(endpoint)
        self._sending = asyncio.Lock()
        self._wanted: dict[str, asyncio.Event] = {}  # by channel: whether it is in force
        self._connection: AsyncConnection | None = None
        self._listener: asyncio.Task[None] | None = None
        self._failing: StoreError | None = None
        self._closed = False

    async def publish(self, channel: str, payload: bytes, *, counted: bool = True) -> int:  # noqa: ARG002
        """Send a message; return how many listeners got it, which Redis tells anyway."""
        async with self._sending:
            result = (await self._sender.run([_sent(f"{self._prefix}PUBLISH", channel, payload)]))[0]
        if isinstance(result, StoreError):
            raise result
        return result

    async def subscribe(self, *channels: str) -> None:
        """Listen to channels; see `recovery.channels.Channels.subscribe`."""
        new = [channel for channel in channels if channel not in self._wanted]
        self._wanted.update((channel, asyncio.Event()) for channel in new)
        if self._listener is None and not self._closed:
            # In a context of its own: that of whoever came first would stay in memory as long.
            listening = self._listen()
            self._listener = asyncio.create_task(listening, name="recovery.channels", context=Context())
        elif new and self._connection is not None:
            with contextlib.suppress(*faults.LOST):  # the listener notices, and comes back to them
                await self._ask_for(self._connection, new)
        self._check()
        try:
            async with asyncio.timeout(_PATIENCE):
                for channel in channels:
                    await self._wanted[channel].wait()
        except TimeoutError as exc:
            self._check()
            raise StoreUnavailableError(
                f"channels are not confirmed by {self._endpoint.place} yet", maybe_applied=True
            ) from exc

    def forget(self, channel: str) -> None:
        """Listen to a channel no more, from the next connection on."""
        self._wanted.pop(channel, None)

    async def ping(self) -> None:
        """Make the server say something, where nobody else may."""
        if self._connection is not None:
            with contextlib.suppress(*faults.LOST):  # the listener notices
                packed = self._connection.pack_commands([("PING",)])
                await self._connection.send_packed_command(packed, check_health=False)

    async def close(self) -> None:
        """Stop listening, and drop both connections."""
        self._closed = True
        await self._sender.close()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.cancel()
            await asyncio.wait([listener])

    def _check(self) -> None:
        """Raise what keeps this server from listening, if something is known to."""
        if self._failing is not None:
            raise self._failing

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closed:
            try:
                await self._listen_once()
            except faults.LOST as error:
                self._failing = faults.sent(error, self._endpoint.place)
            except exceptions.RedisError as error:  # it is there, and will not have us
                self._failing = faults.answered(error)
            pause = _FIRST_PAUSE if any(each.is_set() for each in self._wanted.values()) else pause * 2
            for confirmed in self._wanted.values():
                confirmed.clear()
            if self._failing is not None:
                self._failed(self._failing)
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))

    async def _listen_once(self) -> None:
        """Listen until the connection is lost."""
        connection = async_connection(self._endpoint, wait=self._silence)
        try:
            await to_the_end(async_connect(connection, self._endpoint))
            self._connection = connection  # from now on `subscribe` asks for what is new
            await self._ask_for(connection, list(self._wanted))
            while not self._closed:
                self._take(await connection.read_response())
        finally:
            self._connection = None
            with contextlib.suppress(*faults.LOST):
                await connection.disconnect(nowait=True)

    async def _ask_for(self, connection: AsyncConnection, channels: Sequence[str]) -> None:
        # One at a time: the channels of sharded PUB/SUB may be in different slots.
        packed = connection.pack_commands([(f"{self._prefix}SUBSCRIBE", channel) for channel in channels])
        await to_the_end(connection.send_packed_command(packed, check_health=False))

    def _take(self, reply: object) -> None:
        """Take what a listening connection brings: a kind, mostly a channel, and a payload or a number."""
        said: list[Any] = list(reply) if is_list(reply) else []
        kind, channel, payload, *_ = [*said, b"", b"", b""]
        if kind in _MESSAGES:
            self._hear(payload)
        elif kind in _CONFIRMATIONS:
            self._failing = None
            confirmed = self._wanted.get(channel.decode())
            if confirmed is not None:
                confirmed.set()
        elif kind == b"sunsubscribe":
            raise exceptions.ConnectionError("the channel has gone to another node")


def _sent(command: str, channel: str, payload: bytes) -> Exchange[int]:
    """Send a message; return how many listeners there were."""
    reply = yield Call((command, channel, payload))
    return int(reply)
