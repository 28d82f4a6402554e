"""``export``, ``import`` and ``diff``, on what a real cluster left behind."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from recovery.inspect import entries_between, find_sessions, open_source, rehearse
from recovery.inspect.importing import import_into
from recovery.inspect.records import Session
from recovery.inspect.redaction import Redaction
from recovery.inspect.schema import FIELDS, undocumented
from recovery.offsets import Offset
from recovery.records import Entry
from recovery.stores.redis.keys import Keys
from tests.inspect.commands import run
from tests.inspect.recording import KEYS, Recorded
from tests.inspect.test_snapshots import stored_sessions


@pytest.fixture
def option(kind: str, places: dict[str, str]) -> tuple[str, ...]:
    """What chooses the data set in each form."""
    return ("--url" if kind == "live" else f"--{kind}", places[kind])


@pytest.fixture
def empty(valkey_url: str) -> Iterator[str]:
    """URL of an empty store, emptied again at the end."""
    yield valkey_url
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()


def sessions_of(place: str | Path) -> dict[str, Session]:
    with closing(open_source(place)) as source:
        return {session.pid: session for session in find_sessions(source)}


def entries_of(place: str | Path) -> list[Entry]:
    with closing(open_source(place)) as source:
        return list(entries_between(source))


def test_an_export_holds_what_its_source_has(
    option: tuple[str, ...], recorded: Recorded, somewhere: Path
) -> None:
    answer = run("export", somewhere, *option, "--json")
    assert answer.json == {"sessions": 8, "entries": 15, "bytes": somewhere.stat().st_size}
    assert undocumented(answer.json, FIELDS["export"]) == set()
    assert sessions_of(somewhere) == sessions_of(recorded.url)
    assert entries_of(somewhere) == entries_of(recorded.url)


def test_a_file_that_is_there_is_not_replaced(recorded: Recorded, somewhere: Path) -> None:
    somewhere.write_text("mine")
    refused = run("export", somewhere, "--url", recorded.url)
    assert refused.status == 2
    assert "--force" in refused.err
    assert somewhere.read_text() == "mine"
    assert run("export", somewhere, "--url", recorded.url, "--force").status == 0
    assert len(sessions_of(somewhere)) == 8


def test_an_export_may_be_a_part(option: tuple[str, ...], recorded: Recorded, somewhere: Path) -> None:
    offsets = [str(entry.offset) for entry in entries_of(recorded.url)]
    part = ("--room", "news", "--state", "away", "--from", offsets[3], "--to", offsets[5])
    answer = run("export", somewhere, *option, *part)
    assert answer.out.startswith(f"{somewhere}: 1 sessions, 3 entries, ")
    assert set(sessions_of(somewhere)) == {recorded["ann"].pid}
    assert [str(entry.offset) for entry in entries_of(somewhere)] == offsets[3:6]
    trimmed = run("why", recorded["ann"].pid, "none", "--snapshot", somewhere, "--json").json
    assert trimmed["outcome"] == "offset-trimmed"


def test_a_redacted_export_holds_no_secret_and_tells_the_same(
    option: tuple[str, ...], recorded: Recorded, somewhere: Path
) -> None:
    assert run("export", somewhere, *option, "--redact").status == 0
    with closing(open_source(somewhere)) as redacted, closing(open_source(recorded.url)) as source:
        content = repr(list(redacted.sessions())) + repr(
            [(stored.claim, stored.value) for stored in redacted.sessions()]
        )
        content += repr(list(entries_between(redacted)))
        for left in recorded.clients.values():
            assert left.pid not in content
        for secret in ("Ann", "visits", "owned", "binary", "just in time", "for bob", "clear"):
            assert secret not in content
        assert not any(
            session.identity and len(session.identity) == 64 for session in find_sessions(redacted)
        )
        told = sorted(
            (rehearse(redacted, s.pid).outcome, _events(redacted, s)) for s in find_sessions(redacted)
        )
        true = sorted((rehearse(source, s.pid).outcome, _events(source, s)) for s in find_sessions(source))
        assert told == true
        rooms = {session.sid: session.rooms for session in find_sessions(redacted)}
        assert rooms == {session.sid: session.rooms for session in find_sessions(source)}


def _events(source: Any, session: Session) -> list[tuple[str, str]]:
    return [(str(packet.args[0]), packet.offset) for packet in rehearse(source, session.pid).packets]


@given(stored_sessions)
def test_redaction_is_never_stopped_by_a_session(stored: Any) -> None:
    redacted = Redaction().session(stored)
    assert redacted.pid.startswith("redacted-")
    assert redacted.value in {None, b"redacted"}


@given(st.dictionaries(st.sampled_from([b"nsp", b"type", b"data", b"to", b"for", b"x"]), st.binary()))
def test_redaction_is_never_stopped_by_an_entry(fields: dict[bytes, bytes]) -> None:
    redacted = Redaction().entry(Entry(Offset(5, 0), fields))
    assert redacted.fields.get(b"data", b"redacted") == b"redacted" or b"type" in fields


@pytest.mark.parametrize("kind", ["snapshot", "rdb"])
def test_an_import_answers_as_what_was_exported(
    kind: str, places: dict[str, str], recorded: Recorded, empty: str
) -> None:
    answer = run("import", places[kind], "--to", empty, typed="y\n")
    assert answer.status == 0
    with redis.Redis.from_url(empty) as client:
        seconds: Any = client.time()[0]
    elapsed = seconds * 1000 - recorded.ended_ms + 5000  # at most, from when the data was written out
    assert "8 sessions, 15 entries" in answer.out
    assert entries_of(empty) == entries_of(recorded.url)
    before, after = sessions_of(recorded.url), sessions_of(empty)
    assert {pid: _without_times(session) for pid, session in before.items()} == {
        pid: _without_times(session) for pid, session in after.items()
    }
    for pid, session in before.items():
        moved = after[pid].deadline_ms - session.deadline_ms
        assert moved == after[pid].since_ms - session.since_ms
        assert 0 <= moved <= elapsed
    with closing(open_source(empty)) as there, closing(open_source(recorded.url)) as here:
        for left in recorded.clients.values():
            told, true = (rehearse(source, left.pid, left.offset) for source in (there, here))
            assert (told.outcome, told.packets) == (true.outcome, true.packets)
    with redis.Redis.from_url(empty, decode_responses=True) as client:
        permanent = {key for key in client.scan_iter() if client.ttl(key) == -1}
    assert permanent == {KEYS.stream, KEYS.epoch}


def _without_times(session: Session) -> Session:
    return replace(session, since_ms=0, deadline_ms=0, claimed_ms=None)


def test_an_import_asks_first(places: dict[str, str], empty: str) -> None:
    assert run("import", places["snapshot"], "--to", empty, typed="n\n").status == 1
    assert run("import", places["snapshot"], "--to", empty, typed="").status == 1
    with redis.Redis.from_url(empty) as client:
        assert client.dbsize() == 0
    imported = run("import", places["snapshot"], "--to", empty, "--yes", "--json").json
    assert imported["sessions"] == 8
    assert undocumented(imported, FIELDS["import"]) == set()


@pytest.mark.parametrize("key", [KEYS.stream, KEYS.epoch, "{sio:session:x}:claim", "sio:session:x"])
def test_nothing_is_imported_over_something(places: dict[str, str], empty: str, key: str) -> None:
    with redis.Redis.from_url(empty) as client:
        client.set(key, "mine", ex=60)
        answer = run("import", places["snapshot"], "--to", empty, "--yes")
        assert answer.status == 2
        assert "already" in answer.err
        assert list(client.scan_iter()) == [key.encode()]


def test_an_import_may_have_other_names(places: dict[str, str], recorded: Recorded, empty: str) -> None:
    names = ("--stream-name", "copy", "--session-key-prefix", "copy:")
    assert run("import", places["snapshot"], "--to", empty, "--yes", *names).status == 0
    answer = run("session", recorded["ann"].pid, "--url", empty, *names, "--json")
    assert answer.json["sid"] == recorded["ann"].sid
    with redis.Redis.from_url(empty, decode_responses=True) as client:
        assert set(client.scan_iter("*sio*")) == set()
        assert Keys("copy", "copy:").epoch in set(client.scan_iter())


def test_nothing_differs_between_two_forms(kind: str, places: dict[str, str], recorded: Recorded) -> None:
    answer = run("diff", places[kind], recorded.url)
    assert answer.status == 0
    assert len(answer.out.splitlines()) == 5


def test_a_difference_is_told(places: dict[str, str], recorded: Recorded, empty: str) -> None:
    assert run("import", places["snapshot"], "--to", empty, "--yes").status == 0
    ann, bob = recorded["ann"], recorded["bob"]
    with redis.Redis.from_url(empty) as client:
        client.delete(KEYS.claim(bob.pid), KEYS.session(bob.pid))
        client.hset(KEYS.claim(ann.pid), "state", "live")
        client.hset(KEYS.claim(ann.pid), "proven", "5-5")
        client.xadd(KEYS.stream, {"a": "b"})
    answer = run("diff", places["snapshot"], empty, "--json", "--reveal")
    assert answer.status == 1
    stream, *sessions = answer.json_lines
    assert not any(undocumented({**stream, **each}, FIELDS["diff"]) for each in sessions)
    assert (stream["entries"], stream["oldest"]["a"] == stream["oldest"]["b"]) == ({"a": 15, "b": 16}, True)
    assert sorted((each["kind"], each["pid"]) for each in sessions) == [
        ("changed", ann.pid),
        ("gone", bob.pid),
    ]
    [changed] = [each for each in sessions if each["kind"] == "changed"]
    assert set(changed["changes"]) == {"state", "proven"}
    assert changed["changes"]["state"] == {"a": "away", "b": "live"}
    back = run("diff", empty, places["snapshot"])
    assert back.status == 1
    assert bob.pid not in back.out
    words = {line.split()[0]: line for line in back.out.splitlines()}
    assert words["new"].split()[1:] == [f"{bob.pid[:6]}...", bob.sid]
    assert 'state: "live" -> "away"' in words["changed"]


def test_what_cannot_be_compared_is_said(recorded: Recorded) -> None:
    answer = run("diff", recorded.url, "nowhere.snapshot")
    assert answer.status == 3
    assert "nowhere.snapshot" in answer.err


def test_an_import_gives_sessions_the_time_that_they_had_left(
    places: dict[str, str], recorded: Recorded, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_source(places["snapshot"])) as source:
        taken = source.now_ms() - 500_000
        monkeypatch.setattr(source, "now_ms", lambda: taken)  # as if it were some minutes old
        import_into(empty, KEYS, source)
        before = {session.pid: session for session in find_sessions(source)}
    with closing(open_source(empty)) as target:
        now = target.now_ms()
        for session in find_sessions(target):
            had = before[session.pid].deadline_ms - taken
            assert session.deadline_ms - now == pytest.approx(had, abs=20_000)


def test_what_a_snapshot_lacks_is_said_whenever_it_is_read(recorded: Recorded, somewhere: Path) -> None:
    part = ("--namespace", "/chat", "--to", "2100-01-01", "--redact")
    assert run("export", somewhere, "--url", recorded.url, *part).status == 0
    answer = run("sessions", "--snapshot", somewhere, "--json")
    assert len(answer.json_lines) == 1
    for word in ("a filter", "--to", "--redact"):
        assert word in answer.err
