"""``sessions`` and ``session``, on what a real cluster left behind."""

from typing import Any

import pytest
import redis

from recovery.commands import Claimed, ClaimRefused, ClaimSession
from recovery.inspect.schema import FIELDS, undocumented
from recovery.reasons import Reason
from recovery.records import Epoch, Namespace, ServerId
from recovery.stores import open_store
from tests.inspect.commands import Answer, run
from tests.inspect.recording import KEYS, WINDOW, Recorded


@pytest.fixture
def option(kind: str, places: dict[str, str], recorded: Recorded) -> tuple[str, ...]:
    """What chooses the data set in each form, and one moment for all."""
    return ("--url" if kind == "live" else f"--{kind}", places[kind], "--at", at(recorded))


def live(recorded: Recorded) -> tuple[str, ...]:
    return ("--url", recorded.url, "--at", at(recorded))


def at(recorded: Recorded) -> str:
    """A minute after all was over, however long ago that is."""
    return str(recorded.ended_ms + 60_000)


def by_pid(answer: Answer) -> dict[str, Any]:
    assert answer.status == 0, answer.err
    return {session["pid"]: session for session in answer.json_lines}


def test_the_list_is_the_same_from_each_source(option: tuple[str, ...], recorded: Recorded) -> None:
    found = by_pid(run("sessions", *option, "--json", "--reveal"))
    assert found == by_pid(run("sessions", *live(recorded), "--json", "--reveal"))
    assert set(found) == {left.pid for left in recorded.clients.values()}
    assert not any(undocumented(session, FIELDS["sessions"]) for session in found.values())
    assert found[recorded["ann"].pid]["rooms"] == [recorded["ann"].sid, "news"]


def test_one_session_is_the_same_from_each_source(option: tuple[str, ...], recorded: Recorded) -> None:
    for left in recorded.clients.values():
        there = run("session", left.pid, *option, "--json").json
        here = run("session", left.pid, *live(recorded), "--json").json
        assert undocumented(there, FIELDS["session"]) == set()
        heard = [each["owner"].pop("heard_ms") for each in (there, here)]
        assert there == here
        assert heard[0] == pytest.approx(heard[1], abs=50)


def test_a_table_shows_who_is_there(option: tuple[str, ...], recorded: Recorded) -> None:
    answer = run("sessions", *option)
    [ann] = [line for line in answer.out.splitlines() if recorded["ann"].sid in line]
    assert ann.split()[:4] == [f"{recorded['ann'].pid[:6]}...", recorded["ann"].sid, "/", "away"]
    assert "news" in ann
    assert len(answer.out.splitlines()) == 1 + len(recorded.clients)


def test_no_pid_is_shown_unless_it_is_asked_for(recorded: Recorded) -> None:
    ann = recorded["ann"].pid
    for arguments in (("sessions",), ("sessions", "--json"), ("session", ann), ("session", ann, "--json")):
        answer = run(*arguments, *live(recorded))
        assert answer.status == 0
        assert not any(left.pid in answer.out for left in recorded.clients.values())
        assert ann[:6] in answer.out
        assert ann in run(*arguments, *live(recorded), "--reveal").out


def test_nothing_stored_reaches_the_terminal_as_it_is(recorded: Recorded) -> None:
    for arguments in (
        ("sessions",),
        ("sessions", "--json"),
        ("session", recorded["ivy"].pid),
        ("session", recorded["ivy"].pid, "--json"),
    ):
        out = run(*arguments, *live(recorded)).out
        assert set("\x1b\x07\u202e\r") & set(out) == set()
        assert "<script>" in out


