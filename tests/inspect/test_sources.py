"""A live store, a snapshot of it and its RDB file give the same answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.errors import ConfigurationError, SourceError, StoreUnavailableError
from recovery.inspect import (
    Filter,
    Session,
    SessionState,
    Source,
    Timing,
    entries_between,
    find_session,
    find_sessions,
    list_owners,
    list_unsent,
    open_source,
    rehearse,
)
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.server_source import ServerSource
from recovery.inspect.traffic import newest_entries
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry, Pid, ServerId
from recovery.settings import Settings
from recovery.stores.memory_state import MemoryState
from tests.inspect.recording import KEYS, WINDOW, Recorded

TIMING = Timing(Settings(max_disconnection_duration=WINDOW, checkpoint_interval=0.2))


def _by_pid(source: Source) -> dict[Pid, Session]:
    return {session.pid: session for session in find_sessions(source)}


def test_sessions_are_the_same_from_each(source: Source, live: Source) -> None:
    assert _by_pid(source) == _by_pid(live)
    assert len(_by_pid(source)) == 8


def test_what_the_store_has_is_the_same_from_each(source: Source, live: Source) -> None:
    assert {stored.pid: stored for stored in source.sessions()} == {
        stored.pid: stored for stored in live.sessions()
    }


def test_the_stream_is_the_same_from_each(source: Source, live: Source) -> None:
    there, here = source.stream(), live.stream()
    assert there is not None
    assert here is not None
    assert (there.epoch, there.first, there.last) == (here.epoch, here.first, here.last)
    assert source.length() == live.length() == len(list(entries_between(source)))
    assert list(entries_between(source)) == list(entries_between(live))


def test_parts_of_the_stream_are_the_same_from_each(source: Source, live: Source) -> None:
    offsets = [entry.offset for entry in entries_between(live)]
    beside = [Offset(offset.ms, offset.seq + 1) for offset in offsets]
    for offset in [ORIGIN, *offsets, *beside]:
        for count in (1, 3, 100):
            assert source.read(offset, count) == live.read(offset, count)
            assert source.read_back(offset, count) == live.read_back(offset, count)
    middle, end = offsets[4], offsets[8]
    assert [entry.offset for entry in entries_between(source, middle, end)] == offsets[5:9]
    assert list(entries_between(source, middle, end, at_once=1)) == list(entries_between(source, middle, end))


def test_owners_are_the_same_from_each(source: Source, live: Source, recorded: Recorded) -> None:
    owners = list_owners(source, TIMING)
    assert [owner.server for owner in owners] == recorded.hosts
    assert [(owner.server, owner.sessions) for owner in owners] == [
        (owner.server, owner.sessions) for owner in list_owners(live, TIMING)
    ]
    for mine, its in zip(owners, list_owners(live, TIMING), strict=True):
        assert mine.heard_ms == pytest.approx(its.heard_ms, abs=50)  # a clock and a time to live are not one


def test_rehearsals_are_the_same_from_each(source: Source, live: Source, recorded: Recorded) -> None:
    for left in recorded.clients.values():
        there, here = (rehearse(each, left.pid, left.offset) for each in (source, live))
        assert (there.outcome, there.packets, there.rooms) == (here.outcome, here.packets, here.rooms)


def test_each_client_is_what_became_of_it(source: Source, recorded: Recorded) -> None:
    states = {name: find_session(source, left.pid) for name, left in recorded.clients.items()}
    assert {name: session.state for name, session in states.items() if session is not None} == {
        "ann": SessionState.AWAY,
        "bob": SessionState.LIVE,
        "cat": SessionState.AWAY,
        "dan": SessionState.ENDED,
        "eve": SessionState.LIVE,
        "fay": SessionState.AWAY,
        "gus": SessionState.EXPIRED,
        "ivy": SessionState.LIVE,
    }
    ann = states["ann"]
    assert ann is not None
    assert ann.data == {"name": "Ann", "visits": 3}
    assert ann.rooms == (recorded["ann"].sid, "news")
    assert ann.joined("news") == ann.start
    assert ann.joined("late") is None
    assert len(ann.identity) == 64
    assert recorded["ann"].pid not in repr(ann)


def test_a_session_is_found_by_pid_by_its_beginning_and_by_sid(source: Source, recorded: Recorded) -> None:
    ann = recorded["ann"]
    for name in (ann.pid, ann.pid[:8], ann.sid):
        found = find_session(source, name)
        assert found is not None
        assert found.pid == ann.pid
    assert find_session(source, "x" * 20) is None
    assert source.session(Pid("x" * 20)) is None


def test_filters(source: Source, recorded: Recorded) -> None:
    def named(**wanted: Any) -> set[str]:
        by_pid = {left.pid: name for name, left in recorded.clients.items()}
        return {by_pid[session.pid] for session in find_sessions(source, Filter(**wanted))}

    assert named(namespace="/chat") == {"cat"}
    assert named(room="news") == {"ann", "bob"}
    assert named(states=frozenset({SessionState.EXPIRED, SessionState.ENDED})) == {"dan", "gus"}
    assert named(owner=recorded.hosts[0]) | named(owner=recorded.hosts[1]) == set(recorded.clients)
    assert named(owner="nobody") == set()
    assert named(older_ms=10**9) == set()
    assert named(younger_ms=10**9) == set(recorded.clients)


def test_who_appended_lately_is_known(source: Source, live: Source, recorded: Recorded) -> None:
    for host in recorded.hosts:
        appended = source.last_batch_ms(ServerId(host))
        assert appended == pytest.approx(live.last_batch_ms(ServerId(host)), abs=50)
    assert source.last_batch_ms(ServerId("nobody")) is None


def test_an_append_only_file_is_read_too(recorded: Recorded, live: Source, tmp_path: Path) -> None:
    folder = recorded.copy_aof(tmp_path / "appendonlydir")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for place in (folder, folder / "appendonly.aof.manifest"):
        source = open_source(place)
        assert _by_pid(source) == _by_pid(live)
        assert list(entries_between(source)) == list(entries_between(live))
        source.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_pid_that_looks_like_a_pattern_is_only_itself(live: Source) -> None:
    assert list(live.sessions("*")) == []
    assert list(live.sessions("[a-zA-Z0-9_-]")) == []
    assert list(live.sessions("\\")) == []


def test_what_somebody_else_wrote_is_shown_and_stops_nothing(recorded: Recorded, live: Source) -> None:
    before = len(list(find_sessions(live)))
    with redis.Redis.from_url(recorded.url) as client:
        client.set(KEYS.claim(Pid("of-another-type-00001")), "x", ex=60)
        client.hset(KEYS.claim(Pid("without-fields-000001")), "n", "1")
        client.expire(KEYS.claim(Pid("without-fields-000001")), 60)
        client.set(KEYS.session(Pid("without-a-claim-00001")), "x", ex=60)
        try:
            found = {session.pid: session.problem for session in find_sessions(live)}
        finally:
            client.delete(KEYS.claim(Pid("of-another-type-00001")), KEYS.claim(Pid("without-fields-000001")))
    assert "WRONGTYPE" in found[Pid("of-another-type-00001")]
    assert found[Pid("without-fields-000001")] == "the claim has no valid field state"
    assert len(found) == before + 2
    lone = find_session(live, "without-a-claim-00001")
    assert lone is not None
    assert lone.state is SessionState.UNREADABLE
    assert "Node" in lone.problem
    with redis.Redis.from_url(recorded.url) as client:
        client.delete(KEYS.session(Pid("without-a-claim-00001")))


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("memory://", ConfigurationError, "private"),
        ("embedded://", ConfigurationError, "folder"),
        ("http://localhost", ConfigurationError, "unknown store URL"),
        ("nothing-there.rdb", SourceError, "cannot read nothing-there.rdb"),
    ],
)
def test_what_cannot_be_opened_is_said(place: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_source(place)


def test_a_store_that_does_not_answer_is_said(tmp_path: Path) -> None:
    source = open_source(f"unix://{tmp_path}/nobody")
    with pytest.raises(StoreUnavailableError, match="nobody"):
        source.stream()
    source.close()


def test_an_embedded_store_is_opened_by_its_folder(recorded: Recorded, live: Source, tmp_path: Path) -> None:
    recorded.copy_aof(tmp_path / "appendonlydir")
    source = open_source(f"embedded://{tmp_path}")
    assert {session.sid for session in find_sessions(source)} == {
        session.sid for session in find_sessions(live)
    }
    source.close()


def test_a_key_that_a_scan_gives_twice_is_one_session(live: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    once = ServerSource._scan

    def twice(self: ServerSource, pattern: str) -> Iterator[list[bytes]]:
        for keys in once(self, pattern):
            yield [*keys, *keys]
            yield keys

    before = sorted(stored.pid for stored in live.sessions())
    monkeypatch.setattr(ServerSource, "_scan", twice)
    assert sorted(stored.pid for stored in live.sessions()) == before


def test_the_last_of_what_is_not_sent_can_be_asked_for(source: Source, recorded: Recorded) -> None:
    ann = recorded["ann"]
    rehearsal = rehearse(source, ann.pid, ann.offset, settings=TIMING.settings)
    every = list(list_unsent(rehearsal))
    last = rehearsal.log.entries(rehearsal.log.start)
    offsets = [entry.offset for entry in last][-5:]
    assert list(list_unsent(rehearsal, last=5)) == [each for each in every if each.offset in offsets]
    assert 0 < len(list(list_unsent(rehearsal, last=5))) < len(every)


def test_large_entries_are_read_backwards_in_small_pieces() -> None:
    entries = [Entry(Offset(ms, 0), {b"data": bytes(2**20)}) for ms in range(1, 151)]
    asked: list[int] = []

    class Large(MemorySource):
        def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
            asked.append(count)
            found = [entry for entry in reversed(entries) if entry.offset <= upto]
            return tuple(found[:count])

    found = list(newest_entries(Large(MemoryState()), ORIGIN, Offset(150, 0), 140))
    assert [entry.offset.ms for entry in found] == list(range(150, 10, -1))
    assert max(asked[1:]) <= 20
