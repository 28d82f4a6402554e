"""Admission: from a client's CONNECT to a connection that is held for the application to accept.

This is the heart of recovery, in the order in which it happens:

1. Claim the session. The store refuses what cannot be had, and changes nothing then.
2. Decide the *floor*: what the client certainly has. An offset that the stream does not know is refused.
3. See that the replay log reaches back to the floor, or say that the stream was trimmed.
4. Take over: put an entry into the stream that ends the old connection at one offset, wherever it is,
   and wait (here without limit, elsewhere for ``takeover_timeout``) for its disconnect handler.
5. Wait until this server's reader has passed all of that.
6. In one step, replay what was missed into a held connection, and join the dispatcher: from there on
   nothing can be missed or doubled.

A command that the store does not answer is repeated for ``publish_timeout``: a reply that was lost, or a
store that restarts, costs a moment and no session.

A refusal at any step gives the client a fresh session and the application a reason, and leaves the old
session to be claimed again until its deadline.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from recovery.adoption import session_of_node
from recovery.commands import Claimed, ClaimRefused, ClaimSession, Flow, GetStream, ReadBack
from recovery.core.connection import Connection
from recovery.core.decision import Presented, floor_of, own_offset
from recovery.core.dispatcher import Dispatcher
from recovery.core.membership import Membership
from recovery.core.replay import find_missed
from recovery.drafts import Drafts
from recovery.errors import MalformedError, StoreError
from recovery.flows.adopting import adopt
from recovery.flows.insisting import insist
from recovery.flows.steps import AwaitPosition, AwaitRelease, Claim, CompleteLog, Publish, Vacate
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import (
    Entry,
    Epoch,
    HolderState,
    Namespace,
    Pid,
    Recovery,
    SavedSession,
    Sid,
    StreamState,
)
from recovery.sessions import decode_session
from recovery.settings import Settings

__all__ = ["Newcomer", "admit", "admit_without_store"]

F = TypeVar("F")
logger = logging.getLogger("recovery.admission")

_NOT_OURS = (ClaimRefused(Reason.SESSION_UNKNOWN), ClaimRefused(Reason.SESSION_EXPIRED))
"""There is no claim in force; but a server of Node's, which knows no claims, may have saved a session."""

_ATTEMPTS = 3  # at a replay whose entries the log forgets while they are being read again


@dataclass(frozen=True, slots=True)
class Newcomer(Generic[F]):
    """A client that sent CONNECT.

    Attributes:
        transport: the Engine.IO session that it came by.
        presented: what it says of an earlier session.
        identity: what the setting ``identity`` returned for it, "" for none.
        nonce: random, for this attempt.
        sid: fresh, in case it is not recovered.
        pid: fresh, or None if it cannot use one.
        send: how to queue frames for it.
        with_offsets: whether it gets offsets.
    """

    namespace: Namespace
    transport: str
    presented: Presented
    identity: str
    nonce: str
    sid: Sid
    pid: Pid | None = field(repr=False)
    send: Callable[[Sequence[F]], int]
    with_offsets: bool


@dataclass(frozen=True, slots=True)
class _Claim:
    """A session that was claimed, and what follows from it.

    Attributes:
        presented: the offset that the client presents, if it is of this session.
    """

    claimed: Claimed
    session: SavedSession
    presented: Offset | None
    floor: Offset
    applied: Offset

    @property
    def needed(self) -> Offset:
        """What stands after this place is needed for a replay."""
        return min(self.floor, self.applied)


def admit(
    newcomer: Newcomer[F], dispatcher: Dispatcher[F], drafts: Drafts, settings: Settings
) -> Flow[Connection[F]]:
    """Return a held connection for a client, recovered or fresh; its `recovery` says which, and why."""
    presented = newcomer.presented
    if presented.reason is not None:
        return _refuse(newcomer, dispatcher, presented.reason)
    if presented.pid is None or newcomer.pid is None:
        return _fresh(newcomer, dispatcher, None)
    try:
        outcome = yield from _recover(newcomer, presented.pid, dispatcher, drafts, settings)
    except StoreError as exc:
        logger.warning("no recovery: %s", exc, extra={"event": "recover.failed"})
        outcome = Reason.STORE_UNAVAILABLE
    if isinstance(outcome, Reason):
        return _refuse(newcomer, dispatcher, outcome)
    logger.info(
        "%s is recovered, %d packets are replayed",
        outcome.sid,
        outcome.recovery.replayed,
        extra={"event": "recover.complete", "sid": outcome.sid, "replayed": outcome.recovery.replayed},
    )
    return outcome


