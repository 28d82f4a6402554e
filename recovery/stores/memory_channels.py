"""Channels between the servers of one process that share a store in memory; see `recovery.channels`."""

import asyncio
import contextlib
import threading

from recovery.channels import Hear

__all__ = ["Hub", "MemoryChannels"]


class Hub:
    """Who listens to what, for servers in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, set[MemoryChannels]] = {}

    def add(self, listener: "MemoryChannels", channel: str) -> None:
        """Let a listener hear a channel."""
        with self._lock:
            self._listeners.setdefault(channel, set()).add(listener)

    def remove(self, listener: "MemoryChannels") -> None:
        """Let a listener hear nothing any more."""
        with self._lock:
            for listeners in self._listeners.values():
                listeners.discard(listener)

    def publish(self, channel: str, payload: bytes) -> int:
        """Pass a message to all listeners; return how many there were."""
        with self._lock:
            listeners = list(self._listeners.get(channel, ()))
        return sum(listener.deliver(payload) for listener in listeners)


class MemoryChannels:
    """The channels of one server; see `recovery.channels.Channels`."""

    def __init__(self, hub: Hub, hear: Hear) -> None:
        self._hub = hub
        self._hear = hear
        self._loop: asyncio.AbstractEventLoop | None = None

    def deliver(self, payload: bytes) -> bool:
        """Have a message heard in this server's loop, from any thread; False if there is no loop any more."""
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._hear, payload)
                return True
        return False

    async def publish(self, channel: str, payload: bytes, *, counted: bool = True) -> int:  # noqa: ARG002
        """Send a message; return how many listeners got it."""
        return self._hub.publish(channel, payload)

    async def subscribe(self, *channels: str) -> None:
        """Listen to channels."""
        self._loop = asyncio.get_running_loop()
        for channel in channels:
            self._hub.add(self, channel)

    async def close(self) -> None:
        """Stop listening."""
        self._hub.remove(self)
