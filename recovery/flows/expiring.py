"""Expiring: a session whose client does not return is taken away, and the application is told.

Every server with a handler ``session_expired`` looks, now and then, at what the list of deadlines says is
due. What it finds it must win by the claim that a client would need, so one server calls the handler:

1. At least once. A server that dies leaves a lease behind; when that has run out, another one is granted the
   session. So it is after a handler that raised, `MOST_ATTEMPTS` times in all: a handler that kills its
   process must not kill one server after the other.
2. Once only, if no server dies: the lease is renewed while the handler runs, and the session is buried then.
3. Nobody who is there is expired. After an outage of the store, the sessions of clients that are connected
   look abandoned until their servers have written to it again, so nobody looks before they had the time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from recovery.commands import Command, Flow, GetStream
from recovery.core.saving import KEPT_MS
from recovery.deadlines import BurySession, DueSessions, Expired, ExpireSession, Gone, NoteDeadline, NotYet
from recovery.errors import MalformedError, StoreError, StoreUnavailableError
from recovery.flows.steps import Clock, FreeHands, Pause, RunHandler, SeeOff
from recovery.records import ExpiredSession, HolderState, Pid, ServerId
from recovery.sessions import decode_session
from recovery.settings import Settings

__all__ = ["MOST_ATTEMPTS", "Terms", "keep_looking", "see_off", "terms_of"]

R = TypeVar("R")
logger = logging.getLogger("recovery.expiry")

MOST_ATTEMPTS = 3
"""How many times a handler is run for one session, if it raises or its server dies."""

_LEASE_MS = 30_000
_RENEW_AFTER = 10.0  # seconds: two renewals may fail
_PAUSE = 1.0  # seconds between two attempts to reach the store


@dataclass(frozen=True, slots=True)
class Terms:
    """When to look, and what to wait for; in seconds, unless the name says otherwise.

    Attributes:
        interval: longest pause between two looks.
        settle: how long the store must have answered without a failure before this server looks.
        grace_ms: how long a client that was granted its session may take to get in.
        linger_ms: how long a session is known to have expired after the handler has run.
        max_bytes: of a saved session.
    """

    interval: float
    settle: float
    grace_ms: int
    linger_ms: int
    max_bytes: int


def terms_of(settings: Settings, ping_ms: int) -> Terms:
    """Derive the terms from the settings, and from ping interval and ping timeout together.

    A client that is on its way in for longer than they last has lost its transport: engineio reads no PONG
    before it is in.

    >>> terms_of(Settings(), 45_000)
    Terms(interval=15.0, settle=20.0, grace_ms=52000, linger_ms=120000, max_bytes=4194304)
    """
    admission = settings.takeover_timeout + settings.publish_timeout
    return Terms(
        interval=min(settings.checkpoint_interval, settings.max_disconnection_duration),
        settle=settings.checkpoint_interval + settings.publish_timeout,
        grace_ms=ping_ms + round(admission * 1000),
        linger_ms=settings.window_ms,
        max_bytes=settings.max_session_bytes,
    )


def keep_looking(terms: Callable[[], Terms], random: Callable[[], float]) -> Flow[None]:
    """Look for sessions that are due, for ever, and have each seen off.

    Args:
        terms: asked at each look.
        random: between 0 and 1, so that servers do not look all at once.
    """
    answering_since: float | None = None
    more = False
    while True:
        if not more:
            yield Pause(terms().interval * (1 + random()) / 2)
        try:
            yield GetStream()  # any answer will do
            now: float = yield Clock()
            answering_since = now if answering_since is None else answering_since
            settled = now - answering_since >= terms().settle
            more = settled and (yield from _look(terms()))
        except StoreError as exc:
            logger.warning("no look at what has expired: %s", exc, extra={"event": "expiry.failed"})
            answering_since, more = None, False


def _look(terms: Terms) -> Flow[bool]:
    """Look once; True if more may be due."""
    hands: int = yield FreeHands(terms.interval)
    if hands == 0:
        return False
    due: tuple[Pid, ...] = yield DueSessions(hands, _LEASE_MS)
    for pid in due:
        yield SeeOff(pid)
    return len(due) == hands


def see_off(pid: Pid, *, server: ServerId, nonce: str, terms: Terms) -> Flow[None]:
    """Take a session that is due, run the handler, and bury it; or note when to look at it again."""
    expire = ExpireSession(pid, server, nonce, terms.grace_ms, _LEASE_MS, terms.max_bytes)
    try:
        reply: Expired | NotYet | Gone = yield from _asked(expire, attempts=3)
        if isinstance(reply, NotYet):
            yield NoteDeadline(pid, reply.due_in_ms, KEPT_MS)
            return
        if isinstance(reply, Expired):
            told = yield from _tell(reply, expire)
            if not told:
                return  # due again when the lease has run out
            buried: bool = yield from _asked(BurySession(pid, reply.number, terms.linger_ms), attempts=None)
            if not buried:
                return  # another server has it by now, and will see to the list
        yield NoteDeadline(pid, None, KEPT_MS)
    except StoreError as exc:
        logger.warning("a session is not seen off: %s", exc, extra={"event": "expiry.failed"})


def _asked(command: Command[R], *, attempts: int | None) -> Flow[R]:
    """Carry out a command that may be repeated, in so many attempts, or until there is an answer."""
    failures = 0
    while True:
        try:
            reply: R = yield command
            return reply
        except StoreUnavailableError:
            failures += 1
            if failures == attempts:
                raise
            yield Pause(_PAUSE)


def _tell(expired: Expired, expire: ExpireSession) -> Flow[bool]:
    """Run the handler; True if the session is done with, for good or ill."""
    try:
        session = decode_session(expired.value)
    except MalformedError as exc:
        logger.warning("nobody is told that it expired: %s", exc, extra={"event": "expiry.failed"})
        return True
    if expired.attempt > MOST_ATTEMPTS:
        return _give_up(session.sid, expired.attempt - 1)
    seen_closing = expired.holder_state is not HolderState.LIVE
    record = ExpiredSession(
        session.sid,
        session.namespace,
        session.rooms,
        session.data,
        offline_for=expired.since_ms / 1000 if seen_closing else None,
    )
    returned: bool | None = None
    while returned is None:
        returned = yield RunHandler(expire.pid, record, _RENEW_AFTER)
        if returned is None:
            yield from _renew(expire)
    if returned:
        logger.info("%s has expired", session.sid, extra={"event": "expiry.complete", "sid": session.sid})
    return returned


def _renew(expire: ExpireSession) -> Flow[None]:
    try:
        yield expire
    except StoreError as exc:
        logger.warning("a lease is not renewed: %s", exc, extra={"event": "expiry.failed"})


def _give_up(sid: str, attempts: int) -> bool:
    logger.error(
        "the handler has failed %d times for %s, which is given up",
        attempts,
        sid,
        extra={"event": "expiry.abandoned", "sid": sid},
    )
    return True