def admit_without_store(newcomer: Newcomer[F], dispatcher: Dispatcher[F]) -> Connection[F]:
    """Return a held connection for a client that comes while the store has never answered yet.

    It gets no pid: this server knows no epoch that its session could be saved with.
    """
    asked = newcomer.presented.pid is not None or newcomer.presented.reason is not None
    stranger = replace(newcomer, pid=None)
    return _fresh(stranger, dispatcher, Reason.STORE_UNAVAILABLE if asked else None)


def _recover(
    newcomer: Newcomer[F],
    pid: Pid,
    dispatcher: Dispatcher[F],
    drafts: Drafts,
    settings: Settings,
) -> Flow[Connection[F] | Reason]:
    reply = yield from _claim_any(newcomer, pid, dispatcher, settings)
    if isinstance(reply, ClaimRefused):
        if reply.detail:
            dispatcher.meters.unreadable_sessions += reply.reason is Reason.SESSION_UNKNOWN
            logger.warning("no recovery: %s", reply.detail, extra={"event": "recover.failed"})
        return reply.reason
    try:
        claim = _read_claim(reply, pid, newcomer, dispatcher.epoch)
    except MalformedError as exc:
        dispatcher.meters.unreadable_sessions += 1
        logger.warning("no recovery: %s", exc, extra={"event": "recover.failed"})
        return Reason.SESSION_UNKNOWN
    refusal = yield from _check(claim, dispatcher, settings.publish_timeout)
    if refusal is not None:
        return refusal
    moved_at = yield from _take_over(claim, dispatcher, drafts, settings)
    # A change of rooms may lie ahead of the position at which it was saved (`Dispatcher.edge`).
    saved = claim.session
    membership = Membership(saved.sid, saved.start, saved.history, saved.settled)
    # And what this server did to the client until it let go of it may still be on its way through the stream.
    target = max(claim.floor, claim.session.position, membership.latest(), moved_at, dispatcher.published)
    passed: bool = yield AwaitPosition(target, settings.publish_timeout)
    if not passed:
        return Reason.STORE_UNAVAILABLE
    for _ in range(_ATTEMPTS):
        vacant: bool = yield Vacate(newcomer.namespace, claim.session.sid, claim.claimed.number)
        if not vacant:
            return Reason.SESSION_UNKNOWN  # somebody else presented the pid meanwhile, after us
        outcome = _restore(newcomer, claim, membership, dispatcher, settings)
        if outcome is not None:
            return outcome
        # There is a gap before what this client needs, or the log is full.
        complete: bool = yield from insist(CompleteLog(claim.needed), timeout=settings.publish_timeout)
        if not complete:
            break
    return (yield from _why_incomplete(claim, settings.publish_timeout))


def _claim_any(
    newcomer: Newcomer[F], pid: Pid, dispatcher: Dispatcher[F], settings: Settings
) -> Flow[Claimed | ClaimRefused]:
    """Claim a session of ours, or else one of Node's."""
    reply = yield from _claim(newcomer, pid, dispatcher, settings)
    if reply not in _NOT_OURS or newcomer.identity:
        return reply
    offset, server, epoch = newcomer.presented.offset, dispatcher.server, dispatcher.epoch
    refusal = yield from adopt(pid, offset, newcomer.namespace, server=server, epoch=epoch, settings=settings)
    if refusal is None:
        return (yield from _claim(newcomer, pid, dispatcher, settings))
    return reply if refusal is Reason.SESSION_UNKNOWN else ClaimRefused(refusal)


