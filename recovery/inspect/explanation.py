"""Why: a rehearsal's decision step by step, in words, with what to change.

Nothing is decided here. Each step is a check of the admission in its order; what it came to is read off the
rehearsal, and the numbers in the words are those that the check saw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recovery.adoption import session_of_node
from recovery.commands import Claimed
from recovery.core.decision import floor_of, own_offset
from recovery.errors import MalformedError
from recovery.inspect.rehearsal import Rehearsal
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Pid, SavedSession
from recovery.sessions import decode_session

__all__ = ["ADVICE", "Explanation", "Step", "explain"]

ADVICE: Mapping[Reason, str] = {
    Reason.SESSION_UNKNOWN: (
        "See that all servers share one store, one stream_name and one session_key_prefix. With memory://"
        " a restart forgets all sessions. A session that Node saved needs an offset, and no setting identity."
    ),
    Reason.SESSION_EXPIRED: (
        "Raise max_disconnection_duration if clients are away for longer. If it came before its deadline,"
        " the store dropped the value: set maxmemory-policy noeviction, and give it memory."
    ),
    Reason.DISCONNECTED: (
        "Nothing: client or server ended the session on purpose. If neither meant to, look for"
        " socket.disconnect() in the client and sio.disconnect(sid) in the servers."
    ),
    Reason.MALFORMED: (
        "Look for code that fills auth.pid or auth.offset; the JavaScript client does so by itself."
    ),
    Reason.OFFSET_TRIMMED: (
        "Raise max_len, or set it to None; see that no Node server trims the same stream (10 000 entries"
        " by default). `stream` shows how far back it reaches."
    ),
    Reason.OFFSET_UNKNOWN: (
        "If many clients get this, the store has lost writes: look at its persistence and its failovers."
        " If one does, it made the offset up, or kept it from another deployment."
    ),
    Reason.EPOCH_CHANGED: (
        "Do not delete the stream, it trims itself; and see whether a failover lost writes. With stream_count"
        " above 1, say by --stream-name which stream has the session's namespace."
    ),
    Reason.NAMESPACE_MISMATCH: (
        "The client presents the pid of one namespace in another. The JavaScript client keeps one for each."
    ),
    Reason.IDENTITY_MISMATCH: (
        "Another user presents the pid. If it is the same one, let the setting identity return what does"
        " not change (a user id, not a token)."
    ),
    Reason.REPLAY_TOO_LARGE: (
        "Raise max_replay, or send less to clients that are away; see that log_max_entries and"
        " log_max_bytes hold the traffic of the window."
    ),
    Reason.STORE_UNAVAILABLE: (
        "Look at the store's health and the network, and at the logger recovery.runtime."
    ),
    Reason.REFUSED: ("The connect handler refused the client; the session stays until its deadline."),
}
"""What to change, for each reason."""

_OF_ADOPTION = frozenset({Reason.OFFSET_TRIMMED, Reason.OFFSET_UNKNOWN})
"""What no claim is refused for, but the adoption of a session of Node's is."""


