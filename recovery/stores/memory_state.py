"""What the memory store keeps, and what each command does to it. Pure but for the clock: no waiting.

It is also the model of what the scripts of `recovery.stores.redis` do; both pass the same tests.

1. Safe from any thread, for any number of stores of both colours at once.
2. Time is ``time.time()`` or the clock given, read when a command runs; it may go backwards, offsets do not.
3. What expired is dropped while others are written, at a cost proportional to what was written.
"""

import time
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import TypeVar, cast

from recovery.adoption import FindSession
from recovery.bridging import Forward
from recovery.commands import (
    Append,
    Appended,
    Claimed,
    ClaimRefused,
    ClaimSession,
    Command,
    GetStream,
    OpenStream,
    Overtaken,
    Read,
    ReadBack,
    RenewStream,
    Saved,
    SaveSession,
)
from recovery.core.claiming import refusal_of_claim
from recovery.deadlines import BurySession, DueSessions, Expired, ExpireSession, Gone, NoteDeadline, NotYet
from recovery.errors import StoreError
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Epoch, HolderState, Pid, ServerId
from recovery.stores.memory_bridges import Bridges
from recovery.stores.memory_channels import Hub
from recovery.stores.memory_claims import Claim, Claims, refusal_of
from recovery.stores.memory_deadlines import Deadlines
from recovery.stores.memory_stream import Stream

__all__ = ["MemoryState", "Snapshot"]

R = TypeVar("R")

_SWEEP_AFTER = 64
"""Writes between two searches for what expired, at least; else as many as there are records."""


