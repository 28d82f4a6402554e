"""What the library asks of a store besides commands: channels on which servers talk at once (PUB/SUB).

A store may have them or not. `recovery.commands` says what each store must do; one that has a method
`open_channels` as well lets its servers ask one another. With any other, a server is alone.

Rules for channels:

1. A message reaches whoever listens at that moment, at most once each, and nobody later.
2. Messages of one sender on one channel arrive in order.
3. A connection that is lost is made again by itself; what was sent meanwhile is lost.
4. Errors are those of `recovery.commands`: `StoreUnavailableError`, or another `StoreError`.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from recovery.errors import StoreError

__all__ = ["Channels", "HasChannels", "Hear", "NoChannels"]

Hear = Callable[[bytes], None]
"""Called with each message, in the event loop; must not block."""


class Channels(Protocol):
    """The channels of one server."""

    async def publish(self, channel: str, payload: bytes, *, counted: bool = True) -> int:
        """Send a message; return how many listeners got it, this server among them if it listens.

        Args:
            counted: whether the number matters; if not, it may be too low where counting costs something.
        """
        ...

    async def subscribe(self, *channels: str) -> None:
        """Listen to channels from now on, and return when that is in force. Harmless when repeated.

        Raises:
            StoreError: it is not in force yet; the attempts go on.
        """
        ...

    async def close(self) -> None:
        """Stop listening, and release connections. Harmless when repeated."""
        ...


@runtime_checkable
class HasChannels(Protocol):
    """A store whose servers can talk at once."""

    def open_channels(
        self, hear: Hear, *, sharded: bool, silence: float, failed: Callable[[StoreError], None]
    ) -> Channels:
        """Open channels of this server. Nothing is connected yet.

        Args:
            hear: gets the messages of all channels that are subscribed to.
            sharded: use sharded PUB/SUB.
            silence: seconds without any message after which a connection counts as lost.
            failed: told of each failure to listen, before the next attempt.
        """
        ...


class NoChannels:
    """Of a store that has none: nobody else is there."""

    async def publish(self, channel: str, payload: bytes, *, counted: bool = True) -> int:  # noqa: ARG002  # see Channels
        """Send to nobody."""
        return 0

    async def subscribe(self, *channels: str) -> None:
        """Listen to nobody."""

    async def close(self) -> None:
        """Do nothing."""
