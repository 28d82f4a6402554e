"""How a connection comes to the primary of a service that sentinels watch.

1. The sentinels are asked each time that a connection is made: where the primary was is worth nothing.
2. They are asked one after the other, and the first that tells is believed; it is asked first next time.
3. Whoever answers at that address must say that it is a primary: a sentinel may be behind, and what was the
   primary may have come back as a replica.
4. What one connection has found, the others of the same store know: those that lead elsewhere are given up.
"""

from collections.abc import Generator, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import SSLConnection

from recovery.stores.redis.connections import (
    AsyncConnection,
    SyncConnection,
    async_connection,
    sync_connection,
)
from recovery.stores.redis.endpoints import Address, Endpoint, Sentinels
from recovery.stores.redis.faults import LOST

__all__ = ["async_connect", "connect", "leads_astray"]

_ROLE = ("ROLE",)

Question = tuple[Endpoint, tuple[str, ...]]
"""A sentinel, and what it is asked."""

# A reply of redis-py's parser, or the error that asking ended with: hence Any.
Search = Generator[Question, Any, Address]


def connect(connection: SyncConnection, endpoint: Endpoint) -> None:
    """Connect to the server, or to the primary that sentinels tell.

    Raises:
        RedisError, OSError: as of redis-py's connections; a `ResponseError` for what no attempt will change.
    """
    if endpoint.sentinels is None:
        connection.connect()
        return
    search = _search(endpoint.sentinels)
    answer: Any = None  # see Search
    try:
        while True:
            answer = _asked(*search.send(answer))
    except StopIteration as found:
        connection.host, connection.port = found.value
    connection.connect()
    connection.send_packed_command(connection.pack_commands([_ROLE]), check_health=False)
    _check_primary(endpoint.sentinels, connection, connection.read_response())


async def async_connect(connection: AsyncConnection, endpoint: Endpoint) -> None:
    """Do the same for asyncio; see `connect`."""
    if endpoint.sentinels is None:
        await connection.connect()
        return
    search = _search(endpoint.sentinels)
    answer: Any = None  # see Search
    try:
        while True:
            answer = await _async_asked(*search.send(answer))
    except StopIteration as found:
        connection.host, connection.port = found.value
    await connection.connect()
    await connection.send_packed_command(connection.pack_commands([_ROLE]), check_health=False)
    _check_primary(endpoint.sentinels, connection, await connection.read_response())


def leads_astray(connection: SyncConnection | AsyncConnection, endpoint: Endpoint) -> bool:
    """Tell whether another connection has found the primary elsewhere since this one was made."""
    primary = None if endpoint.sentinels is None else endpoint.sentinels.primary
    return primary is not None and primary != (connection.host, connection.port)


def _search(sentinels: Sentinels) -> Search:
    """Ask one after the other for the address of the primary.

    Raises:
        ResponseError: all have answered, and none knows the service; or it refuses the question.
        ConnectionError: not all have answered; the message has what was wrong with each.
    """
    failures: list[Exception] = []
    for sentinel in tuple(sentinels.endpoints):
        try:
            address = yield from _told_by(sentinel, sentinels)
        except (*LOST, exceptions.ResponseError) as error:
            failures.append(error)
            continue
        others = [each for each in sentinels.endpoints if each is not sentinel]
        sentinels.endpoints = (sentinel, *others)
        return address
    said = "; ".join(str(failure) for failure in failures)
    if all(isinstance(failure, exceptions.ResponseError) for failure in failures):
        raise exceptions.ResponseError(said)
    raise exceptions.ConnectionError(said)


def _told_by(sentinel: Endpoint, sentinels: Sentinels) -> Search:
    if sentinels.fewest_others:
        facts = yield from _told(sentinel, "MASTER", sentinels.service)
        others = int(dict(zip(facts[::2], facts[1::2], strict=True))[b"num-other-sentinels"])
        if others < sentinels.fewest_others:
            raise exceptions.ConnectionError(
                f"{sentinel.place} sees {others} other sentinels, not {sentinels.fewest_others}"
            )
    told = yield from _told(sentinel, "GET-MASTER-ADDR-BY-NAME", sentinels.service)
    if told is None:
        raise exceptions.ResponseError(f"{sentinel.place} knows no service {sentinels.service!r}")
    host, port = told
    return sentinels.host or host.decode(), int(port)


def _told(sentinel: Endpoint, *question: str) -> Generator[Question, Any, Any]:  # see Search
    answer = yield sentinel, ("SENTINEL", *question)
    if isinstance(answer, exceptions.ResponseError | exceptions.AuthenticationError):
        raise exceptions.ResponseError(f"{sentinel.place} says {answer}")
    if isinstance(answer, Exception):
        raise exceptions.ConnectionError(f"no answer from {sentinel.place}: {answer}")
    return answer


def _asked(sentinel: Endpoint, question: tuple[str, ...]) -> Any:  # see Search
    connection = sync_connection(sentinel)
    try:
        connection.connect()
        connection.send_packed_command(connection.pack_commands([question]), check_health=False)
        return connection.read_response()
    except (*LOST, exceptions.RedisError) as error:
        return error
    finally:
        connection.disconnect()


async def _async_asked(sentinel: Endpoint, question: tuple[str, ...]) -> Any:  # see Search
    connection = async_connection(sentinel)
    try:
        await connection.connect()
        await connection.send_packed_command(connection.pack_commands([question]), check_health=False)
        return await connection.read_response()
    except (*LOST, exceptions.RedisError) as error:
        return error
    finally:
        # TLS ends with a word and an answer: see `links.AsyncLink.close`.
        await connection.disconnect(nowait=not isinstance(connection, SSLConnection))


def _check_primary(
    sentinels: Sentinels, connection: SyncConnection | AsyncConnection, role: Sequence[Any]
) -> None:
    address = (connection.host, connection.port)
    if role[0] != b"master":
        raise exceptions.ConnectionError(
            f"{address[0]}:{address[1]}, which the sentinels tell, is no primary (yet, or any more)"
        )
    sentinels.primary = address
