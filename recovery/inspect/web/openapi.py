"""The description of ``/api`` in OpenAPI 3.1, made of the fields that the commands' ``--json`` has.

`recovery.inspect.schema` says what each field means; what is here is where it is asked, and the types.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from recovery.inspect.records import SessionState
from recovery.inspect.schema import FIELDS
from recovery.inspect.web.asking import FILTERS

__all__ = ["OPERATIONS", "description", "schema_of"]

Schema = dict[str, Any]

_PROGRESS: Mapping[str, str] = {
    "found": "sessions that were found so far",
    "looked_at": "sessions that were looked at for that",
    "complete": "whether all were looked at; ask again for the rest",
    "states": "how many of them in each state",
}

OPERATIONS: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, str]]] = {
    "/api/place": (
        "What is looked at",
        {},
        {
            "place": "a store's URL without its password, or a file",
            "is_live": "whether it goes on changing",
            "stream_name": "as the servers are set",
            "now_ms": "the moment that answers are of, ms since 1970",
            "reveals": "whether pids are shown whole",
        },
    ),
    "/api/sessions": (
        "A page of sessions",
        {**FILTERS, "sort": "`age`, `deadline`, `size` or `sid`", "page": "from 1 on", "size": "up to 500"},
        {
            "now_ms": "the moment that the answer is of, ms since 1970",
            "page": "as asked",
            "size": "sessions on a page",
            **_PROGRESS,
            **{f"sessions[].{name}": meaning for name, meaning in FIELDS["sessions"].items()},
            "sessions[].handle": "what the other addresses take for its name",
        },
    ),
    "/api/sessions/{name}": ("All about a session", {}, FIELDS["session"]),
    "/api/sessions/{name}/replay": (
        "What its client would be sent if it came back now",
        {
            "offset": "of the last packet that the client received; none if it received none",
            "namespace": "that it connects to; the session's own if left out",
            "identity": "SHA-256 of its user; the session's own if left out",
        },
        {**FIELDS["replay"], **FIELDS["replay --all"]},
    ),
    "/api/sessions/{name}/why": (
        "Why its client would be recovered or not",
        {"offset": "as above", "namespace": "as above", "identity": "as above"},
        FIELDS["why"],
    ),
    "/api/stream": ("The stream's measures", {}, FIELDS["stream"]),
    "/api/entries": (
        "Entries of the stream: the newest first, or with `after` the oldest first",
        {
            "after": "entries after this offset",
            "before": "entries before this offset",
            "count": "so many at most, 50 if left out; fewer come if they are large",
        },
        {f"entries[].{name}": meaning for name, meaning in FIELDS["stream --entries"].items()},
    ),
    "/api/servers": (
        "Servers, as far as sessions tell of them",
        {},
        {
            "complete": _PROGRESS["complete"],
            "servers[].server": "its id",
            "servers[].states": "how many sessions it holds or last held, by state",
            "servers[].heard_ms": "when it certainly ran last, null if nothing tells",
            "servers[].kind": "`python` or `node`, null if it does not say",
            "servers[].clients": "connected to it, null if it does not say",
            "servers[].lag_ms": "how far its reader was behind, null if it does not say",
        },
    ),
    "/api/recoveries": (
        "Recoveries and refusals",
        {},
        {
            "outcomes": "how often each outcome came, null if no server counts",
            "would_be": "how often each outcome would come now, of some clients that are away",
            "tried": "how many clients that was asked of",
            "granted": "how often the sessions in the store were given back in all",
            "complete": _PROGRESS["complete"],
        },
    ),
}
"""For each address: what it answers, its parameters, its fields."""

_COUNTS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_ROOMS: Schema = {"type": "array", "items": {"type": ["string", "integer"]}}

_TYPES: Mapping[str, Schema] = {
    "state": {"type": "string", "enum": [state.value for state in SessionState]},
    "rooms": _ROOMS,
    "excluded": _ROOMS,
    "room": {"type": ["string", "integer"]},
    "args": {"type": "array"},
    "data": {"type": "object"},
    "states": _COUNTS,
    "outcomes": _COUNTS,
    "would_be": _COUNTS,
    "per_second": {"type": "number"},
    **dict.fromkeys(
        ("is_live", "reveals", "complete", "recovered", "passed", "untrimmed", "covers_window"), _FLAG
    ),
    **dict.fromkeys(("is_sample", "volatile"), _FLAG),
    **dict.fromkeys(
        ("claim", "bytes", "entries", "looked_at", "found", "page", "size", "tried", "granted", "clients"),
        _NUMBER,
    ),
}
"""The type of what is not text; a name that ends in ``_ms`` is a whole number, too."""


def schema_of(fields: Mapping[str, str]) -> Schema:
    """The JSON Schema of an object with these fields, nested as their names say.

    >>> schema_of({"a[].at_ms": "when, null if never"})["properties"]["a"]["items"]["properties"]["at_ms"]
    {'type': ['integer', 'null'], 'description': 'when, null if never'}
    """
    inside: dict[str, dict[str, str]] = {}
    for name, meaning in fields.items():
        first, _, rest = name.partition(".")
        inside.setdefault(first, {})[rest] = meaning
    properties = {first.removesuffix("[]"): _property(first, parts) for first, parts in inside.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(name: str, parts: Mapping[str, str]) -> Schema:
    if "" not in parts:
        schema = schema_of(parts)
        return {"type": "array", "items": schema} if name.endswith("[]") else schema
    kind = _TYPES.get(name) or (_NUMBER if name.endswith("_ms") else _TEXT)
    types: list[str] = [kind["type"]] if isinstance(kind["type"], str) else kind["type"]
    nullable = "null" in parts[""]
    made: Schema = {**kind, "type": [*types, "null"] if nullable else kind["type"]}
    return {**made, "description": parts[""]}


def description() -> Schema:
    """All of ``/api``."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "socketio-recovery inspector",
            "version": _version(),
            "description": "Sessions and the stream of a deployment. It reads, and never writes.",
        },
        "paths": {path: {"get": _operation(path)} for path in OPERATIONS},
        "components": {
            "schemas": {"Error": schema_of({"error": "what is wrong, and what to do"})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(path: str) -> Schema:
    said, parameters, fields = OPERATIONS[path]
    named = [{"name": "name", "in": "path", "required": True, "schema": _TEXT}] if "{name}" in path else []
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    answers: dict[str, Schema] = {
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema_of(fields)}}},
        "400": {"description": "A parameter is not what it should be.", **error},
        "401": {"description": "The token is missing.", **error},
        "404": {"description": "There is no such thing.", **error},
        "503": {"description": "The store does not answer.", **error},
    }
    return {
        "summary": said,
        "operationId": path.removeprefix("/api/").replace("/{name}", "_one").replace("/", "_"),
        "parameters": [
            *named,
            *(
                {
                    "name": name,
                    "in": "query",
                    "description": meaning,
                    "schema": {"type": "array", "items": _TEXT} if name == "state" else _TEXT,
                }
                for name, meaning in parameters.items()
            ),
        ],
        "responses": answers,
    }


def _version() -> str:
    try:
        return version("socketio-recovery")
    except PackageNotFoundError:  # run from a folder, not installed
        return "0"
