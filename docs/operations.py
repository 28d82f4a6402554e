"""Draws the tables for whoever runs servers: metrics, log events, and why a server is not ready."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapter.figures import FIGURES
from recovery.core.health import Trouble

__all__ = ["LOG_EVENTS", "LogCall", "log_calls", "log_reference", "metric_reference", "trouble_reference"]

_ROOT = Path(__file__).resolve().parents[1]
_LEVELS = {"exception": "error"}

_MEANINGS = """
answer.unexpected: A client has acknowledged what nobody waits for any more.
bridge.failed: A bridge between regions stands still: one of its stores does not answer, or refuses. Said at
    first, and once a minute while it goes on. It goes on by itself from the position that it has kept.
bridge.gap: Entries of a bridge's source were gone before they could be carried over: it was away for longer
    than the retention, or the source lost writes. Clients on the other side do not get them.
bridge.moved: A bridge found another position in its target than its own, and goes on from there: another
    process of the same name has carried on, or the target lost writes in a failover.
bridge.resumed: A bridge goes on.
bridge.started: A bridge begins, at the position that its target keeps.
channel.failed: The servers cannot be asked or heard: said at first, and once a minute while it goes on.
    Packets and recoveries need none of it; `fetch_sockets` and the like fail or miss servers meanwhile.
client.slow: A client lets too many packets wait (`max_client_buffer`); its connection is closed, and it may
    come back and recover. Now and then: a bad network. Many: raise the buffer, or send less.
entry.skipped: An entry of the stream cannot be read, or is too large; nobody gets it. The 1st, 2nd, 4th and
    so on of each cause is logged. Somebody else writes into the stream, or the servers differ in
    `max_packet_bytes`.
expiry.abandoned: The handler `session_expired` has failed for a session as often as it is tried. Mend it.
expiry.complete: The handler `session_expired` has run for a session.
expiry.failed: The store did not answer, or a session cannot be read, while a session was to be seen off; it
    is tried again, unless it cannot be read.
handler.failed: A handler of the application raised: a disconnect handler, `session_expired`, or a handler
    of a Python client. The traceback follows.
message.skipped: A message of another server cannot be read; nobody answers it. Said at first, and once a
    minute while it goes on. Somebody else writes to the channels, or a release differs.
packet.unreadable: In a Python client: a packet cannot be read.
publish.failed: A packet that nobody waits for (an answer to another server, an emit of the Admin UI) was
    not confirmed by the store.
reader.defect: A defect of this library; the traceback follows. The reader goes on. Please report it.
reader.failed: The stream cannot be read: said at first, and once a minute while it goes on.
reader.gap: Entries are missing between the last one read and what the stream has: all clients of this
    process have to reconnect, and are told. The reader was away for longer than the retention, `max_len`
    cut, or the store lost writes.
reader.resumed: The stream is read again.
reader.started: This process has begun to read the stream, and can recover clients.
recover.complete: A client is recovered, if the application accepts it.
recover.failed: A recovery was given up because the store did not answer, or what it has cannot be read. Of
    a Python client: the state that it keeps cannot be used.
recover.guessing: A transport presents pids that are not to be had; no more of its are looked up.
recover.refused: A client was not recovered, or the application refused it: `reason` is one of
    [these](reasons.md).
room.unchanged: A change of rooms that came through the stream does not fit python-socketio's tables: the
    room is another client's sid, or the client is not in them yet.
save.failed: The session of a client is not saved, or not ended: the store did not confirm it, or it is too
    large.
save.refused: A session belongs to another server now; the connection here is closed.
session.astray: A request came for an Engine.IO session that this server does not have: said at first, and
    once a minute while it goes on. Now and then: a client that polls was late. Much: a load balancer in front
    of several servers without [sticky sessions](../how-to/run-behind-nginx.md).
stream.cut: `max_len` cuts entries that a client may still need: said at first, and once a minute while it
    goes on. Raise it, or lower `max_disconnection_duration`.