class MemoryState:
    """A stream and its sessions, and what each command does to them. Safe from any thread.

    `Read` returns at once here; `wait_for` tells when it is worth another try.

    >>> state = MemoryState()
    >>> state.execute(OpenStream(Epoch("e1"))).epoch
    'e1'

    Args:
        clock: seconds since 1970, instead of ``time.time``; for simulations.
        claims: sessions that it shares with other streams.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None, claims: Claims | None = None) -> None:
        self._clock = clock
        self._stream = Stream()
        self._claims = Claims() if claims is None else claims
        self._lock = self._claims.lock
        self._producers: dict[ServerId, _Producer] = {}
        self._deadlines = Deadlines()
        self._bridges = Bridges()
        self._waiters: set[Callable[[], None]] = set()
        self._writes_until_sweep = _SWEEP_AFTER
        self._streams: dict[str, MemoryState] = {}
        self.hub = Hub()

    def execute(self, command: Command[R]) -> R:
        """Carry out one command atomically; see `recovery.commands.Store.execute`.

        Raises:
            StoreError: a straggling batch, or a command that is none of the contract's.
        """
        with self._lock:
            # Each branch of _execute returns the R that the command's class declares, which no type
            # of a match statement can say.
            return cast(R, self._execute(command, self.now_ms()))

    def stream(self, name: str) -> "MemoryState":
        """Another stream beside this one, with the same sessions."""
        with self._lock:
            if name not in self._streams:
                self._streams[name] = MemoryState(clock=self._clock, claims=self._claims)
            return self._streams[name]

    def wait_for(self, after: Offset, wake: Callable[[], None]) -> bool:
        """Call `wake` once, from any thread, when something was appended after an offset.

        Returns False, and notes nothing, if something is there already. Whoever waits must call
        `forget` when it no longer does.
        """
        with self._lock:
            if self._stream.entries and self._stream.entries[-1].offset > after:
                return False
            self._waiters.add(wake)
            return True

    def forget(self, wake: Callable[[], None]) -> None:
        """Take back a `wait_for`; harmless if it was called already."""
        with self._lock:
            self._waiters.discard(wake)

    @property
    def epoch(self) -> Epoch:
        """Identity of the stream; "" before there was one."""
        return self._stream.epoch

    @property
    def last(self) -> Offset:
        """The offset of the newest entry that ever was in the stream."""
        return self._stream.last

    def snapshot(self) -> "Snapshot":
        """What a replica has that gets no more writes from now on; for tests and simulations."""
        with self._lock:
            stream = copy(self._stream)
            stream.entries = list(stream.entries)
            claims = {pid: copy(claim) for pid, claim in self._claims.items()}
            lists = deepcopy((self._deadlines, self._bridges))
            return Snapshot(stream, claims, dict(self._producers), *lists)

    def restore(self, snapshot: "Snapshot", *, above: Offset = ORIGIN) -> None:
        """Fail over to a replica: whatever it has not got never happened. Once for each snapshot.

        Args:
            above: new offsets are above this one, as they are on a replica whose clock is right.
        """
        with self._lock:
            self._stream = snapshot.stream
            self._claims.clear()
            self._claims.update(snapshot.claims)
            self._producers, self._deadlines = snapshot.producers, snapshot.deadlines
            self._bridges = snapshot.bridges
            self._stream.above = max(self._stream.above, above)

    def trim_stream(self, upto: Offset) -> None:
        """Lose the entries up to an offset, as ``XTRIM`` does, but the last one."""
        with self._lock:
            self._stream.forget(upto)

    def delete_stream(self) -> None:
        """Lose the stream as ``DEL`` loses it in Redis: its last offset and epoch stay known.

        For tests and simulations.
        """
        with self._lock:
            self._stream.entries.clear()

    def now_ms(self) -> int:
        """The store's clock, milliseconds since 1970."""
        return int((time.time() if self._clock is None else self._clock()) * 1000)

    def sessions(self) -> tuple[tuple[Pid, Claim], ...]:
        """All sessions as they are now, expired ones among them; for who looks inside. Copies."""
        with self._lock:
            return tuple((pid, copy(claim)) for pid, claim in self._claims.items())

    def lose_writes(self, after: Offset) -> None:
        """Lose the entries after an offset, as a failover may; for tests and simulations."""
        with self._lock:
            self._stream.lose(after)

    def lose_sessions(self) -> None:
        """Lose all sessions and claims, as an eviction or a failover may; for tests and simulations."""
        with self._lock:
            self._claims.clear()

    def _execute(self, command: object, now: int) -> object:
        match command:
            case OpenStream():
                if self._stream.ensure(command.candidate, now):
                    self._wake()
                return self._stream.state(now)
            case RenewStream():
                self._stream.renew(command, now)
                self._wake()
                return self._stream.state(now)
            case GetStream():
                return self._stream.state(now) if self._stream.entries else None
            case Append():
                return self._append(command, now)
            case Read():
                return self._stream.after(command.after, command.count)
            case ReadBack():
                return self._stream.upto(command.upto, command.count)
            case ClaimSession():
                return self._claim(command, now)
            case SaveSession():
                self._sweep(now)
                return self._save(command, now)
            case _:
                return self._execute_expiry(command, now)

    def _execute_expiry(self, command: object, now: int) -> object:
        match command:
            case NoteDeadline():
                self._deadlines.note(command.pid, None if command.in_ms is None else now + command.in_ms)
                return None
            case DueSessions():
                return self._deadlines.due(command.count, now=now, lease_ms=command.lease_ms)
            case ExpireSession():
                return self._expire(command, now)
            case BurySession():
                return self._bury(command, now)
            case FindSession():
                return None  # no server of Node's comes here
            case Forward():
                forwarded = self._bridges.forward(command, self._stream, now)
                self._wake()
                return forwarded
            case _:
                raise StoreError(f"the memory store does not know the command {type(command).__name__}")

    def _append(self, command: Append, now: int) -> Appended:
        producer = self._producers.get(command.producer)
        if producer is not None and producer.forget_at >= now and command.sequence <= producer.last:
            return producer.repeat(command)
        self._sweep(now)
        self._stream.ensure(command.candidate, now)
        offsets, cut = self._stream.extend(command, now)
        appended = Appended(self._stream.epoch, offsets, cut)
        self._producers[command.producer] = _Producer(
            first=command.sequence,
            last=command.sequence + len(offsets) - 1,
            appended=appended,
            forget_at=now + command.producer_ttl_ms,
        )
        self._wake()
        return appended

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for wake in waiters:
            wake()

    def _claim(self, command: ClaimSession, now: int) -> Claimed | ClaimRefused:
        claim = self._claims.get(command.pid)
        if claim is not None and claim.forget_at < now:
            claim = None
        refusal = refusal_of_claim(command, None if claim is None else claim.standing(), now)
        if claim is None or claim.value is None or refusal is not None:
            return refusal or ClaimRefused(Reason.SESSION_EXPIRED)
        if claim.nonce != command.nonce:
            claim.number, claim.owner, claim.nonce = claim.number + 1, command.owner, command.nonce
            claim.claimed = now
        return Claimed(
            number=claim.number,
            value=claim.value,
            proven=claim.saved.proven,
            holder=claim.saved.owner,
            holder_state=claim.saved.state,
            since_ms=max(0, now - claim.since),
        )

    def _expire(self, command: ExpireSession, now: int) -> Expired | NotYet | Gone:
        claim = self._claims.get(command.pid)
        return Gone() if claim is None or claim.forget_at < now else claim.expire(command, now)

    def _bury(self, command: BurySession, now: int) -> bool:
        claim = self._claims.get(command.pid)
        return claim is not None and claim.bury(command, now)

    def _save(self, command: SaveSession, now: int) -> Saved | Overtaken:
        claim = self._claims.get(command.pid)
        if claim is not None and claim.forget_at < now:
            claim = None
        refusal = refusal_of(command, claim)
        if refusal is not None:
            return refusal
        if claim is None or command.number > claim.number:
            claim = self._claims[command.pid] = Claim(command, since=now)
        claim.save(command, now)
        return Saved(value_missing=claim.value is None and command.state is not HolderState.ENDED)

    def _sweep(self, now: int) -> None:
        """Drop what expired, once per as many writes as there are records."""
        self._writes_until_sweep -= 1
        if self._writes_until_sweep > 0:
            return
        self._claims.sweep(now)
        self._producers = {id_: each for id_, each in self._producers.items() if each.forget_at >= now}
        self._writes_until_sweep = max(_SWEEP_AFTER, len(self._claims) + len(self._producers))


@dataclass(frozen=True, slots=True)
class _Producer:
    """The last batch of one producer, so that a repeat gets the same answer."""

    first: int
    last: int
    appended: Appended
    forget_at: int

    def repeat(self, command: Append) -> Appended:
        if command.sequence == self.first and len(command.drafts) == len(self.appended.offsets):
            return self.appended
        raise StoreError(
            f"batch {command.sequence} of producer {command.producer} came after batch {self.first},"
            f" which ended at {self.last}; nothing was stored"
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of everything, to go back to."""

    stream: Stream
    claims: dict[Pid, Claim]
    producers: dict[ServerId, _Producer]
    deadlines: Deadlines
    bridges: Bridges
