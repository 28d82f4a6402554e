"""The answers in JSON, under ``/api``: those of the commands' ``--json``, in `recovery.inspect.forms`.

`recovery.inspect.web.openapi` describes them.
"""

import json
from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recovery.errors import MalformedError
from recovery.inspect.forms import (
    entry_form,
    explanation_form,
    rehearsal_form,
    session_form,
    traffic_form,
    whole_session_form,
)
from recovery.inspect.listing import owner_of
from recovery.inspect.records import Session, SessionState
from recovery.inspect.unsent import list_unsent
from recovery.inspect.web.asking import given_offset, number_of, read_question
from recovery.inspect.web.desk import Desk, Presented
from recovery.inspect.web.handles import handle_of
from recovery.inspect.web.openapi import description
from recovery.inspect.web.surveys import Survey

__all__ = ["NotFoundError", "api_routes", "json_response", "presented_by", "session_or_error"]

Answer = dict[str, Any]
"""A JSON object."""


class NotFoundError(MalformedError):
    """There is no such session."""


def json_response(value: object, status: int = 200) -> Response:
    """A JSON value, in ASCII."""
    return Response(json.dumps(value, ensure_ascii=True), status, media_type="application/json")


def session_or_error(desk: Desk, name: str, now_ms: int) -> Session:
    """The session that an address names; raises `NotFoundError`."""
    session = desk.find(name, now_ms)
    if session is None:
        raise NotFoundError("the store has no such session: it may have expired, and be forgotten")
    return session


def presented_by(parameters: QueryParams) -> Presented:
    """What a client is taken to present; raises `MalformedError`."""
    offset = given_offset(parameters, "offset")
    return Presented(
        None if offset is None else str(offset),
        parameters.get("namespace") or None,
        parameters.get("identity") or None,
    )


def api_routes(desk: Desk) -> list[Route]:
    """The addresses under ``/api``."""
    views: dict[str, Callable[[Desk, Request], Answer]] = {
        "/api/place": _place,
        "/api/sessions": _sessions,
        "/api/sessions/{name}": _session,
        "/api/sessions/{name}/replay": _replay,
        "/api/sessions/{name}/why": _why,
        "/api/stream": _stream,
        "/api/entries": _entries,
        "/api/servers": _servers,
        "/api/recoveries": _recoveries,
        "/api/openapi.json": lambda _desk, _request: description(),
    }
    return [Route(path, _endpoint(desk, view)) for path, view in views.items()]


def _endpoint(desk: Desk, view: Callable[[Desk, Request], Answer]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return json_response(view(desk, request))

    return answer


def _place(desk: Desk, _request: Request) -> Answer:
    return {
        "place": desk.source.place,
        "is_live": desk.source.is_live,
        "stream_name": desk.stream_name,
        "now_ms": desk.now_ms(),
        "reveals": desk.reveal,
    }


def _progress(survey: Survey) -> Answer:
    return {
        "found": survey.counted.found,
        "looked_at": survey.looked_at,
        "complete": survey.complete,
        "states": {state.value: survey.counted.states[state] for state in SessionState},
    }


def _sessions(desk: Desk, request: Request) -> Answer:
    question, now_ms = read_question(request.query_params), desk.now_ms()
    survey, sessions = desk.page(question, now_ms)
    return {
        "now_ms": now_ms,
        "page": question.page,
        "size": question.size,
        **_progress(survey),
        "sessions": [
            session_form(each, now_ms, reveal=desk.reveal) | {"handle": handle_of(each.pid)}
            for each in sessions
        ],
    }


def _session(desk: Desk, request: Request) -> Answer:
    now_ms = desk.now_ms()
    session = session_or_error(desk, request.path_params["name"], now_ms)
    owner = owner_of(desk.source, session, desk.timing, now_ms)
    rehearsal = desk.rehearse(session.pid, Presented(), now_ms)
    return whole_session_form(session, owner, rehearsal, now_ms, reveal=desk.reveal)


def _replay(desk: Desk, request: Request) -> Answer:
    now_ms = desk.now_ms()
    session = session_or_error(desk, request.path_params["name"], now_ms)
    rehearsal = desk.rehearse(session.pid, presented_by(request.query_params), now_ms)
    return rehearsal_form(rehearsal, list_unsent(rehearsal), reveal=desk.reveal)


def _why(desk: Desk, request: Request) -> Answer:
    now_ms = desk.now_ms()
    session = session_or_error(desk, request.path_params["name"], now_ms)
    rehearsal = desk.rehearse(session.pid, presented_by(request.query_params), now_ms)
    return explanation_form(desk.explain(rehearsal, now_ms), session.pid, reveal=desk.reveal)


def _stream(desk: Desk, _request: Request) -> Answer:
    traffic = desk.traffic()
    if traffic is None:
        raise NotFoundError("there is no stream")
    return traffic_form(traffic)


def _entries(desk: Desk, request: Request) -> Answer:
    parameters = request.query_params
    count = number_of(parameters, "count", 50, most=500)
    after, before = given_offset(parameters, "after"), given_offset(parameters, "before")
    if after is not None and before is not None:
        raise MalformedError("after and before exclude each other")
    found = desk.newest_entries(before, count) if after is None else desk.entries_after(after, count)
    return {"entries": [entry_form(each) for each in found]}


def _servers(desk: Desk, _request: Request) -> Answer:
    survey, owners = desk.owners()
    reported = desk.reported().servers
    servers: list[Answer] = []
    for owner in owners:
        said = reported.get(owner.server)
        servers.append(
            {
                "server": owner.server,
                "states": {state.value: owner.sessions.get(state, 0) for state in SessionState},
                "heard_ms": owner.heard_ms,
                "kind": None if said is None else said.kind.value,
                "clients": None if said is None else said.clients,
                "lag_ms": None if said is None or said.lag is None else round(said.lag * 1000),
            }
        )
    return {"complete": survey.complete, "servers": servers}


def _recoveries(desk: Desk, _request: Request) -> Answer:
    survey, trial = desk.survey(), desk.trial()
    outcomes = desk.reported().outcomes
    return {
        "outcomes": None if outcomes is None else dict(outcomes),
        "would_be": dict(trial.outcomes),
        "tried": trial.tried,
        "granted": survey.counted.granted,
        "complete": survey.complete,
    }