def _claim(
    newcomer: Newcomer[F], pid: Pid, dispatcher: Dispatcher[F], settings: Settings
) -> Flow[Claimed | ClaimRefused]:
    server, bound, timeout = dispatcher.server, settings.max_session_bytes, settings.publish_timeout
    while True:
        epoch = dispatcher.epoch
        command = ClaimSession(
            pid, newcomer.namespace, newcomer.identity, epoch, server, newcomer.nonce, bound
        )
        reply: Claimed | ClaimRefused = yield from insist(Claim(command), timeout=timeout)
        is_stale = isinstance(reply, ClaimRefused) and reply.reason is Reason.EPOCH_CHANGED
        if not is_stale or not (yield from _catch_up(dispatcher, settings)):
            return reply


def _catch_up(dispatcher: Dispatcher[F], settings: Settings) -> Flow[bool]:
    """Let the reader learn of a new epoch; False if it is the session that is of an older one."""
    state: StreamState | None = yield from insist(GetStream(), timeout=settings.publish_timeout)
    if state is None or state.epoch == dispatcher.epoch:
        return False
    passed: bool = yield AwaitPosition(state.last, settings.publish_timeout)
    return passed and state.epoch == dispatcher.epoch


def _read_claim(claimed: Claimed, pid: Pid, newcomer: Newcomer[F], epoch: Epoch) -> _Claim:
    try:
        session = decode_session(claimed.value)
    except MalformedError:  # a server of Node's has had the client meanwhile
        offset = newcomer.presented.offset
        session = session_of_node(
            claimed.value, pid=pid, namespace=newcomer.namespace, epoch=epoch, offset=offset
        )
    if (session.pid, session.namespace) != (pid, newcomer.namespace):
        raise MalformedError("what is saved under this pid is the session of another")
    presented = own_offset(newcomer.presented.offset, session)
    return _Claim(
        claimed,
        session,
        presented,
        floor=floor_of(presented, claimed.proven, session.start, exact=newcomer.presented.exact),
        # A checkpoint proves the saved rooms, too: a change would have been saved with it.
        applied=max(session.position, claimed.proven),
    )


def _check(claim: _Claim, dispatcher: Dispatcher[F], timeout: float) -> Flow[Reason | None]:
    """Refuse what cannot be recovered, before anything happens to the old connection."""
    if claim.floor < claim.session.settled:
        return Reason.OFFSET_TRIMMED  # in which rooms it was then is not known any more
    presented = claim.presented
    if presented is not None and presented > dispatcher.position:
        found: tuple[Entry, ...] = yield from insist(ReadBack(presented, 1), timeout=timeout)
        if not found:
            return Reason.OFFSET_TRIMMED
        if found[0].offset != presented:
            return Reason.OFFSET_UNKNOWN
    complete = claim.needed >= dispatcher.log.start  # as it is nearly always
    if not complete:
        complete = yield from insist(CompleteLog(claim.needed), timeout=timeout)
    if not complete:
        return (yield from _why_incomplete(claim, timeout))
    if presented is not None and presented <= dispatcher.position and dispatcher.log.lacks(presented):
        # There are older entries, but not the one that the client received last: the stream lost writes, and
        # the servers that know may not have said so yet.
        return Reason.OFFSET_UNKNOWN
    return None


def _why_incomplete(claim: _Claim, timeout: float) -> Flow[Reason]:
    """Say why the replay log does not reach back so far.

    The stream has a new epoch, and the log was begun anew with it; or the stream does not reach back either;
    or the log cannot hold so much.
    """
    state: StreamState | None = yield from insist(GetStream(), timeout=timeout)
    if state is not None and state.epoch != claim.session.epoch:
        return Reason.EPOCH_CHANGED
    held_by_stream = state is not None and state.first <= claim.needed
    return Reason.REPLAY_TOO_LARGE if held_by_stream else Reason.OFFSET_TRIMMED


