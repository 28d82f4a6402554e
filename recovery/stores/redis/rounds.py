"""What travels to Redis and back: requests, exchanges of them, and rounds of many exchanges.

A command becomes an `Exchange` (`recovery.stores.redis.protocol`), a generator that yields one request at a
time and is sent its reply; it returns the command's reply. `batch` runs many exchanges in lock step and
yields *rounds*: the requests that may travel together in one pipeline. A link moves rounds over a connection,
or over those to the nodes of a cluster.

1. A reply is what redis-py's RESP2 parser returns with ``decode_responses=False``, of a script what that says
   in MessagePack, with text as bytes; or the error that stands in its place.
2. Requests of a round are sent in the order of their commands, and so carried out in it. In a cluster that
   is so for those of one key, see `recovery.stores.redis.routing`.
3. A script travels whole (EVAL) the first time on a connection, by its hash (EVALSHA) afterwards, and
   whole again if Redis has forgotten it meanwhile (SCRIPT FLUSH). Only in this last case a command of
   a round may be carried out after a later one that uses another script.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from recovery.errors import StoreError
from recovery.packing import pack_raw, unpack_raw
from recovery.stores.redis.scripts import SCRIPTS, ScriptName

__all__ = [
    "Argument",
    "Call",
    "Exchange",
    "Request",
    "Round",
    "Script",
    "ServerError",
    "Wire",
    "batch",
    "wire_of",
]

Argument = str | bytes | int
Wire = tuple[Argument, ...]
"""One command as it is packed into the Redis protocol."""

R = TypeVar("R")

# A reply's shape depends on the request, which no type of a generator can say: hence Any. The
# functions that interpret replies are the only ones that see it.
Exchange = Generator["Request", Any, R]
Round = Generator[list["Request"], list[Any], R]


class ServerError(StoreError):
    """Redis answered with an error; the message begins with its code, like ``WRONGTYPE``."""


@dataclass(frozen=True, slots=True)
class Call:
    """A plain command, like ``Call("XLEN", "socket.io")``."""

    args: Wire = field(repr=False)


@dataclass(frozen=True, slots=True)
class Script:
    """A script with its keys and arguments.

    Attributes:
        args: all that MessagePack can say, and Lua can understand.
        whole: it has to travel whole, though this connection has seen it.
    """

    name: ScriptName
    keys: tuple[str, ...] = field(repr=False)  # a session's key is its pid
    args: tuple[object, ...] = field(repr=False)
    whole: bool = False


Request = Call | Script


def batch(exchanges: Sequence[Exchange[R]]) -> Round[list[R | StoreError]]:
    """Run exchanges side by side, in order, in as few rounds as possible.

    Yields:
        The requests of one round. Send back as many replies, with the exception in place of the reply
        of a request that failed.
    """
    results: dict[int, R | StoreError] = {}
    pending: dict[int, Request] = {}
    for index, each in enumerate(exchanges):
        _advance(each, None, index, pending, results)
    while pending:
        sent = tuple(pending.items())
        replies = yield [request for _, request in sent]
        for (index, request), reply in zip(sent, replies, strict=True):
            if isinstance(request, Script) and _is_forgotten(reply):
                pending[index] = replace(request, whole=True)
                continue
            del pending[index]
            _advance(exchanges[index], reply, index, pending, results, packed=isinstance(request, Script))
    return [results[index] for index in range(len(exchanges))]


def wire_of(request: Request, known: set[ScriptName]) -> Wire:
    """Write a request as it travels on one connection.

    Args:
        known: scripts that were sent on it before; this one is added. A new connection needs a new set.
    """
    if isinstance(request, Call):
        return request.args
    script = SCRIPTS[request.name]
    what: Wire = (len(request.keys), *request.keys, pack_raw(request.args))
    if request.whole or request.name not in known:
        known.add(request.name)
        return ("EVAL", script.text, *what)
    return ("EVALSHA", script.sha, *what)


def _is_forgotten(reply: object) -> bool:
    return isinstance(reply, ServerError) and str(reply).startswith("NOSCRIPT")


def _advance(
    each: Exchange[R],
    reply: object,
    index: int,
    pending: dict[int, Request],
    results: dict[int, R | StoreError],
    *,
    packed: bool = False,
) -> None:
    """Give one exchange its reply, and note its next request or its result."""
    try:
        if isinstance(reply, StoreError):
            pending[index] = each.throw(reply)
        else:
            pending[index] = each.send(unpack_raw(cast(bytes, reply)) if packed else reply)
    except StopIteration as done:
        results[index] = done.value
    except StoreError as error:
        results[index] = error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        # One key that somebody tampered with must not take the other commands of the round along.
        # The reply itself stays out of the message: it may hold a session, and with it a pid.
        results[index] = StoreError(f"cannot read the store's reply: {type(error).__name__}")
