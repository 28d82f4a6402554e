"""The roll, called from outside: which servers a cluster has, for programs that are none of them.

Whoever calls it listens to a private channel, and asks all servers which of their clients are in a room that
nobody is in. Servers of ours answer with a report of themselves, Node's without one; Redis tells how many
there are, whether they answer or not.
"""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from math import inf
from typing import Any

from recovery.channels import HasChannels
from recovery.core.roster import Roster
from recovery.entries import PayloadCodec
from recovery.errors import MalformedError
from recovery.messages import (
    Message,
    MessageKind,
    decode_message,
    encode_message,
    private_channel,
    public_channel,
)
from recovery.offsets import ORIGIN, Offset
from recovery.peers import Report, ServerRecord
from recovery.records import Namespace, ServerId

__all__ = ["Roll", "call_the_roll"]

_ROOT = Namespace("/")


@dataclass(frozen=True, slots=True)
class Roll:
    """What came of a roll call.

    Attributes:
        servers: those that have answered.
        silent: how many more listen, and have not.
    """

    servers: tuple[ServerRecord, ...]
    silent: int


async def call_the_roll(
    store: HasChannels,
    *,
    channel_prefix: str = "socket.io",
    use_sharded_pubsub: bool = False,
    patience: float = 2.0,
    newest: Offset = ORIGIN,
) -> Roll:
    """Ask all servers of a cluster for a word.

    Args:
        store: closing it is left to the caller.
        patience: seconds to wait for those that do not answer.
        newest: the last entry of the stream, if the caller knows it; lag is counted from there.

    Raises:
        StoreError: they could not be asked.
    """
    call = _Call(newest)
    channels = store.open_channels(
        call.hear, sharded=use_sharded_pubsub, silence=patience, failed=lambda _error: None
    )
    try:
        await channels.subscribe(private_channel(channel_prefix, _ROOT, call.caller))
        call.asked(await channels.publish(public_channel(channel_prefix, _ROOT), call.question()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await call.done
    finally:
        await channels.close()
    return call.roll()


class _Call:
    """One roll call, and the answers so far."""

    def __init__(self, newest: Offset) -> None:
        self.caller = ServerId(secrets.token_hex(8))
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._id = secrets.token_hex(8)
        self._codec = PayloadCodec()
        self._roster = Roster(inf)  # all that it hears of is from now
        self._answered: dict[ServerId, None] = {}
        self._expected: int | None = None
        self._newest = newest

    def question(self) -> bytes:
        """Which clients are in a room that nobody is in?"""
        opts: dict[str, Any] = {"rooms": [f"roll-call-{self._id}"], "except": [], "flags": {}}
        data: dict[str, Any] = {"requestId": self._id, "opts": opts}
        return encode_message(Message(MessageKind.FETCH_SOCKETS, self.caller, _ROOT, data), self._codec)

    def asked(self, servers: int) -> None:
        """So many servers have heard the question."""
        self._expected = servers
        self._look()

    def hear(self, payload: bytes) -> None:
        """Take an answer; anything else is left out."""
        with contextlib.suppress(MalformedError):
            message = decode_message(payload, self._codec)
            if message.data.get("requestId") == self._id:
                report = Report.read(message.data.get("server"))
                now = asyncio.get_running_loop().time()
                self._roster.heard(message.server, message.namespace, report, now=now)
                self._answered[message.server] = None
                self._look()

    def roll(self) -> Roll:
        """What there is by now."""
        own = Report("", self._newest, 0, ())
        now = asyncio.get_running_loop().time()
        _, *servers = self._roster.records(self.caller, own, self._answered, now=now)
        return Roll(tuple(servers), max((self._expected or 0) - len(self._answered), 0))

    def _look(self) -> None:
        if self._expected is not None and len(self._answered) >= self._expected and not self.done.done():
            self.done.set_result(None)
