"""What the inspector finds, in JSON: the same for the command line and for whatever else answers programs.

`recovery.inspect.schema` says what each field means. A pid is shown by its beginning unless it is to be
revealed.
"""

from collections.abc import Iterable
from typing import Any

from recovery.aio.roll_call import Roll
from recovery.inspect.checkup import Finding
from recovery.inspect.comparison import Difference, StreamDifference
from recovery.inspect.explanation import Explanation
from recovery.inspect.records import Owner, Session
from recovery.inspect.rehearsal import Packet, Rehearsal
from recovery.inspect.traffic import DecodedEntry, Traffic
from recovery.inspect.unsent import Unsent
from recovery.inspect.words import as_json, shown_pid

__all__ = [
    "difference_form",
    "entry_form",
    "explanation_form",
    "finding_form",
    "rehearsal_form",
    "roll_form",
    "session_form",
    "stream_difference_form",
    "traffic_form",
    "whole_session_form",
]

Form = dict[str, Any]
"""A JSON object."""


def session_form(session: Session, now_ms: int, *, reveal: bool) -> Form:
    """A session, as one of many."""
    return {
        "pid": _pid(session.pid, reveal=reveal),
        "sid": session.sid,
        "namespace": session.namespace,
        "state": session.state.value,
        "rooms": list(session.rooms),
        "holder": session.holder,
        "claim": session.number,
        "since_ms": session.since_ms,
        "deadline_ms": session.deadline_ms,
        "left_ms": max(0, session.deadline_ms - now_ms),
        "proven": str(session.proven),
        "bytes": session.size,
        "problem": session.problem,
    }


def whole_session_form(
    session: Session, owner: Owner, rehearsal: Rehearsal, now_ms: int, *, reveal: bool
) -> Form:
    """All about one session: its owner, and what a reconnection now would get."""
    joined = [(room, session.joined(room)) for room in session.rooms]
    return session_form(session, now_ms, reveal=reveal) | {
        "rooms": [{"room": room, "since": None if at is None else str(at)} for room, at in joined],
        "identity": session.identity,
        "epoch": session.epoch,
        "start": str(session.start),
        "position": str(session.position),
        "claimed_ms": session.claimed_ms,
        "owner": {"server": owner.server, "heard_ms": owner.heard_ms},
        "data": as_json(session.data),
        "outcome": rehearsal.outcome,
        "packets": [_packet(packet) for packet in rehearsal.packets],
    }


def rehearsal_form(rehearsal: Rehearsal, unsent: Iterable[Unsent] | None = None, *, reveal: bool) -> Form:
    """A rehearsal, and what it would not send, if that was asked."""
    form: Form = {
        "outcome": rehearsal.outcome,
        "recovered": rehearsal.recovered,
        "pid": _pid(str(rehearsal.presented.pid), reveal=reveal),
        "sid": rehearsal.connection.sid or None,
        "namespace": rehearsal.connection.namespace,
        "floor": str(rehearsal.connection.proven) if rehearsal.recovered else None,
        "rooms": list(rehearsal.rooms) if rehearsal.recovered else [],
        "packets": [_packet(packet) for packet in rehearsal.packets],
    }
    if unsent is not None:
        form["unsent"] = [_unsent(each) for each in unsent]
    return form


def explanation_form(explanation: Explanation, pid: str, *, reveal: bool) -> Form:
    """An explanation of what a client with this pid would get."""
    steps = explanation.steps
    return {
        "outcome": explanation.outcome,
        "pid": _pid(pid, reveal=reveal),
        "steps": [{"name": step.name, "passed": step.passed, "said": step.said} for step in steps],
        "advice": explanation.advice,
    }


def traffic_form(traffic: Traffic) -> Form:
    """The stream's measures."""
    part, stream = traffic.part, traffic.stream
    return {
        "entries": traffic.length,
        "epoch": stream.epoch,
        "oldest": str(stream.first),
        "newest": str(stream.last),
        "bytes": traffic.size,
        "per_second": part.per_second,
        "held_ms": traffic.held_ms,
        "window_ms": traffic.window_ms,
        "retention_ms": traffic.retention_ms,
        "untrimmed": traffic.untrimmed,
        "covers_window": traffic.covers_window,
        "looked_at": part.entries,
        "is_sample": traffic.is_sample,
        "shares": [
            {"namespace": namespace, "event": event, "entries": count, "bytes": part.sizes[namespace, event]}
            for (namespace, event), count in part.names.most_common()
        ],
    }


def entry_form(entry: DecodedEntry) -> Form:
    """An entry of the stream."""
    return {
        "offset": str(entry.offset),
        "namespace": entry.namespace,
        "kind": None if entry.kind is None else entry.kind.name,
        "event": entry.event,
        "args": as_json(list(entry.args[1:])),
        "rooms": list(entry.audience.rooms),
        "excluded": list(entry.audience.excluded),
        "volatile": entry.volatile,
        "server": entry.server,
        "bytes": entry.size,
        "problem": entry.problem,
    }


def difference_form(difference: Difference, *, reveal: bool) -> Form:
    """A session that differs between two sources."""
    changes = {name: {"a": as_json(a), "b": as_json(b)} for name, (a, b) in difference.changes.items()}
    return {
        "kind": difference.kind.value,
        "pid": _pid(difference.pid, reveal=reveal),
        "sid": difference.sid,
        "changes": changes,
    }


def stream_difference_form(difference: StreamDifference) -> Form:
    """What two sources have of the stream."""
    return {name: {"a": a, "b": b} for name, (a, b) in difference.values.items()}


def finding_form(finding: Finding) -> Form:
    """What a check found."""
    return {
        "check": finding.check,
        "level": finding.level.value,
        "said": finding.said,
        "todo": finding.todo,
    }


def _packet(packet: Packet) -> Form:
    return {
        "offset": packet.offset,
        "event": str(packet.args[0]),
        "args": as_json(list(packet.args[1:-1])),
    }


def _unsent(unsent: Unsent) -> Form:
    return {
        "offset": str(unsent.offset),
        "kind": None if unsent.kind is None else unsent.kind.name,
        "event": unsent.event,
        "reason": unsent.reason.value,
    }


def roll_form(roll: Roll) -> Form:
    """The servers that have answered, and how many have not."""
    servers = [
        {
            "server": each.server,
            "runs": each.kind.value,
            "name": each.name,
            "clients": each.clients,
            "lag_ms": None if each.lag is None else round(each.lag * 1000),
            "outcomes": None if each.outcomes is None else dict(each.outcomes),
        }
        for each in roll.servers
    ]
    return {"servers": servers, "silent": roll.silent}


def _pid(pid: str, *, reveal: bool) -> str:
    return pid if reveal else shown_pid(pid, reveal=False)