def test_filters_sorting_and_counting(recorded: Recorded) -> None:
    def names(*arguments: str) -> list[str]:
        by_pid = {left.pid: name for name, left in recorded.clients.items()}
        lines = run("sessions", *live(recorded), "--json", "--reveal", *arguments).json_lines
        return [by_pid[line["pid"]] for line in lines]

    assert names("--namespace", "/chat") == ["cat"]
    assert sorted(names("--room", "news")) == ["ann", "bob"]
    assert sorted(names("--state", "expired", "--state", "ended")) == ["dan", "gus"]
    assert sorted(names("--owner", recorded.hosts[0][:6]) + names("--owner", recorded.hosts[1])) == sorted(
        recorded.clients
    )
    assert names("--older", "1d") == []
    assert names("--younger", "30s") == []
    assert len(names("--older", "30s", "--younger", "1d")) == len(recorded.clients)
    assert names("--sort", "size", "--limit", "1") == ["ivy"]
    assert names("--sort", "sid")[1:] == sorted(
        (name for name in recorded.clients if name != "dan"), key=lambda name: recorded[name].sid
    )
    ages = [
        line["since_ms"] for line in run("sessions", *live(recorded), "--json", "--sort", "age").json_lines
    ]
    assert ages == sorted(ages, reverse=True)
    counted = run("sessions", *live(recorded), "--count", "--json").json
    assert undocumented(counted, FIELDS["sessions --count"]) == set()
    assert counted == {
        "sessions": 8,
        "states": {"live": 3, "closing": 0, "away": 3, "expired": 1, "ended": 1, "unreadable": 0},
    }
    assert run("sessions", *live(recorded), "--count").out.split() == [
        *("sessions", "8", "live", "3", "away", "3", "expired", "1", "ended", "1")
    ]


def test_more_than_the_limit_is_said(recorded: Recorded) -> None:
    answer = run("sessions", *live(recorded), "--limit", "3")
    assert len(answer.out.splitlines()) == 4
    assert "--limit 0" in answer.err
    assert len(run("sessions", *live(recorded), "--limit", "0").out.splitlines()) == 9


def test_later_everybody_has_expired(recorded: Recorded) -> None:
    later = str(recorded.ended_ms + 10 * round(WINDOW * 1000))
    counts = run("sessions", "--url", recorded.url, "--at", later, "--count", "--json").json["states"]
    assert (counts["live"], counts["away"], counts["expired"]) == (0, 0, 7)


def test_all_about_one_session(recorded: Recorded) -> None:
    ann = recorded["ann"]
    out = run("session", ann.sid, *live(recorded), "--set", f"max_disconnection_duration={WINDOW}").out
    said = {line[:16].strip(): line.partition("  ")[2].strip() for line in out.splitlines()}
    assert said["sid"] == ann.sid
    assert said["state"].startswith("away for ")
    assert said["expires"].endswith(" left)")
    assert said["data"] == '{"name": "Ann", "visits": 3}'
    assert said["would now be"] == "recovered"
    assert "late, everyone" in said["would be sent"]
    cut = run("session", ann.sid, *live(recorded), "--data-limit", "5").out
    assert '{"nam... (28 characters)' in cut


def test_who_is_unknown_is_status_1(recorded: Recorded) -> None:
    answer = run("session", "nobody", *live(recorded))
    assert (answer.status, answer.out) == (1, "")
    assert "nobody" in answer.err


def test_a_session_is_ended_when_that_is_confirmed(recorded: Recorded, valkey_url: str) -> None:
    recorded.copy_to(valkey_url)
    here: Any  # its types are those of both colours at once
    with redis.Redis.from_url(recorded.url) as here:
        epoch = here.hget(KEYS.claim(recorded["ann"].pid), "epoch")
        identity = here.hget(KEYS.claim(recorded["ann"].pid), "identity")
    pid, url = recorded["ann"].pid, ("--url", valkey_url)
    refused = run("session", pid, *url, "--delete", typed="n\n")
    assert refused.status == 1
    assert pid not in refused.err
    assert run("session", pid, *url, "--json").json["state"] == "away"
    assert run("session", pid, *url, "--delete", typed="y\n").status == 0
    assert run("session", pid, *url, "--json").json["state"] == "ended"
    again = run("session", pid, *url, "--delete", "--yes")
    assert again.status == 1
    assert "disconnected" in again.err
    store = open_store(valkey_url, stream_name="socket.io", session_key_prefix="sio:session:")
    claim = ClaimSession(pid, Namespace("/"), identity.decode(), Epoch(epoch.decode()), ServerId("s"), "n")
    answered: Claimed | ClaimRefused = store.execute(claim)
    store.close()
    assert answered == ClaimRefused(Reason.DISCONNECTED)


