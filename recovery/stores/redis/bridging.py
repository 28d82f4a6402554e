"""What a bridge says to Redis, beside all that `recovery.stores.redis.protocol` says."""

from typing import TypeVar, cast

from recovery.bridging import Forward, Forwarded
from recovery.commands import Command
from recovery.offsets import parse_offset
from recovery.stores.redis import protocol
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.rounds import Exchange, Script
from recovery.stores.redis.scripts import ScriptName

__all__ = ["exchange"]

R = TypeVar("R")


def exchange(command: Command[R], keys: Keys, *, most_wait_ms: int = 0) -> Exchange[R]:
    """Say one command to Redis; see `recovery.stores.redis.protocol.exchange`."""
    if isinstance(command, Forward):
        return cast(Exchange[R], _forward(command, keys))  # R is Forwarded, as its class declares
    return protocol.exchange(command, keys, most_wait_ms=most_wait_ms)


def _forward(command: Forward, keys: Keys) -> Exchange[Forwarded]:
    done, position, last, cut = yield Script(
        ScriptName.FORWARD,
        (keys.stream, keys.epoch, keys.bridge(command.link)),
        (
            command.candidate,
            "" if command.before is None else str(command.before),
            str(command.upto),
            command.retention_ms,
            -1 if command.max_len is None else command.max_len,
            str(command.known),
            protocol.names_and_values(command.drafts),
        ),
    )
    return Forwarded(done == 1, parse_offset(position), parse_offset(last), cut == 1)
