"""What commands print with ``--json``: every field, and what it means.

`docs/reference/cli.md` is made of this, and the tests hold what commands print against it. A name with ``[]``
is that of a list's elements, one with a dot is inside another.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from recovery.packing import is_list, is_map

__all__ = ["FIELDS", "LINE_BY_LINE", "undocumented"]

LINE_BY_LINE = {
    "sessions": "one object for each session",
    "stream --entries": "one object for each entry",
    "diff": "one object for the stream, then one for each session that differs",
    "watch": "one object for each look",
}
"""Commands that print several JSON objects, one a line."""

_SESSION: Mapping[str, str] = {
    "pid": "private id; its first 6 characters, unless `--reveal`",
    "sid": "socket id, null if it is not known any more",
    "namespace": "of Socket.IO",
    "state": "`live`, `closing`, `away`, `expired`, `ended` or `unreadable`",
    "rooms": "a list of the rooms that it was saved with, its sid among them",
    "holder": "server that last held its connection",
    "claim": "number of the claim in force",
    "since_ms": "when the connection opened, closed or ended, ms since 1970",
    "deadline_ms": "when it expires, or has",
    "left_ms": "time left, 0 if none",
    "proven": "offset up to which its client has received everything",
    "bytes": "of the saved session, null if there is none",
    "problem": "why it cannot be read, empty if it can",
}

_PACKETS: Mapping[str, str] = {
    "packets[].offset": "place in the stream",
    "packets[].event": "name of the event",
    "packets[].args": 'its arguments; binary is `{"base64": ...}`',
}

_ROLL: Mapping[str, str] = {
    "servers[].server": "its id, as in a session's `holder`; one of Node's has one for each namespace",
    "servers[].runs": "`python` or `node`",
    "servers[].name": "host and process id, empty for one of Node's",
    "servers[].clients": "connected to it, null if it does not say",
    "servers[].lag_ms": "by which its reader is behind the stream, null if it does not say",
    "servers[].outcomes": "`recovered` and each reason with how often it came, null if it does not say",
    "silent": "how many more listened and did not answer in time",
}

FIELDS: Mapping[str, Mapping[str, str]] = {
    "sessions": _SESSION,
    "sessions --count": {
        "sessions": "how many there are",
        "states": "how many in each state, all states named",
    },
    "session": {
        **{name: meaning for name, meaning in _SESSION.items() if name != "rooms"},
        "rooms[].room": "a room that it was saved with",
        "rooms[].since": "offset at which it entered, null if that is not kept any more",
        "identity": "SHA-256 of the user that it is bound to, empty for none",
        "epoch": "of the stream that it was saved with",
        "start": "it sees what comes after this offset",
        "position": "its rooms were right up to here when they were saved",
        "claimed_ms": "when a client was last granted it, null if never",
        "owner.server": "the holder",
        "owner.heard_ms": "when that certainly ran last, null if nothing tells",
        "data": "the user session",
        "outcome": "`recovered`, or the reason why it would not be now",
        **_PACKETS,
    },
    "session --delete": {"deleted": "true", "sid": "of the session that was ended"},
    "replay": {
        "outcome": "`recovered`, or the reason",
        "recovered": "true or false",
        "pid": "as it was presented; its first 6 characters, unless `--reveal`",
        "sid": "that it would get back, null if not",
        "namespace": "that it connects to",
        "floor": "it has everything up to this offset, null if it would not be recovered",
        "rooms": "that it would be in",
        **_PACKETS,
    },
    "replay --all": {
        "unsent[].offset": "an entry that was looked at and would not be sent",
        "unsent[].kind": "what the entry does, null if that cannot be told",
        "unsent[].event": "name of its event, empty if it is none",
        "unsent[].reason": (
            "`already-received`, `other-namespace`, `volatile`, `acknowledgement`, `control`, `unreadable`,"
            " `before-session`, `before-joining`, `after-leaving`, `other-room` or `excluded`"
        ),
    },
    "why": {
        "outcome": "`recovered`, or the reason",
        "pid": "as it was presented; its first 6 characters, unless `--reveal`",
        "steps[].name": "of a check: `form`, `claim`, `session`, `floor`, `stream`, `replay`",
        "steps[].passed": "false for the one that decided against it; nothing comes after it",
        "steps[].said": "what was found",
        "advice": "what to change, empty if nothing",
    },
    "stream": {
        "entries": "in the stream",
        "epoch": "random identity of the stream",
        "oldest": "offset of the oldest entry",
        "newest": "offset of the newest one",
        "bytes": "of all fields, estimated from those looked at",
        "per_second": "entries a second among those looked at, null if no time lies between them",
        "held_ms": "how far it reaches back",
        "window_ms": "`max_disconnection_duration`, as given",
        "retention_ms": "how long entries are kept for that",
        "untrimmed": "true if it holds everything since its beginning",
        "covers_window": "whether it reaches back far enough",
        "looked_at": "number of entries that rate, bytes and shares are of",
        "is_sample": "whether those are only the newest",
        "shares[].namespace": "of some of them, empty for those without",
        "shares[].event": "name of their event, or in parentheses what they do",
        "shares[].entries": "how many",
        "shares[].bytes": "of their fields",
    },
    "stream --entries": {
        "offset": "place in the stream",
        "namespace": "empty for those without",
        "kind": "what it does, null for a genesis entry and what is not ours",
        "event": "name of its event, or in parentheses what it does",
        "args": 'its arguments; binary is `{"base64": ...}`',
        "rooms": "addressed, none for everyone",
        "excluded": "rooms whose members are left out",
        "volatile": "true or false",
        "server": "who appended it",
        "bytes": "of its fields",
        "problem": "why it cannot be read, empty if it can",
    },
    "export": {"sessions": "written", "entries": "written", "bytes": "of the file"},
    "import": {"sessions": "written", "entries": "written", "bytes": "0"},
    "diff": {
        "epoch": "of the streams, `a` and `b`",
        "oldest": "offsets of their oldest entries",
        "newest": "offsets of their newest ones",
        "entries": "how many they have",
        "kind": "`new`, `gone` or `changed`",
        "pid": "of the session; its first 6 characters, unless `--reveal`",
        "sid": "null if it is not known",
        "changes": "for each name that differs `a` and `b`; empty unless it has changed",
    },
    "doctor": {
        "findings[].check": "its name",
        "findings[].level": "`ok`, `warn`, `fail` or `skip`",
        "findings[].said": "what was found",
        "findings[].todo": "what to do, empty for nothing",
    },
    "servers": _ROLL,
    "watch": {**_ROLL, "since": "how often each outcome has come since the watch began"},
    "web": {
        "url": "of the page, printed when it can be opened",
        "needs_token": "true or false",
    },
}
"""The fields of each command's objects, with the option that adds or changes them."""


def undocumented(value: object, fields: Mapping[str, str]) -> set[str]:
    """Names in a JSON value that are not among these fields, and fields that it lacks; for tests.

    >>> sorted(undocumented({"a": 1, "b": [{"c": 2}]}, {"a": "one", "b[].c": "two"}))
    []
    """
    return set(_names(value, "", fields)) ^ set(fields)


def _names(value: object, prefix: str, fields: Mapping[str, str]) -> Iterator[str]:
    """The names in a value, as deep as they are documented."""
    if is_map(value) and prefix not in fields:
        for name, inside in value.items():
            yield from _names(inside, f"{prefix}.{name}".removeprefix("."), fields)
    elif is_list(value) and any(name.startswith(f"{prefix}[]") for name in fields):
        for inside in value or [_blank(prefix, fields)]:
            yield from _names(inside, f"{prefix}[]", fields)
    else:
        yield prefix


def _blank(prefix: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """An element with all fields, in place of those that an empty list does not show."""
    names = (name.removeprefix(f"{prefix}[].") for name in fields if name.startswith(f"{prefix}[]."))
    return dict.fromkeys(names)