@pytest.mark.parametrize("name", ["-El-rss", "--abcdefgh", "-."])
def test_a_pid_may_begin_with_a_hyphen(recorded: Recorded, name: str) -> None:
    # A lone hyphen would be the beginning of each 64th recorded pid.
    answer = run("session", name, *live(recorded))
    assert answer.status == 1
    assert "no session" in answer.err


def test_an_ending_is_told_in_json(recorded: Recorded, valkey_url: str) -> None:
    recorded.copy_to(valkey_url)
    ended = run("session", recorded["bob"].pid, "--url", valkey_url, "--delete", "--yes", "--json")
    assert ended.json == {"deleted": True, "sid": recorded["bob"].sid}
    assert undocumented(ended.json, FIELDS["session --delete"]) == set()


def test_a_file_is_not_written_to(places: dict[str, str], recorded: Recorded) -> None:
    answer = run("session", recorded["ann"].pid, "--snapshot", places["snapshot"], "--delete", "--yes")
    assert answer.status == 2
    assert "--url" in answer.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "choose one source"),
        (("--snapshot", "a", "--rdb", "b"), 2, "choose one source"),
        (("--snapshot", "nowhere"), 3, "cannot read nowhere"),
        (("--rdb", "pyproject.toml"), 3, "no RDB file"),
        (("--url", "unix:///nowhere/at.all"), 3, "nowhere"),
        (("--url", "memory://"), 2, "private"),
        (("--url", "unix:///nowhere", "--older", "soon"), 2, "length of time"),
        (("--url", "unix:///nowhere", "--at", "soon"), 2, "moment"),
        (("--url", "memory://cli", "--state", "dead"), 2, "dead"),
    ],
)
def test_what_cannot_be_answered_is_one_line_and_a_status(
    arguments: tuple[str, ...], status: int, words: str
) -> None:
    answer = run("sessions", *arguments)
    assert answer.status == status
    assert answer.out == ""
    assert words in answer.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("max_replay", "NAME=VALUE"),
        ("nonsense=1", "NAME=VALUE"),
        ("max_replay=many", "invalid literal"),
        ("max_replay=0", "at least 1"),
        ("ping_interval=x", "could not convert"),
    ],
)
def test_settings_that_are_none_are_refused(recorded: Recorded, setting: str, words: str) -> None:
    answer = run("session", recorded["ann"].pid, *live(recorded), "--set", setting)
    assert answer.status == 2
    assert words in answer.err


def test_settings_are_those_of_the_servers(recorded: Recorded) -> None:
    few = run("session", recorded["ann"].pid, *live(recorded), "--set", "max_replay=2", "--json").json
    assert few["outcome"] == "replay-too-large"
    assert few["packets"] == []


def test_the_url_may_come_from_the_environment(
    recorded: Recorded, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKETIO_RECOVERY_URL", recorded.url)
    assert run("sessions").status == 0
    monkeypatch.setenv("SOCKETIO_RECOVERY_URL", "unix:///nowhere")
    assert run("sessions").status == 3
    assert run("sessions", "--snapshot", places["snapshot"]).status == 0


def test_other_names_of_keys_are_found(recorded: Recorded) -> None:
    names = ("--session-key-prefix", "sio:ses*on:", "--stream-name", "other")
    assert run("sessions", "--url", recorded.url, *names, "--json").out == ""
    assert run("session", recorded["ann"].pid, "--url", recorded.url, *names).status == 1


def test_no_password_of_a_url_is_shown(recorded: Recorded, valkey_url: str) -> None:
    recorded.copy_to(valkey_url)
    url = valkey_url.replace("unix://", "unix://default:a-secret@")
    asked = run("session", recorded["ann"].pid, "--url", url, "--delete", typed="n\n")
    wrong = run("sessions", "--url", valkey_url.replace("unix://", "unix://nobody:a-secret@"))
    assert wrong.status == 3
    for answer in (asked, wrong, run("sessions", "--url", "redis://me:a-secret@localhost:1")):
        assert answer.err
        assert "a-secret" not in answer.err + answer.out
