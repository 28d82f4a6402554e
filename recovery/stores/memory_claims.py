"""One session and its claim in the memory store: what all commands about sessions agree on."""

import threading
from dataclasses import replace

from recovery.commands import Overtaken, SaveSession
from recovery.core.claiming import Standing
from recovery.deadlines import BurySession, Expired, ExpireSession, Gone, NotYet
from recovery.records import HolderState, Pid

__all__ = ["Claim", "Claims", "refusal_of"]


class Claims(dict[Pid, "Claim"]):
    """All sessions of a store, which its streams share.

    Attributes:
        lock: of all that is in the store.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()

    def sweep(self, now: int) -> None:
        """Drop what expired."""
        for pid in [pid for pid, claim in self.items() if claim.forget_at < now]:
            del self[pid]
        for claim in self.values():
            if claim.value_until < now:
                claim.value = None


class Claim:
    """One session and its claim. Times are in milliseconds of the store's clock.

    Attributes:
        number: the claim number in force.
        owner: the server that it was granted to.
        nonce: of the attempt that it was granted to; "" before the first claim.
        value: the session, or None.
        saved: the last save, but for its value.
        since: when the connection opened, closed or ended.
        deadline: when the session expires.
        value_until: how long its value is kept.
        forget_at: when nothing is known of it any more.
        claimed: when a client was last granted it, or 0.
        leased_until: until when nobody else is granted the expired session.
        attempts: how many times that was granted.
    """

    __slots__ = (
        "attempts",
        "claimed",
        "deadline",
        "forget_at",
        "leased_until",
        "nonce",
        "number",
        "owner",
        "saved",
        "since",
        "value",
        "value_until",
    )

    def __init__(self, command: SaveSession, *, since: int) -> None:
        self.number = command.number
        self.owner = command.owner
        self.nonce = command.nonce
        self.value: bytes | None = None
        self.saved: SaveSession = command
        self.since = since
        self.deadline = 0
        self.value_until = 0
        self.forget_at = 0
        self.claimed = 0
        self.leased_until = 0
        self.attempts = 0

    def save(self, command: SaveSession, now: int) -> None:
        """Write what `SaveSession` says; `refusal_of` has let it pass."""
        changes = (self.saved.state, command.state)
        changed = changes[0] is not changes[1] and changes != (HolderState.CLOSING, HolderState.AWAY)
        if changed or command.owner != self.saved.owner:
            self.since = now
        if command.state is HolderState.ENDED:
            self.value = None
            self.deadline = now
        else:
            self.value = self._kept_value(command, now)
            self.deadline = now + command.ttl_ms
        self.value_until = self.deadline + command.keep_ms
        self.owner = command.owner
        self.saved = replace(command, value=None)
        self.forget_at = self.deadline + command.linger_ms

    def standing(self) -> Standing:
        """What a claim of it is judged by."""
        return Standing(
            state=self.saved.state,
            deadline_ms=self.deadline,
            namespace=self.saved.namespace,
            identity=self.saved.identity,
            epoch=self.saved.epoch,
            size=None if self.value is None else len(self.value),
        )

    def fields(self) -> dict[str, str]:
        """The claim as a claim key in Redis has it (``save.lua``)."""
        saved = self.saved
        kept = {
            "n": str(self.number),
            "owner": self.owner,
            "holder": saved.owner,
            "state": saved.state.value,
            "since": str(self.since),
            "deadline": str(self.deadline),
            "proven": str(saved.proven),
            "nsp": saved.namespace,
            "identity": saved.identity,
            "epoch": saved.epoch,
        }
        return kept | ({"claimed": str(self.claimed)} if self.claimed else {})

    def _kept_value(self, command: SaveSession, now: int) -> bytes | None:
        if command.value is not None:
            return command.value
        return self.value if self.value_until >= now else None

    def expire(self, command: ExpireSession, now: int) -> Expired | NotYet | Gone:
        """Grant the session's end to a server; see `ExpireSession`."""
        if self.saved.state is HolderState.ENDED:
            return Gone()
        repeated = self.nonce == command.nonce
        due = max(self.deadline, self.claimed + command.grace_ms, 0 if repeated else self.leased_until)
        if now <= due:
            return NotYet(due - now + 1)
        if self.value is None or self.value_until < now:
            return Gone()
        if command.max_bytes is not None and len(self.value) > command.max_bytes:
            return Gone()
        if not repeated:
            self.number, self.owner, self.nonce = self.number + 1, command.owner, command.nonce
            self.attempts += 1
        self.leased_until = now + command.lease_ms
        return Expired(
            number=self.number,
            value=self.value,
            holder_state=self.saved.state,
            since_ms=max(0, now - self.since),
            attempt=self.attempts,
        )

    def bury(self, command: BurySession, now: int) -> bool:
        """Delete the value; see `BurySession`."""
        if self.number != command.number:
            return False
        self.value = None
        self.forget_at = now + command.linger_ms
        return True


def refusal_of(command: SaveSession, claim: Claim | None) -> Overtaken | None:
    """Say why a session may not be written, or None.

    A repeated create (its reply was lost) is known by its owner and nonce. "Ended" is final: else a late
    checkpoint would bring a session back that was ended on purpose.
    """
    if claim is None:
        return None if command.create else Overtaken(0)
    if command.number > claim.number:
        return None if command.create else Overtaken(claim.number)
    if command.number < claim.number or (command.owner, command.nonce) != (claim.owner, claim.nonce):
        return Overtaken(claim.number)
    if claim.saved.state is HolderState.ENDED and command.state is not HolderState.ENDED:
        return Overtaken(0)
    return None
