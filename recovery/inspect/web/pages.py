"""The views of the page: what each shows, for its template to say."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import QueryParams

from recovery.inspect.explanation import ADVICE
from recovery.inspect.listing import SortKey, owner_of
from recovery.inspect.records import Session, SessionState
from recovery.inspect.rehearsal import Rehearsal
from recovery.inspect.traffic import Traffic
from recovery.inspect.unsent import list_unsent
from recovery.inspect.web.answers import presented_by, session_or_error
from recovery.inspect.web.asking import FILTERS, read_question
from recovery.inspect.web.desk import Desk, Presented
from recovery.inspect.web.drawing import bars_of_seconds, focus_of, lanes_of, line_of
from recovery.inspect.web.handles import handle_of
from recovery.inspect.web.rendering import data_lines
from recovery.inspect.web.surveys import MOST_LISTED
from recovery.inspect.web.timeline import timeline_of
from recovery.inspect.words import shortened, shown, shown_data, shown_pid, shown_room
from recovery.reasons import Reason

__all__ = ["VIEWS", "Context", "View", "answer_why"]

Context = dict[str, Any]
View = Callable[[Desk, QueryParams, str], Context]
"""Takes what the address has behind its question mark, and the name in it, "" if it has none."""

_MOST_ROWS = 200
_MOST_PACKETS = 50
_MOST_JUDGED = 2000  # entries that are decoded to tell why they would not be sent
_MOST_SHARES = 30
_ENTRIES = 25
_MINUTES = 60


def _row(session: Session, now_ms: int, *, reveal: bool) -> Context:
    """A session as one of many."""
    rooms = [shown_room(room) for room in session.rooms if room != session.sid]
    known = session.since_ms > 0
    over = session.state in {SessionState.ENDED, SessionState.EXPIRED} or not known
    return {
        "handle": handle_of(session.pid),
        "pid": shown_pid(session.pid, reveal=reveal),
        "sid": session.sid,
        "namespace": session.namespace,
        "state": session.state.value,
        "for_ms": max(0, now_ms - session.since_ms) if known else None,
        "left_ms": None if over else session.deadline_ms - now_ms,
        "rooms": shortened(rooms, 3),
        "problem": session.problem,
        "owner": session.holder,
        "bytes": session.size,
    }


def _sessions(desk: Desk, parameters: QueryParams, _name: str) -> Context:
    question, now_ms = read_question(parameters), desk.now_ms()
    survey, sessions = desk.page(question, now_ms)
    return {
        "rows": [_row(each, now_ms, reveal=desk.reveal) for each in sessions],
        "question": question,
        "given": {name: parameters.get(name) or "" for name in (*FILTERS, "sort")},
        "filtered": any(parameters.get(name) for name in FILTERS if name != "q"),
        "chosen": set(parameters.getlist("state")),
        "states": list(SessionState),
        "sorts": list(SortKey),
        "survey": survey,
        "more": survey.listed > question.page * question.size,
        "pages": -(-survey.listed // question.size),
        "most": MOST_LISTED,
        "busy": not survey.complete,
    }


def _session(desk: Desk, parameters: QueryParams, name: str) -> Context:
    now_ms = desk.now_ms()
    session = session_or_error(desk, name, now_ms)
    presented = presented_by(parameters)
    rehearsal = desk.rehearse(session.pid, presented, now_ms)
    membership = rehearsal.connection.membership if rehearsal.recovered else None
    timeline = timeline_of(desk.source, session, now_ms, membership=membership)
    whole = (timeline.begin_ms, timeline.end_ms)
    drawn = whole if parameters.get("time") == "all" else focus_of(timeline)
    return {
        "row": _row(session, now_ms, reveal=desk.reveal),
        "session": session,
        "owner": owner_of(desk.source, session, desk.timing, now_ms),
        "rooms": [(shown_room(room), session.joined(room)) for room in session.rooms],
        "data": data_lines(session.data),
        "timeline": timeline,
        "lanes": lanes_of(timeline, *drawn),
        "drawn": drawn,
        "focused": drawn != whole,
        "all_time": parameters.get("time") == "all",
        "packets": list(reversed(timeline.packets[-_MOST_PACKETS:])),
        "now_ms": now_ms,
        "given": {"offset": parameters.get("offset") or ""},
        **_return(desk, rehearsal, now_ms),
    }


def _return(desk: Desk, rehearsal: Rehearsal, now_ms: int) -> Context:
    """What a client would get that came back now, and why."""
    unsent = list(list_unsent(rehearsal, last=_MOST_JUDGED))
    return {
        "rehearsal": rehearsal,
        "explanation": desk.explain(rehearsal, now_ms),
        "sent": [
            (each.offset, str(each.args[0]), shown_data(list(each.args[1:-1])))
            for each in rehearsal.packets[:_MOST_ROWS]
        ],
        "unsent": unsent[-_MOST_ROWS:],
        "unsent_count": len(unsent),
        "judged": _MOST_JUDGED,
        "most": _MOST_ROWS,
    }


def answer_why(desk: Desk, form: Mapping[str, str]) -> Context:
    """Why a client that presents this would be recovered or not; nothing if nothing was asked."""
    pid = form.get("pid", "").strip()
    given = {name: form.get(name, "").strip() for name in ("pid", "offset", "namespace")}
    if not pid:
        return {"given": given, "asked": False}
    now_ms = desk.now_ms()
    known = desk.find(pid, now_ms)
    offset = None if given["offset"] in {"", "none"} else given["offset"]
    presented = Presented(offset, given["namespace"] or None)
    rehearsal = desk.rehearse(pid if known is None else known.pid, presented, now_ms)
    return {
        "given": given,
        "asked": True,
        "known": None if known is None else _row(known, now_ms, reveal=desk.reveal),
        **_return(desk, rehearsal, now_ms),
    }


def _why(_desk: Desk, _parameters: QueryParams, _name: str) -> Context:
    return {"given": {"pid": "", "offset": "", "namespace": ""}, "asked": False}


def _stream(desk: Desk, _parameters: QueryParams, _name: str) -> Context:
    traffic, samples = desk.traffic(), desk.watch.look()
    if traffic is None:
        return {"traffic": None}
    wanted = float(traffic.window_ms)
    entries = desk.newest_entries(None, _ENTRIES)
    return {
        "traffic": traffic,
        "now_ms": desk.now_ms(),
        "rate": _rate(traffic),
        "held": line_of([(each.at_ms, float(each.held_ms)) for each in samples], wanted),
        "lengths": line_of([(each.at_ms, float(each.length)) for each in samples]),
        "watched_ms": samples[-1].at_ms - samples[0].at_ms if samples else 0,
        "shares": [
            (namespace, event, count, traffic.part.sizes[namespace, event], count / traffic.part.entries)
            for (namespace, event), count in traffic.part.names.most_common(_MOST_SHARES)
        ],
        "more_shares": max(0, len(traffic.part.names) - _MOST_SHARES),
        "entries": [
            (
                each,
                shown(each.event, 60),
                shown_data(list(each.args[1:])),
                shortened([shown_room(room) for room in each.audience.rooms], 3),
            )
            for each in entries
        ],
    }


def _rate(traffic: Traffic) -> Context:
    part = traffic.part
    if part.first is None or part.last is None:
        return {"bars": (), "length_ms": 0, "highest": 0}
    begin, end = part.first.ms // 1000, part.last.ms // 1000
    return {
        "bars": bars_of_seconds(part.seconds, begin, end) if end > begin else (),
        "begin_ms": part.first.ms,
        "end_ms": part.last.ms,
        "length_ms": part.last.ms - part.first.ms,
        "highest": max(part.seconds.values(), default=0),
    }


def _recoveries(desk: Desk, _parameters: QueryParams, _name: str) -> Context:
    survey, trial, now_ms = desk.survey(), desk.trial(), desk.now_ms()
    outcomes = desk.reported().outcomes
    minute = now_ms // 60_000
    returns = dict(survey.counted.returns)
    return {
        "outcomes": outcomes,
        "total": sum((outcomes or {}).values()),
        "order": ["recovered", *(str(reason) for reason in Reason)],
        "advice": {str(reason): text for reason, text in ADVICE.items()},
        "trial": trial,
        "survey": survey,
        "returns": bars_of_seconds(returns, minute - _MINUTES + 1, minute, _MINUTES),
        "returned": sum(count for at, count in returns.items() if minute - _MINUTES < at <= minute),
        "states": list(SessionState),
        "busy": not survey.complete,
    }


def _servers(desk: Desk, _parameters: QueryParams, _name: str) -> Context:
    survey, owners = desk.owners()
    return {
        "owners": owners,
        "reported": desk.reported().servers,
        "states": list(SessionState),
        "survey": survey,
        "now_ms": desk.now_ms(),
        "busy": not survey.complete,
    }


VIEWS: Mapping[str, tuple[str, str, View]] = {
    "/": ("Sessions", "sessions.html", _sessions),
    "/sessions/{name}": ("Session", "session.html", _session),
    "/stream": ("Stream", "stream.html", _stream),
    "/recoveries": ("Recoveries", "recoveries.html", _recoveries),
    "/servers": ("Servers", "servers.html", _servers),
    "/why": ("Why", "why.html", _why),
}
"""For each address: its title, its template, and what it shows."""
