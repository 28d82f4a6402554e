"""Decoding: from what a store has of a session to what it means; nothing that is stored stops it.

The checks of a claim's fields are those of ``claim.lua``, in its order and words: what that refuses as
unreadable is unreadable here.
"""

import re
from collections.abc import Mapping

from recovery.core.claiming import Standing
from recovery.errors import MalformedError
from recovery.inspect.records import Session, SessionState, StoredSession
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.records import Epoch, HolderState, Namespace, SavedSession, ServerId
from recovery.sessions import decode_session

__all__ = ["decode_stored", "held_since_ms", "standing_of"]

_NUMBER = re.compile(rb"[0-9]{1,15}")
_FORMS = {
    "n": _NUMBER,
    "state": re.compile(b"live|closing|away|ended"),
    "deadline": _NUMBER,
    "proven": re.compile(rb"[0-9]+-[0-9]+"),
    "holder": re.compile(rb"[!-~]{1,100}"),
    "since": _NUMBER,
    "nsp": None,
    "identity": None,
    "epoch": None,
}
_LONGEST_OFFSET = 41


def standing_of(stored: StoredSession) -> Standing | None:
    """What a claim of the session is judged by; None if there is no claim key.

    Raises:
        MalformedError: a field of the claim is not ours; a claim is refused with `Reason.SESSION_UNKNOWN`.
    """
    claim = stored.claim
    if "n" not in claim:
        return None
    for name, form in _FORMS.items():
        value = claim.get(name)
        if value is None or (form is not None and not form.fullmatch(value)):
            raise MalformedError(f"the claim has no valid field {name}")
    _proven(claim)
    return Standing(
        state=HolderState(claim["state"].decode()),
        deadline_ms=int(claim["deadline"]),
        namespace=Namespace(claim["nsp"].decode(errors="surrogateescape")),
        identity=claim["identity"].decode(errors="surrogateescape"),
        epoch=Epoch(claim["epoch"].decode(errors="surrogateescape")),
        size=stored.size,
    )


def held_since_ms(stored: StoredSession) -> int:
    """When the holder's connection opened, closed or ended; only of a claim that `standing_of` can read."""
    return int(stored.claim["since"])


def decode_stored(stored: StoredSession, now_ms: int) -> Session:
    """Decode a session; what cannot be read is said in `Session.problem`."""
    try:
        standing = standing_of(stored)
    except MalformedError as exc:
        return _unreadable(stored, str(exc))
    if stored.problem:
        return _unreadable(stored, stored.problem)
    if standing is None:
        return _unreadable(stored, "there is no claim key: another program (Node) saved it")
    saved, problem = _saved(stored)
    claim = stored.claim
    return Session(
        pid=stored.pid,
        state=SessionState.UNREADABLE if problem else _state(standing, now_ms),
        namespace=standing.namespace,
        identity=standing.identity,
        epoch=standing.epoch,
        number=int(claim["n"]),
        owner=ServerId(claim.get("owner", claim["holder"]).decode(errors="replace")),
        holder=ServerId(claim["holder"].decode()),
        since_ms=int(claim["since"]),
        deadline_ms=standing.deadline_ms,
        claimed_ms=_moment(claim.get("claimed")),
        proven=_proven(claim),
        size=stored.size,
        saved=saved,
        problem=problem,
    )


def _state(standing: Standing, now_ms: int) -> SessionState:
    if standing.state is HolderState.ENDED:
        return SessionState.ENDED
    if standing.size is None or standing.deadline_ms < now_ms:
        return SessionState.EXPIRED
    return SessionState(standing.state.value)


def _saved(stored: StoredSession) -> tuple[SavedSession | None, str]:
    """The saved value, and what is wrong with it."""
    if stored.value is None:
        return None, "" if stored.size is None else f"its value has {stored.size} bytes, more than is read"
    try:
        saved = decode_session(stored.value)
    except MalformedError as exc:
        return None, str(exc)
    if saved.pid != stored.pid:
        return None, "what is saved under this pid is the session of another"
    return saved, ""


def _unreadable(stored: StoredSession, problem: str) -> Session:
    saved, _ = _saved(stored)
    return Session(
        pid=stored.pid,
        state=SessionState.UNREADABLE,
        namespace=Namespace("" if saved is None else saved.namespace),
        identity="",
        epoch=Epoch("" if saved is None else saved.epoch),
        number=0,
        owner=ServerId(""),
        holder=ServerId(""),
        since_ms=0,
        deadline_ms=0,
        claimed_ms=None,
        proven=ORIGIN,
        size=stored.size,
        saved=saved,
        problem=problem,
    )


def _proven(claim: Mapping[str, bytes]) -> Offset:
    raw = claim["proven"]
    try:
        if len(raw) > _LONGEST_OFFSET:
            raise ValueError("it is too long")
        return parse_offset(raw)
    except ValueError:
        raise MalformedError("the claim has no valid field proven") from None


def _moment(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and _NUMBER.fullmatch(raw) else None
