"""What each command says to Redis, and what the answer means: once, for both colours.

How it travels is the matter of `recovery.stores.redis.rounds` and of the links. What one script touches
is in one slot of a cluster (`recovery.stores.redis.keys`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from redis.utils import HIREDIS_AVAILABLE

from recovery.adoption import FindSession, FoundSession
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
from recovery.deadlines import BurySession, DueSessions, Expired, ExpireSession, Gone, NoteDeadline, NotYet
from recovery.errors import StoreError
from recovery.offsets import parse_offset
from recovery.reasons import Reason
from recovery.records import Draft, Entry, Epoch, HolderState, Pid, ServerId, StreamState
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.rounds import Argument, Call, Exchange, Request, Script, ServerError
from recovery.stores.redis.scripts import ScriptName

__all__ = ["PARSES_IN_C", "exchange", "names_and_values"]

PARSES_IN_C: bool = HIREDIS_AVAILABLE
"""Whether redis-py has `hiredis`, so that reading entries costs no more than reading one string."""

_FEW = 2
"""Entries that are read in pieces. If there are as many, more are likely to be there: these come in one
string, which costs a round trip and a little of Redis's time, and saves most of ours from three on."""

R = TypeVar("R")


def exchange(command: Command[R], keys: Keys, *, most_wait_ms: int = 0) -> Exchange[R]:
    """Say one command to Redis.

    Args:
        most_wait_ms: a `Read` waits no longer than this.

    Raises:
        StoreError: Redis answered with an error, or with something that no server of ours writes; or
            the command is none of the contract's.
    """
    # Each branch of _exchange returns the R that the command's class declares, which no type of a
    # match statement can say.
    return cast(Exchange[R], _exchange(command, keys, most_wait_ms))


def _exchange(command: object, keys: Keys, most_wait_ms: int) -> Exchange[object]:
    match command:
        case OpenStream():
            return _open(command, keys)
        case RenewStream():
            return _renew(command, keys)
        case GetStream():
            return _get(keys)
        case Append():
            return _append(command, keys)
        case Read():
            return _read(command, keys, min(command.block_ms, most_wait_ms))
        case ReadBack():
            return _read_back(command, keys)
        case ClaimSession():
            return _claim(command, keys)
        case SaveSession():
            return _save(command, keys)
        case _:
            return _exchange_expiry(command, keys)


def _exchange_expiry(command: object, keys: Keys) -> Exchange[object]:
    match command:
        case NoteDeadline():
            return _note(command, keys)
        case DueSessions():
            return _due(command, keys)
        case ExpireSession():
            return _expire(command, keys)
        case BurySession():
            return _bury(command, keys)
        case FindSession():
            return _find(command, keys)
        case _:
            return _unknown(command)


def _open(command: OpenStream, keys: Keys) -> Exchange[StreamState]:
    request = Script(ScriptName.OPEN, (keys.stream, keys.epoch), (command.candidate,))
    return _stream_state((yield from _asked(request, _stream_keys(keys))))


def _renew(command: RenewStream, keys: Keys) -> Exchange[StreamState]:
    arguments = (command.stale, command.candidate, str(command.lost))
    request = Script(ScriptName.RENEW, (keys.stream, keys.epoch), arguments)
    return _stream_state((yield from _asked(request, _stream_keys(keys))))


def _get(keys: Keys) -> Exchange[StreamState | None]:
    request = Script(ScriptName.STATE, (keys.stream, keys.epoch), ())
    reply = yield from _asked(request, _stream_keys(keys))
    return _stream_state(reply) if reply else None


def _append(command: Append, keys: Keys) -> Exchange[Appended]:
    request = Script(
        ScriptName.APPEND,
        (keys.stream, keys.epoch, keys.producer(command.producer)),
        (
            command.candidate,
            command.sequence,
            command.retention_ms,
            -1 if command.max_len is None else command.max_len,
            command.producer_ttl_ms,
            str(command.known),
            names_and_values(command.drafts),
        ),
    )
    expected = {**_stream_keys(keys), keys.producer(command.producer): "hash"}
    epoch, cut, ids = yield from _asked(request, expected)
    return Appended(Epoch(epoch.decode()), tuple(map(parse_offset, ids.split())), cut == 1)


def _read(command: Read, keys: Keys, wait_ms: int) -> Exchange[tuple[Entry, ...]]:
    block: tuple[Argument, ...] = ("BLOCK", wait_ms) if wait_ms > 0 else ()  # BLOCK 0 would wait for ever
    count = command.count if PARSES_IN_C else min(command.count, _FEW)
    call = Call(("XREAD", "COUNT", count, *block, "STREAMS", keys.stream, str(command.after)))
    reply = yield from _asked(call, {keys.stream: "stream"})
    entries = list(_entries(reply[0][1])) if reply else []
    if len(entries) == count < command.count:
        request = Script(ScriptName.READ, (keys.stream,), (str(entries[-1].offset), command.count - count))
        entries.extend(_entries((yield from _asked(request, {keys.stream: "stream"}))))
    return tuple(entries)


def _read_back(command: ReadBack, keys: Keys) -> Exchange[tuple[Entry, ...]]:
    request = Script(ScriptName.BACK, (keys.stream,), (str(command.upto), command.count))
    reply = yield from _asked(request, {keys.stream: "stream"})
    return tuple(_entries(reply))


