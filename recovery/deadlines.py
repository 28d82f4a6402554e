"""What expiry asks of a store, as typed commands: a list of deadlines, and the claim that ends a session.

Part of the contract of `recovery.commands`, whose rules hold here, too. A store without these commands serves
everything but the handler ``session_expired``.

1. The list of deadlines is a *hint*: it says when to look at a session, and decides nothing. An entry too
   many costs a look; so it may be written apart from the session, which another node of a cluster may hold.
2. The claim decides. `ExpireSession` raises the claim number as `ClaimSession` does, and there is no moment
   at which both would be granted: one wants the deadline to come, the other wants it to have passed.
"""

from dataclasses import dataclass

from recovery.commands import Command
from recovery.records import HolderState, Pid, ServerId

__all__ = ["BurySession", "DueSessions", "ExpireSession", "Expired", "Gone", "NotYet", "NoteDeadline"]


@dataclass(frozen=True, slots=True)
class NoteDeadline(Command[None]):
    """Put a session on the list of deadlines, or change when to look at it.

    Attributes:
        in_ms: look so long from now; None takes the session off the list.
        keep_ms: the list is kept so long after that, at least.
    """

    pid: Pid
    in_ms: int | None
    keep_ms: int


@dataclass(frozen=True, slots=True)
class DueSessions(Command[tuple[Pid, ...]]):
    """Return up to `count` sessions that are to be looked at, the longest overdue first.

    Nobody else gets them for `lease_ms`; then they are due again, unless their entries were changed.
    """

    count: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class ExpireSession(Command["Expired | NotYet | Gone"]):
    """Take over a session whose deadline has passed, so that nobody can recover or write it any more.

    Raises the claim number and notes the owner, for `lease_ms`; another server is granted the session only
    when that is over. The same `nonce` gets the same answer again, and the lease anew.

    Attributes:
        owner: the server that asks.
        nonce: random, one per attempt.
        grace_ms: a client whose claim was granted so short a time ago may still be on its way in.
        max_bytes: a value of more is not read; the session counts as gone. None for no limit.
    """

    pid: Pid
    owner: ServerId
    nonce: str
    grace_ms: int
    lease_ms: int
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """Reply to `ExpireSession`: granted.

    Attributes:
        number: the claim number.
        value: the saved session as written by `SaveSession`.
        holder_state: what the server that last held the client's connection said of it last.
        since_ms: milliseconds since that connection opened (LIVE) or closed (CLOSING, AWAY).
        attempt: how many times the session has been granted so far, from 1.
    """

    number: int
    value: bytes
    holder_state: HolderState
    since_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class NotYet:
    """Reply to `ExpireSession`: its deadline, a client's grace or another server's lease lies ahead.

    Attributes:
        due_in_ms: ask again after so many milliseconds; at least 1.
    """

    due_in_ms: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Reply to `ExpireSession`: it ended on purpose, or was buried, or its value is lost or too large."""


@dataclass(frozen=True, slots=True)
class BurySession(Command[bool]):
    """Delete a session that `ExpireSession` granted; False, with nothing changed, under another number.

    Attributes:
        linger_ms: it is known to have expired for so much longer.
    """

    pid: Pid
    number: int
    linger_ms: int