takeover.noticed: A client of this process is on another server now; its connection here is closed.
takeover.timeout: Another server did not say within `takeover_timeout` that its disconnect handler for a
    client has finished; the client is let in without. It was killed, is frozen, or the handler is slow.
task.failed: A defect of this library or an error of a handler, in the background; the traceback follows.
"""

LOG_EVENTS: Mapping[str, str] = {
    event: " ".join(meaning.split())
    for event, meaning in re.findall(r"^([a-z.]+): (.*(?:\n .*)*)", _MEANINGS, re.MULTILINE)
}
"""What each log event means, and what to do about it."""


@dataclass(frozen=True, slots=True)
class LogCall:
    """One place at which something is logged.

    Attributes:
        event: its name; empty if it has none.
        fields: further attributes of the record.
    """

    path: str
    logger: str
    level: str
    event: str
    fields: tuple[str, ...]


def log_calls() -> Iterator[LogCall]:
    """All places of the shipped code at which something is logged."""
    for package in ("recovery", "adapter"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            yield from _calls_in(path)


def metric_reference() -> str:
    """List the metrics, from `adapter.figures.FIGURES`."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for figure in FIGURES:
        labels = ", ".join(f"`{label}`" for label in figure.labels)
        rows.append(f"| `{figure.name}` | {figure.kind} | {labels} | {figure.meaning} |")
    return "\n".join(rows)


def log_reference() -> str:
    """List the log events: what the code says of each, and what it means."""
    found: defaultdict[str, list[LogCall]] = defaultdict(list)
    for call in log_calls():
        if call.event:
            found[call.event].append(call)
    rows = ["| event | level | logger | fields | what it means |", "|---|---|---|---|---|"]
    for event, calls in sorted(found.items()):
        levels = ", ".join(dict.fromkeys(call.level for call in calls))
        loggers = ", ".join(dict.fromkeys(f"`{call.logger}`" for call in calls))
        fields = ", ".join(sorted({f"`{name}`" for call in calls for name in call.fields}))
        rows.append(f"| `{event}` | {levels} | {loggers} | {fields} | {LOG_EVENTS[event]} |")
    return "\n".join(rows)


def trouble_reference() -> str:
    """List why a server should get no clients, from `recovery.core.health.Trouble`."""
    tree = ast.parse((_ROOT / "recovery/core/health.py").read_text(encoding="utf-8"))
    [body] = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trouble"]
    strings = [node.value for node in body if isinstance(node, ast.Expr)]
    meanings = [" ".join(str(ast.literal_eval(string)).split()) for string in strings[1:]]
    rows = ["| reason | meaning |", "|---|---|"]
    rows += [f"| `{trouble}` | {meaning} |" for trouble, meaning in zip(Trouble, meanings, strict=True)]
    return "\n".join(rows)


def _calls_in(path: Path) -> Iterator[LogCall]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    loggers = [
        node.value.args[0].value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "logger"
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.args[0], ast.Constant)
    ]
    for function in _functions(tree) if loggers else ():
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
                level = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                extra = _extra(node, function)
                name = extra.pop("event", "")
                where = path.relative_to(_ROOT).as_posix()
                yield LogCall(where, str(loggers[0]), _LEVELS.get(level, level), name, tuple(extra))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods, but none within another."""
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else (node,):
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                yield inner


def _extra(call: ast.Call, function: ast.AST) -> dict[str, str]:
    """What a call gives as ``extra``, directly or by a variable; a value that is not constant is empty."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    if isinstance(given, ast.Name):
        named = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == given.id
        ]
        given = max((node for node in named if node.lineno < call.lineno), key=lambda node: node.lineno).value
    if not isinstance(given, ast.Dict):
        return {}
    return {
        str(ast.literal_eval(key)): str(value.value) if isinstance(value, ast.Constant) else ""
        for key, value in zip(given.keys, given.values, strict=True)
        if key is not None
    }