@dataclass(frozen=True, slots=True)
class Step:
    """One check.

    Attributes:
        passed: False for the one that decided against a recovery; nothing comes after it.
        said: what was looked at, and what was found.
    """

    name: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The checks in order; `explain` makes one.

    >>> Explanation("malformed", (Step("form", passed=False, said="no offset"),), "look").steps[0].passed
    False

    Attributes:
        outcome: "recovered", or the reason.
        advice: what to change; "" if it would be recovered.
    """

    outcome: str
    steps: tuple[Step, ...]
    advice: str


def explain(rehearsal: Rehearsal, now_ms: int) -> Explanation:
    """Tell a rehearsal in words.

    Args:
        now_ms: the moment that it was of.

    Example::

        for step in explain(rehearse(source, pid), source.now_ms()).steps:
            print(step.name, step.passed, step.said)
    """
    reason = rehearsal.reason
    return Explanation(
        rehearsal.outcome,
        tuple(_steps(rehearsal, now_ms)),
        "" if reason is None else ADVICE[reason],
    )


def _passed(name: str, said: str) -> Step:
    return Step(name, passed=True, said=said)


def _failed(name: str, said: str) -> Step:
    return Step(name, passed=False, said=said)


def _steps(rehearsal: Rehearsal, now_ms: int) -> Iterator[Step]:
    presented, reason = rehearsal.presented, rehearsal.reason
    if presented.reason is not None:
        yield _failed(
            "form", "the pid must have 16 to 64 characters of URL-safe base64, the offset be ms-seq"
        )
        return
    offset = (
        "no offset: it has received nothing" if presented.offset is None else f"the offset {presented.offset}"
    )
    yield _passed("form", f"the pid is of our form, with {offset}")
    claim = rehearsal.claim
    if not isinstance(claim, Claimed):
        yield _failed("claim", _why_refused(rehearsal, now_ms))
        return
    yield _passed("claim", _why_granted(claim, rehearsal))
    try:
        session = _session_of(claim, rehearsal)
    except MalformedError as error:
        yield _failed("session", str(error))
        return
    if session.pid != presented.pid:
        yield _failed("session", "what is saved under this pid is the session of another")
        return
    yield _passed(
        "session", f"sid {session.sid}, saved with {len(session.rooms)} rooms at {session.position}"
    )
    yield from _steps_of_the_stream(rehearsal, claim, session, reason)


def _session_of(claim: Claimed, rehearsal: Rehearsal) -> SavedSession:
    """What the admission has read: one of ours, or else one of Node's under a claim of ours."""
    try:
        return decode_session(claim.value)
    except MalformedError as ours:
        try:
            return session_of_node(
                claim.value,
                pid=rehearsal.presented.pid or Pid(""),
                namespace=rehearsal.connection.namespace,
                epoch=rehearsal.connection.epoch,
                offset=rehearsal.presented.offset,
            )
        except MalformedError as theirs:
            raise MalformedError(f"{ours}; nor as one of Node's: {theirs}") from theirs


def _steps_of_the_stream(
    rehearsal: Rehearsal, claim: Claimed, session: SavedSession, reason: Reason | None
) -> Iterator[Step]:
    presented = own_offset(rehearsal.presented.offset, session)
    floor = floor_of(presented, claim.proven, session.start)
    needed = min(floor, max(session.position, claim.proven))
    ignored = rehearsal.presented.offset if presented is None else None
    yield _passed("floor", _floor(presented, claim.proven, session.start, floor) + _ignored(ignored))
    stream = rehearsal.stream
    reach = (
        "there is no stream" if stream is None else f"the stream reaches from {stream.first} to {stream.last}"
    )
    if reason is Reason.OFFSET_TRIMMED:
        yield _failed("stream", f"{reach}: what came after {needed} was trimmed, at least in part")
        return
    if reason is Reason.OFFSET_UNKNOWN and presented is not None:
        yield _failed("stream", f"{reach}, and has no entry {presented}, but older ones")
        return
    if reason is Reason.REPLAY_TOO_LARGE:
        yield _failed("replay", _too_large(rehearsal, reach, needed))
        return
    yield _passed("stream", f"{reach}: nothing after {needed} is gone")
    if reason is Reason.OFFSET_UNKNOWN:
        yield _failed(
            "replay", f"packets up to {ignored} were missed, or received again: nothing tells which"
        )
    elif reason is Reason.DISCONNECTED:
        yield _failed("replay", "an entry of the stream disconnected the client while it was away")
    elif reason is not None:
        yield _failed("replay", str(reason))
    else:
        count = len(rehearsal.packets)
        yield _passed(
            "replay",
            f"{count} packets were missed, {rehearsal.settings.max_replay} may be (max_replay)",
        )