def _take_over(claim: _Claim, dispatcher: Dispatcher[F], drafts: Drafts, settings: Settings) -> Flow[Offset]:
    """End the old connection; return the offset at which the session changed hands."""
    session, number, holder = claim.session, claim.claimed.number, claim.claimed.holder
    yield Vacate(session.namespace, session.sid, number)
    elsewhere = holder != dispatcher.server
    if claim.claimed.holder_state is HolderState.AWAY or not elsewhere:
        return claim.floor
    moved_at: Offset = yield Publish(drafts.takeover(session.namespace, session.sid, number, holder))
    released: bool = yield AwaitRelease(session.namespace, session.sid, number, settings.takeover_timeout)
    if not released:
        dispatcher.meters.takeover_timeouts += 1
        logger.info(
            "server %s did not release %s within %s s",
            holder,
            session.sid,
            settings.takeover_timeout,
            extra={"event": "takeover.timeout", "sid": session.sid},
        )
    return moved_at


def _restore(
    newcomer: Newcomer[F],
    claim: _Claim,
    membership: Membership,
    dispatcher: Dispatcher[F],
    settings: Settings,
) -> Connection[F] | Reason | None:
    """Replay into a held connection and join the dispatcher, with nothing in between.

    Returns None if the log forgot the entries while we waited.
    """
    session = claim.session
    if session.epoch != dispatcher.epoch:
        return Reason.EPOCH_CHANGED  # while we waited
    if claim.needed < dispatcher.log.start:
        return None
    connection = _connection_of(claim, newcomer, membership)
    missed = find_missed(
        dispatcher.log,
        dispatcher.codec,
        connection,
        floor=claim.floor,
        applied=claim.applied,
        limit=settings.max_replay,
    )
    if isinstance(missed, Reason):
        return missed
    foreign = session.foreign if newcomer.presented.offset == session.foreign else None
    if foreign is not None and any(entry.offset <= foreign for entry in missed.packets):
        return Reason.OFFSET_UNKNOWN  # it may have come once more in this session, with all up to it
    was_open = claim.claimed.holder_state is HolderState.LIVE
    connection.recovery = Recovery(
        recovered=True,
        replayed=dispatcher.hold(connection, missed.packets),
        offline_for=None if was_open else claim.claimed.since_ms / 1000,
    )
    dispatcher.add(connection)
    return connection


def _connection_of(claim: _Claim, newcomer: Newcomer[F], membership: Membership) -> Connection[F]:
    session = claim.session
    return Connection(
        namespace=newcomer.namespace,
        sid=session.sid,
        pid=session.pid,
        transport=newcomer.transport,
        membership=membership,
        send=newcomer.send,
        with_offsets=newcomer.with_offsets,
        recovery=Recovery(recovered=True),
        epoch=session.epoch,
        identity=newcomer.identity,
        number=claim.claimed.number,
        nonce=newcomer.nonce,
        proven=claim.floor,
        user_session=dict(session.data),
        foreign=session.foreign,
    )


def _refuse(newcomer: Newcomer[F], dispatcher: Dispatcher[F], reason: Reason) -> Connection[F]:
    logger.info("no recovery: %s", reason, extra={"event": "recover.refused", "reason": reason.value})
    return _fresh(newcomer, dispatcher, reason)


def _fresh(newcomer: Newcomer[F], dispatcher: Dispatcher[F], reason: Reason | None) -> Connection[F]:
    """A new session: it sees what comes after all that this server has read or written so far."""
    start, presented = dispatcher.edge, newcomer.presented.offset
    connection = Connection(
        namespace=newcomer.namespace,
        sid=newcomer.sid,
        pid=newcomer.pid,
        transport=newcomer.transport,
        membership=Membership(newcomer.sid, start),
        send=newcomer.send,
        with_offsets=newcomer.with_offsets,
        recovery=Recovery(recovered=False, reason=reason),
        epoch=dispatcher.epoch,
        identity=newcomer.identity,
        number=1,
        nonce="",
        proven=start,
        user_session={},
        # Our reader is behind, or the stream lost writes. The client keeps its offset till it gets a packet.
        foreign=presented if presented is not None and presented > start else None,
    )
    dispatcher.add(connection)
    return connection
