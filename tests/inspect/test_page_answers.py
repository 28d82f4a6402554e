"""The page's JSON: what its description says, what the commands print, the same from each kind of source."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from recovery.inspect.schema import FIELDS
from recovery.inspect.web.handles import handle_of
from recovery.inspect.web.openapi import OPERATIONS, description
from tests.inspect.browsing import Visitor, opened
from tests.inspect.commands import run
from tests.inspect.recording import WINDOW, Recorded

SETTINGS = ("--set", f"max_disconnection_duration={WINDOW}", "--set", "checkpoint_interval=0.2")


@pytest.fixture
def client(kind: str, places: dict[str, str]) -> Iterator[Visitor]:
    with opened(places[kind]) as client:
        yield client


def _get(client: Visitor, path: str) -> Any:
    response = client.get(path)
    assert response.status_code == 200, response.text
    _check(path, response.json())
    return response.json()


def _check(path: str, answer: object) -> None:
    """Hold an answer against its description."""
    plain = re.sub(r"^/api/sessions/[^/?]+", "/api/sessions/{name}", path).partition("?")[0]
    [schema] = [
        answer["content"]["application/json"]["schema"]
        for status, answer in description()["paths"][plain]["get"]["responses"].items()
        if status == "200"
    ]
    Draft202012Validator(schema).validate(answer)


def _paths(recorded: Recorded) -> list[str]:
    sessions = [f"/api/sessions/{handle_of(left.pid)}" for left in recorded.clients.values()]
    return [
        *(path for path in OPERATIONS if "{name}" not in path),
        *sessions,
        *(f"{path}/{what}" for path in sessions for what in ("replay", "why")),
        "/api/sessions?sort=age&size=3&page=2",
        "/api/entries?after=0-0&count=4",
    ]


def test_the_description_is_openapi() -> None:
    validate(description())


def test_every_answer_is_as_described(client: Visitor, recorded: Recorded) -> None:
    for path in _paths(recorded):
        _get(client, path)


def test_the_description_is_given_itself(client: Visitor) -> None:
    assert client.get("/api/openapi.json").json() == json.loads(json.dumps(description()))


def test_a_description_that_lacks_a_field_is_noticed(client: Visitor) -> None:
    answer = _get(client, "/api/place")
    with pytest.raises(Exception, match="Additional properties"):
        _check("/api/place", answer | {"more": 1})
    with pytest.raises(Exception, match="required property"):
        _check("/api/place", {})


def test_every_field_of_the_commands_is_described_in_the_same_words() -> None:
    described = json.dumps(description())
    for command in ("sessions", "session", "replay", "replay --all", "why", "stream", "stream --entries"):
        assert not [meaning for meaning in FIELDS[command].values() if json.dumps(meaning) not in described]


def test_answers_are_those_of_the_commands(
    client: Visitor, kind: str, places: dict[str, str], recorded: Recorded
) -> None:
    option = {"live": "--url", "snapshot": "--snapshot", "rdb": "--rdb"}[kind]
    at = (option, places[kind], *SETTINGS, "--json")
    ann = recorded["ann"]
    path = f"/api/sessions/{handle_of(ann.pid)}"
    assert _get(client, f"{path}/why?offset={ann.offset}") == run("why", ann.pid, ann.offset, *at).json
    assert (
        _get(client, f"{path}/replay?offset={ann.offset}")
        == run("replay", ann.pid, "--offset", ann.offset, "--all", *at).json
    )
    assert _still(_get(client, path)) == _still(run("session", ann.pid, *at).json)
    assert _still(_get(client, "/api/stream")) == _still(run("stream", *at).json)
    listed = {each["sid"]: _still(each) for each in _get(client, "/api/sessions")["sessions"]}
    assert listed == {each["sid"]: _still(each) for each in run("sessions", *at).json_lines}
    entries = _get(client, "/api/entries")["entries"]
    assert list(reversed(entries)) == run("stream", "--entries", *at).json_lines


def _still(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what a clock that goes on changes, and what only the page has."""
    moving = {"left_ms", "held_ms", "handle"}
    return {name: value for name, value in answer.items() if name not in moving}


def test_nothing_shows_a_pid(client: Visitor, recorded: Recorded) -> None:
    for path in [*_paths(recorded), "/", *(p.removeprefix("/api") for p in _paths(recorded)[8:])]:
        said = client.get(path).text
        assert not [name for name, left in recorded.clients.items() if left.pid[:7] in said], path


