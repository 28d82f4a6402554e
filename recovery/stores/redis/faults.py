"""What the errors of redis-py mean to us; none of them leaves `recovery.stores.redis`."""

import re

from redis import exceptions

from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores.redis.rounds import ServerError

__all__ = ["LOST", "answered", "is_demoted", "not_sent", "sent"]

LOST = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
"""What redis-py raises when a connection is not there, or no longer."""

_NOT_NOW = re.compile(r"(?:^|-)(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|BUSY)\b")
"""Codes by which a server says that it did nothing, and that it may do it later: while it loads its
data, after a failover that made it a replica, or while another script holds it up. They stand in front,
or behind a hyphen where a script of Redis 6.2 met the error."""

_DEMOTED = re.compile(r"(?:^|-)(?:READONLY|MASTERDOWN)\b")
"""Of these, what a replica says: whoever led here (sentinels, a name, a proxy) may lead elsewhere now."""

_NOT_ALLOWED = re.compile(r"NOPERM|ACL failure|user executing the script")
"""How servers say that a user may not do something: to a command, or within a script (by version)."""

_CLUSTER_ONLY = frozenset({"MOVED", "ASK", "CROSSSLOT"})
"""What only a node of a cluster says; a link to a cluster follows the first two."""

_NEEDED = "docs/explanation/security.md has the ACL that it needs"

# redis-py cuts the code off the message of those errors that have a class of their own.
_CODES: dict[type[exceptions.ResponseError], str] = {
    exceptions.NoPermissionError: "NOPERM",
    exceptions.NoScriptError: "NOSCRIPT",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MovedError: "MOVED",  # before its base, AskError
    exceptions.AskError: "ASK",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.MasterDownError: "MASTERDOWN",  # before its base
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
}


def answered(error: exceptions.RedisError) -> StoreError:
    """Translate an error that stands in a reply's place: the connection is still good."""
    message = _whole(error)
    if _NOT_NOW.search(message):
        return StoreUnavailableError(f"the store cannot do it now: {message}", maybe_applied=False)
    if _NOT_ALLOWED.search(message):
        return ServerError(f"the store's user lacks a right: {message} ({_NEEDED})")
    if message.partition(" ")[0] in _CLUSTER_ONLY:
        return ServerError(f"{message} (this server is a node of a Redis Cluster: use redis+cluster://)")
    return ServerError(message)


def is_demoted(error: exceptions.RedisError) -> bool:
    """Tell whether an answer is that of a server which is no primary: another connection may lead to it."""
    return _DEMOTED.search(_whole(error)) is not None


def not_sent(error: Exception, place: str) -> StoreError:
    """Translate what went wrong before anything was sent, while connecting."""
    # Over a Unix socket, asyncio's connect wraps the answer to its greeting in a ConnectionError.
    for cause in (error, error.__cause__):
        if isinstance(cause, exceptions.AuthenticationError):
            return StoreError(f"the store at {place} refused the credentials: {cause}")
        if isinstance(cause, exceptions.NoPermissionError):
            return StoreError(f"the store's user at {place} lacks a right: {cause} ({_NEEDED})")
        if isinstance(cause, exceptions.ResponseError):
            return StoreError(f"the store at {place} refused the connection: {cause}")
    return StoreUnavailableError(f"no connection to the store at {place}: {error}", maybe_applied=False)


def sent(error: Exception, place: str) -> StoreUnavailableError:
    """Translate what went wrong after something was sent: it may have been carried out."""
    if isinstance(error, exceptions.BusyLoadingError):
        return StoreUnavailableError(f"the store at {place} is loading its data", maybe_applied=False)
    why = f": {error}" if str(error) else " in time"
    return StoreUnavailableError(f"the store at {place} gave no answer{why}", maybe_applied=True)


def _whole(error: exceptions.RedisError) -> str:
    """An answer with its code."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")
    return f"{code} {error}".strip()