def _claim(command: ClaimSession, keys: Keys) -> Exchange[Claimed | ClaimRefused]:
    request = Script(
        ScriptName.CLAIM,
        (keys.session(command.pid), keys.claim(command.pid)),
        (
            command.namespace,
            command.identity,
            command.epoch,
            command.owner,
            command.nonce,
            -1 if command.max_bytes is None else command.max_bytes,
        ),
    )
    granted, *rest = yield from _asked(request, _session_keys(keys, command.pid), command.pid)
    if not granted:
        reason, *detail = (each.decode() for each in rest)
        return ClaimRefused(Reason(reason), *detail)
    number, value, offset, holder, state, since_ms = rest
    try:
        proven = parse_offset(offset)
    except ValueError:  # beyond 64 bits, which the script cannot tell
        return ClaimRefused(Reason.SESSION_UNKNOWN, "the claim has no valid field proven")
    return Claimed(
        number=number,
        value=value,
        proven=proven,
        holder=ServerId(holder.decode()),
        holder_state=HolderState(state.decode()),
        since_ms=since_ms,
    )


def _find(command: FindSession, keys: Keys) -> Exchange[FoundSession | None]:
    if not 0 < (yield Call(("STRLEN", keys.session(command.pid)))) <= command.max_bytes:
        return None
    value = yield Call(("GET", keys.session(command.pid)))
    number = yield Call(("HGET", keys.claim(command.pid), "n"))
    return None if value is None else FoundSession(int(number or 0), value)


def _save(command: SaveSession, keys: Keys) -> Exchange[Saved | Overtaken]:
    request = Script(
        ScriptName.SAVE,
        (keys.session(command.pid), keys.claim(command.pid)),
        (
            command.number,
            command.owner,
            command.create,
            command.value is not None,
            command.state.value,
            command.ttl_ms,
            command.linger_ms,
            str(command.proven),
            command.namespace,
            command.identity,
            command.epoch,
            b"" if command.value is None else command.value,
            command.keep_ms,
            command.nonce,
        ),
    )
    written, detail = yield from _asked(request, _session_keys(keys, command.pid), command.pid)
    return Saved(value_missing=detail == 1) if written else Overtaken(detail)


def _note(command: NoteDeadline, keys: Keys) -> Exchange[None]:
    request: Request
    if command.in_ms is None:
        request = Call(("ZREM", keys.deadlines, command.pid))
    else:
        args = (command.pid, command.in_ms, command.keep_ms)
        request = Script(ScriptName.NOTE, (keys.deadlines,), args)
    yield from _asked(request, {keys.deadlines: "zset"})


def _due(command: DueSessions, keys: Keys) -> Exchange[tuple[Pid, ...]]:
    request = Script(ScriptName.DUE, (keys.deadlines,), (command.count, command.lease_ms))
    reply = yield from _asked(request, {keys.deadlines: "zset"})
    return tuple(Pid(pid.decode()) for pid in reply)


def _expire(command: ExpireSession, keys: Keys) -> Exchange[Expired | NotYet | Gone]:
    request = Script(
        ScriptName.EXPIRE,
        (keys.session(command.pid), keys.claim(command.pid)),
        (
            command.owner,
            command.nonce,
            command.grace_ms,
            command.lease_ms,
            -1 if command.max_bytes is None else command.max_bytes,
        ),
    )
    verdict, *rest = yield from _asked(request, _session_keys(keys, command.pid), command.pid)
    if verdict == 0:
        return Gone()
    if verdict == 1:
        return NotYet(rest[0])
    number, value, state, since_ms, attempt = rest
    return Expired(number, value, HolderState(state.decode()), since_ms, attempt)


def _bury(command: BurySession, keys: Keys) -> Exchange[bool]:
    request = Script(
        ScriptName.BURY,
        (keys.session(command.pid), keys.claim(command.pid)),
        (command.number, command.linger_ms),
    )
    buried = yield from _asked(request, _session_keys(keys, command.pid), command.pid)
    return bool(buried)


def _asked(request: Request, expected: Mapping[str, str], pid: str = "") -> Exchange[Any]:
    """Make a request; where a key holds something else than `expected`, say which: Redis does not.

    A pid is a secret, so no message shows it whole.
    """
    try:
        reply = yield request
    except ServerError as error:
        if "WRONGTYPE" not in str(error):
            raise
        wrong: list[str] = []
        for key, kind in expected.items():
            found = (yield Call(("TYPE", key))).decode()
            if found not in {kind, "none"}:
                shown = key.replace(pid, f"{pid[:4]}...") if pid else key
                wrong.append(f"key {shown!r} holds a {found}, not a {kind}")
        raise StoreError(
            f"{' and '.join(wrong) or 'a key was of the wrong type'}: somebody else wrote it;"
            " delete it, or set another stream_name or session_key_prefix"
        ) from error
    return reply


def names_and_values(drafts: Iterable[Draft]) -> list[list[bytes]]:
    """Drafts as ``add_all`` in ``stream.lua`` takes them."""
    return [[part for field in draft.fields for part in field] for draft in drafts]


def _stream_keys(keys: Keys) -> dict[str, str]:
    return {keys.stream: "stream", keys.epoch: "hash"}


def _session_keys(keys: Keys, pid: Pid) -> dict[str, str]:
    return {keys.session(pid): "string", keys.claim(pid): "hash"}


def _unknown(command: object) -> Exchange[object]:
    yield from ()
    raise StoreError(f"the Redis store does not know the command {type(command).__name__}")


def _entries(reply: list[Any]) -> Iterator[Entry]:
    for id_, parts in reply:
        yield Entry(parse_offset(id_), dict(zip(parts[::2], parts[1::2], strict=True)))


def _stream_state(reply: list[Any]) -> StreamState:
    epoch, first, last, now_ms = reply
    return StreamState(Epoch(epoch.decode()), parse_offset(first), parse_offset(last), now_ms)