def _why_refused(rehearsal: Rehearsal, now_ms: int) -> str:
    stored, claim = rehearsal.stored, rehearsal.claim
    detail = getattr(claim, "detail", "")
    if stored is None or not stored.claim or rehearsal.reason in _OF_ADOPTION:
        return "the store has nothing under this pid" if stored is None else _why_not_adopted(rehearsal)
    fields = {name: value.decode(errors="replace") for name, value in stored.claim.items()}
    match rehearsal.reason:
        case Reason.DISCONNECTED:
            return (
                f"server {fields['holder']} said {_ago(now_ms, fields['since'])} that the session has ended"
            )
        case Reason.SESSION_EXPIRED:
            return _why_expired(fields, stored.size, now_ms)
        case Reason.NAMESPACE_MISMATCH:
            asked = rehearsal.connection.namespace
            return f"the session is of namespace {fields['nsp']}, the client asks for {asked}"
        case Reason.IDENTITY_MISMATCH:
            return (
                f"the session is bound to the identity {fields['identity'] or 'none'}, the client has another"
            )
        case Reason.EPOCH_CHANGED:
            epoch = "there is none" if rehearsal.stream is None else f"its epoch is {rehearsal.stream.epoch}"
            return f"the session is of epoch {fields['epoch']}; of the stream {epoch}"
        case _:
            return detail or str(rehearsal.reason)


def _why_not_adopted(rehearsal: Rehearsal) -> str:
    """Why a session without a claim key, as Node saves them, is not taken over."""
    found, offset = (
        "there is a session without a claim in force, as Node saves them",
        rehearsal.presented.offset,
    )
    match rehearsal.reason:
        case Reason.OFFSET_TRIMMED:
            return f"{found}; the entry {offset}, which the client presents, was trimmed"
        case Reason.OFFSET_UNKNOWN:
            return f"{found}; the entry {offset}, which the client presents, is not of this namespace"
        case _ if offset is None:
            return f"{found}; those need an offset, and the client presents none"
        case _ if rehearsal.connection.identity:
            return f"{found}; those are bound to no user, and the client has an identity"
        case _:
            return f"{found}, but it is none of theirs"


def _why_expired(fields: Mapping[str, str], size: int | None, now_ms: int) -> str:
    last = f"its holder said {fields['state']} {_ago(now_ms, fields['since'])}"
    if int(fields["deadline"]) >= now_ms:
        return f"{last}, and its deadline lies ahead, but its value is gone: the store dropped it"
    value = ", and its value is gone" if size is None else ""
    return f"{last}, and its deadline was {_ago(now_ms, fields['deadline'])}{value}"


def _why_granted(claim: Claimed, rehearsal: Rehearsal) -> str:
    namespace = rehearsal.connection.namespace
    if rehearsal.adopted:
        return f"a server of Node's saved the session; ours take it over, in namespace {namespace}"
    return (
        f"the session may be had: {claim.holder_state} on {claim.holder}, namespace {namespace}, same epoch"
    )


def _floor(presented: Offset | None, proven: Offset, start: Offset, floor: Offset) -> str:
    because = {floor: "its session begins there"}
    if floor == proven:
        because[floor] = "it has proven that by a PONG" if proven > start else because[floor]
    if floor == presented:
        because[floor] = "it presents that"
    return f"the client has everything up to {floor}: {because[floor]}"


def _ignored(offset: Offset | None) -> str:
    return "" if offset is None else f"; the offset {offset} is of an earlier session, and counts for nothing"


def _too_large(rehearsal: Rehearsal, reach: str, needed: Offset) -> str:
    settings = rehearsal.settings
    if rehearsal.log.start <= needed:
        return f"more than max_replay ({settings.max_replay}) packets were missed"
    return (
        f"{reach}, and from {needed} on it is more than a replay log may hold:"
        f" {settings.log_max_entries} entries (log_max_entries),"
        f" {settings.log_max_bytes} bytes (log_max_bytes)"
    )


def _ago(now_ms: int, moment: str) -> str:
    return f"{max(0, now_ms - int(moment)) / 1000:.1f} s ago"