def test_pids_are_revealed_on_demand(places: dict[str, str], recorded: Recorded) -> None:
    with opened(places["live"], reveal=True) as client:
        pids = {each["pid"] for each in _get(client, "/api/sessions")["sessions"]}
        assert pids == {left.pid for left in recorded.clients.values()}
        assert recorded["ann"].pid in client.get("/").text


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("room=news", {"ann", "bob"}),
        ("namespace=/chat", {"cat"}),
        ("state=ended", {"dan"}),
        ("state=expired&state=ended", {"dan", "gus"}),
        ("q=NEW", {"ann", "bob"}),
        ("q=sport&namespace=/", {"bob"}),
        ("q=no-such-thing", set()),
        ("older=100000h", set()),
        ("younger=100000h&state=away&room=news", {"ann"}),
        ("q=%3Cscript", {"ivy"}),
    ],
)
def test_sessions_are_chosen(client: Visitor, recorded: Recorded, query: str, names: set[str]) -> None:
    found = _get(client, f"/api/sessions?{query}")
    wanted = {handle_of(recorded[name].pid) for name in names}
    assert {each["handle"] for each in found["sessions"]} == wanted
    assert found["found"] == len(wanted)


def test_a_search_finds_a_pid_by_what_is_shown_of_it_or_whole(client: Visitor, recorded: Recorded) -> None:
    pid = recorded["cat"].pid

    def found(text: str) -> int:
        answer = client.get("/api/sessions", params={"q": text}).json()
        return len([each for each in answer["sessions"] if each["handle"] == handle_of(pid)])

    assert (found(pid[:6]), found(pid)) == (1, 1)
    assert [found(pid[:length]) for length in range(7, len(pid))] == [0] * (len(pid) - 7)


def test_a_session_is_named_by_handle_sid_pid_or_what_is_shown(client: Visitor, recorded: Recorded) -> None:
    cat = recorded["cat"]
    for name in (handle_of(cat.pid), cat.sid, cat.pid, cat.pid[:6]):
        assert _get(client, f"/api/sessions/{name}")["sid"] == cat.sid
    assert client.get(f"/api/sessions/{cat.pid[:7]}").status_code == 404
    assert client.get("/api/sessions/abcdef.0123456789abcdef").status_code == 404


def test_pages_of_sessions_hold_each_once(client: Visitor) -> None:
    for sort in ("", "&sort=sid"):
        pages = [_get(client, f"/api/sessions?size=3&page={page}{sort}")["sessions"] for page in (1, 2, 3, 4)]
        handles = [each["handle"] for page in pages for each in page]
        assert [len(page) for page in pages] == [3, 3, 2, 0]
        assert len(set(handles)) == 8


def test_sessions_are_sorted(client: Visitor) -> None:
    sizes = [each["bytes"] or 0 for each in _get(client, "/api/sessions?sort=size")["sessions"]]
    assert sizes == sorted(sizes, reverse=True)


def test_entries_are_walked_through_in_both_directions(client: Visitor) -> None:
    newest = [each["offset"] for each in _get(client, "/api/entries?count=500")["entries"]]
    back: list[str] = []
    while found := _get(client, "/api/entries?count=4" + (f"&before={back[-1]}" if back else ""))["entries"]:
        back += [each["offset"] for each in found]
    forth = ["0-0"]
    while found := _get(client, f"/api/entries?count=4&after={forth[-1]}")["entries"]:
        forth += [each["offset"] for each in found]
    assert back == newest == forth[:0:-1]


@pytest.mark.parametrize(
    "path",
    [
        "/api/sessions?state=asleep",
        "/api/sessions?page=0",
        "/api/sessions?size=501",
        "/api/sessions?page=99999999999999999999",
        "/api/sessions?older=soon",
        "/api/sessions?sort=colour",
        f"/api/sessions?q={'x' * 501}",
        "/api/entries?after=1",
        "/api/entries?after=1-0&before=2-0",
    ],
)
def test_what_cannot_be_understood_is_said(client: Visitor, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 400
    assert response.json()["error"]
    assert client.get(path.removeprefix("/api").replace("/sessions", "/")).status_code in {400, 404}


def test_what_no_server_reports_is_not_known(client: Visitor) -> None:
    assert _get(client, "/api/recoveries")["outcomes"] is None
    assert {each["lag_ms"] for each in _get(client, "/api/servers")["servers"]} == {None}
    assert "Not known." in client.get("/recoveries").text
    assert "not known" in client.get("/servers").text


def test_servers_are_those_that_hold_sessions(client: Visitor, recorded: Recorded) -> None:
    servers = _get(client, "/api/servers")["servers"]
    assert {each["server"] for each in servers} == set(recorded.hosts)
    assert sum(sum(each["states"].values()) for each in servers) == len(recorded.clients)


def test_those_who_are_away_are_tried(client: Visitor) -> None:
    answer = _get(client, "/api/recoveries")
    assert (answer["tried"], answer["would_be"]) == (3, {"recovered": 3})
