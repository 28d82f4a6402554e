"""Redaction: a snapshot that may be given away, and still tells what was recovered and what was not.

What goes: pids, users' identities, session data, the arguments of events and acknowledgements, and whatever
cannot be read. What stays: sids, rooms, namespaces, names of events, offsets, times and sizes of what is
left. Rooms and events that are named after people still name them.

One pid, or identity, is replaced by the same word throughout, so that sessions can still be told apart.
"""

from dataclasses import replace
from typing import Any

from recovery.core.packets import StoredEntry
from recovery.entries import Kind, Payload, PayloadCodec
from recovery.errors import MalformedError
from recovery.inspect.records import StoredSession
from recovery.packing import is_list, is_map
from recovery.records import Entry, Pid
from recovery.sessions import decode_session, encode_session, encode_user_session

__all__ = ["Redaction"]

_NOTHING = b"redacted"
_FIELDS = (b"uid", b"nsp", b"type", b"to", b"for")  # of an entry
_KEPT = ("opts", "rooms", "requestId", "sid", "claim", "holder", "close")  # of its data


class Redaction:
    """Takes secrets and data out of sessions and entries; one for a whole snapshot.

    >>> from recovery.offsets import Offset
    >>> Redaction().entry(Entry(Offset(5, 0), {b"uid": b"me", b"secret": b"x"})).fields
    {b'uid': b'redacted', b'secret': b'redacted'}
    """

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec or PayloadCodec()
        self._pids: dict[str, Pid] = {}
        self._identities: dict[bytes, bytes] = {b"": b""}

    def session(self, stored: StoredSession) -> StoredSession:
        """A session without its pid, identity and data."""
        pid = self._pids.setdefault(stored.pid, Pid(f"redacted-{len(self._pids) + 1:010d}"))
        claim = dict(stored.claim)
        claim.pop("nonce", None)
        if "identity" in claim:
            identity = claim["identity"]
            claim["identity"] = self._identities.setdefault(identity, b"user-%d" % len(self._identities))
        value = None if stored.value is None else self._value(stored.value, pid)
        problem = stored.problem.replace(stored.pid, pid)
        size = stored.size if value is None else len(value)
        return replace(stored, pid=pid, claim=claim, value=value, size=size, problem=problem)

    def entry(self, entry: Entry) -> Entry:
        """An entry without the data that the application put into it."""
        try:
            stored: StoredEntry[Any] = StoredEntry.read(entry)
        except MalformedError:
            return self._emptied(entry)
        if stored.head is None:
            return entry if set(entry.fields) == {b"epoch"} else self._emptied(entry)
        try:
            payload = self._payload(stored.head.kind, stored.payload(self._codec))
        except MalformedError:
            data = _NOTHING
        else:
            data = self._codec.encode(payload)
        known = {name: entry.fields[name] for name in _FIELDS if name in entry.fields}
        return Entry(entry.offset, {**known, b"data": data})

    def _value(self, value: bytes, pid: Pid) -> bytes:
        try:
            return encode_session(replace(decode_session(value), pid=pid, data={}))
        except MalformedError:
            return _NOTHING

    def _payload(self, kind: Kind, payload: Payload) -> dict[str, Any]:
        kept = {name: payload[name] for name in _KEPT if name in payload}
        if kind is Kind.BROADCAST:
            packet = payload.get("packet")
            args = packet.get("data") if is_map(packet) else None
            return {"packet": {"type": 2, "data": args[:1] if is_list(args) else []}, **kept}
        if kind is Kind.ACK:
            return {"packet": [], **kept}
        if kind is Kind.SERVER_EVENT:
            args = payload.get("packet")
            return {"packet": args[:1] if is_list(args) else [], **kept}
        if kind in {Kind.SESSION, Kind.SET_SESSION}:
            return {"session": encode_user_session({}), **kept}
        return kept

    def _emptied(self, entry: Entry) -> Entry:
        return Entry(entry.offset, dict.fromkeys(entry.fields, _NOTHING))
