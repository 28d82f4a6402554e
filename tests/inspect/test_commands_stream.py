"""``stream``, on what a real cluster left behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from recovery.inspect import entries_between, open_source
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.schema import FIELDS, undocumented
from recovery.inspect.traffic import decode_entry, measure_traffic
from recovery.offsets import Offset
from recovery.records import Entry
from recovery.stores.memory_state import MemoryState
from tests.docs.pages import ROOT
from tests.inspect.commands import run
from tests.inspect.recording import KEYS, WINDOW, Recorded
from tests.unit.hosts import Host
from tests.waiting import wait_until

AT = str(2**41)


@pytest.fixture
def option(kind: str, places: dict[str, str]) -> tuple[str, ...]:
    """What chooses the data set in each form."""
    return ("--url" if kind == "live" else f"--{kind}", places[kind])


@pytest.fixture
def copy(recorded: Recorded, valkey_url: str) -> Iterator[str]:
    """URL of a copy of the data set, which may be changed."""
    recorded.copy_to(valkey_url)
    yield valkey_url
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()


def test_the_measures_are_the_same_from_each_source(option: tuple[str, ...], recorded: Recorded) -> None:
    answer = run("stream", *option, "--at", AT, "--json")
    assert answer.status == 0
    assert answer.json == run("stream", "--url", recorded.url, "--at", AT, "--json").json
    assert undocumented(answer.json, FIELDS["stream"]) == set()
    assert (answer.json["entries"], answer.json["looked_at"], answer.json["is_sample"]) == (15, 15, False)
    shares = {(each["namespace"], each["event"]): each["entries"] for each in answer.json["shares"]}
    assert shares["/", "headline"] == 5
    assert shares["/chat", "note"] == 1
    assert shares["", "(genesis)"] == 1
    assert sum(shares.values()) == 15
    assert sum(each["bytes"] for each in answer.json["shares"]) == answer.json["bytes"]


def test_people_get_it_in_lines(option: tuple[str, ...]) -> None:
    out = run("stream", *option, "--set", "max_disconnection_duration=60").out
    said = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert said["entries"] == ["15"]
    assert said["window"][0] == "1m00s"
    assert "covered" in said["window"]
    assert "33.3%  /          headline" in out


def test_entries_are_decoded_the_same_from_each_source(option: tuple[str, ...], recorded: Recorded) -> None:
    listed = run("stream", *option, "--entries", "--json").json_lines
    assert listed == run("stream", "--url", recorded.url, "--entries", "--json").json_lines
    assert len(listed) == 15
    assert not any(undocumented(entry, FIELDS["stream --entries"]) for entry in listed)
    [excluding] = [each for each in listed if each["event"] == "hint"]
    assert excluding["excluded"] == [recorded["ann"].sid]
    assert [each["event"] for each in listed if each["volatile"]] == ["cursor"]
    assert [each["kind"] for each in listed if each["event"] == "(join)"] == ["JOIN"]
    assert not any(each["problem"] for each in listed)


def test_a_part_is_chosen_by_offsets_and_moments(option: tuple[str, ...]) -> None:
    offsets = [each["offset"] for each in run("stream", *option, "--entries", "--json").json_lines]

    def listed(*arguments: str) -> list[str]:
        answer = run("stream", *option, "--entries", "--json", *arguments)
        return [each["offset"] for each in answer.json_lines]

    assert listed("--from", offsets[3]) == offsets[3:]
    assert listed("--to", offsets[3]) == offsets[:4]
    assert listed("--from", offsets[2], "--to", offsets[4]) == offsets[2:5]
    moment = offsets[5].partition("-")[0]
    same = [offset for offset in offsets if offset.startswith(moment)]
    assert listed("--from", moment, "--to", moment) == same
    assert listed("--from", "2100-01-01") == []
    assert listed("--to", "2001-01-01T00:00:00Z") == []
    assert listed("--limit", "4") == offsets[:4]
    assert listed("--from", "0-0", "--limit", "1") == offsets[:1]
    assert len(listed("--namespace", "/chat")) == 1
    part = run("stream", *option, "--from", offsets[2], "--to", offsets[4], "--json").json
    assert (part["entries"], part["looked_at"]) == (15, 3)


def test_a_sample_is_of_the_newest(option: tuple[str, ...]) -> None:
    answer = run("stream", *option, "--sample", "4", "--json").json
    assert (answer["entries"], answer["looked_at"], answer["is_sample"]) == (15, 4, True)
    newest = run("stream", *option, "--entries", "--json").json_lines[-4:]
    assert sum(each["bytes"] for each in answer["shares"]) == sum(each["bytes"] for each in newest)
    assert run("stream", *option, "--sample", "4", "--whole", "--json").json["looked_at"] == 15


def test_entries_are_followed_as_they_come(copy: str) -> None:
    seen: list[Any] = []
    thread = threading.Thread(
        target=lambda: seen.append(run("stream", "--url", copy, "--follow", "--limit", "2", "--json"))
    )
    thread.start()
    with redis.Redis.from_url(copy) as client:
        data = '{"packet":{"type":2,"data":["live",1]},"opts":{"rooms":[],"except":[],"flags":{}}}'
        fields: Any = {"uid": "x", "nsp": "/", "type": "3", "data": data, "to": "[]"}

        def appended() -> bool:
            client.xadd(KEYS.stream, fields)
            thread.join(0.05)
            return not thread.is_alive()

        wait_until(appended, what="two entries followed")
    assert [each["event"] for each in seen[0].json_lines] == ["live", "live"]
    assert seen[0].status == 0


def test_a_file_is_followed_to_its_end(places: dict[str, str]) -> None:
    assert run("stream", "--snapshot", places["snapshot"], "--follow").out == ""
    followed = run("stream", "--snapshot", places["snapshot"], "--follow", "--from", "0-0", "--json")
    assert len(followed.json_lines) == 15


def test_a_stream_that_was_cut_into_the_window_is_status_1(copy: str) -> None:
    with redis.Redis.from_url(copy) as client:
        client.xtrim(KEYS.stream, maxlen=3, approximate=False)
    answer = run("stream", "--url", copy, "--set", f"max_disconnection_duration={WINDOW}")
    assert answer.status == 1
    assert "NOT covered" in answer.out
    brief = run("stream", "--url", copy, "--set", "max_disconnection_duration=0.001", "--json")
    assert brief.status == 0
    assert brief.json["untrimmed"] is False


def test_no_stream_is_status_1(valkey_url: str) -> None:
    answer = run("stream", "--url", valkey_url)
    assert (answer.status, answer.out) == (1, "")
    assert "no stream" in answer.err
    assert run("stream", "--url", valkey_url, "--entries").out == ""


@pytest.mark.parametrize("place", ["yesterday", "1-2-3", "-1"])
def test_a_place_that_is_none_is_refused(recorded: Recorded, place: str) -> None:
    answer = run("stream", "--url", recorded.url, f"--from={place}")
    assert answer.status == 2
    assert "ms-seq" in answer.err


def test_nothing_stored_reaches_the_terminal_as_it_is(recorded: Recorded) -> None:
    for arguments in (("stream",), ("stream", "--entries"), ("stream", "--entries", "--json")):
        assert set("\x1b\x07\u202e\r") & set(run(*arguments, "--url", recorded.url).out) == set()


@given(st.dictionaries(st.sampled_from([b"nsp", b"type", b"data", b"to", b"for", b"uid", b"x"]), st.binary()))
def test_no_entry_is_too_strange(fields: dict[bytes, bytes]) -> None:
    decoded = decode_entry(Entry(Offset(5, 0), fields))
    assert decoded.size == sum(len(name) + len(value) for name, value in fields.items())
    assert decoded.event


def test_events_that_are_too_many_are_counted_together() -> None:
    state = MemoryState()
    host = Host(state)
    for number in range(1100):
        host.event(f"e{number}")
    traffic = measure_traffic(MemorySource(state))
    assert traffic is not None
    assert len(traffic.part.names) == 1001
    assert traffic.part.names["", "(others)"] == 101


def test_the_newest_are_found_in_pieces(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.inspect.traffic.AT_ONCE", 3)
    with closing(open_source(recorded.url)) as source:
        for count in (1, 2, 3, 7, 15, 100):
            traffic = measure_traffic(source, sample=count)
            assert traffic is not None
            assert traffic.part.entries == min(count, 15)
            newest = list(entries_between(source))[-count:]
            assert (traffic.part.first, traffic.part.last) == (newest[0].offset, newest[-1].offset)


def test_an_interruption_ends_the_following_quietly(recorded: Recorded) -> None:
    program = [sys.executable, "-c", "from adapter.cli import main; main()"]
    arguments = ["stream", "--url", recorded.url, "--follow", "--from", "0-0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert "(genesis)" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_a_reader_that_has_seen_enough_is_no_error(recorded: Recorded) -> None:
    program = f"{sys.executable} -c 'from adapter.cli import main; main()'"
    command = f"{program} stream --entries --json --url '{recorded.url}' | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    finished = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    assert finished.stderr == ""
    assert len(finished.stdout.splitlines()) == 1


def test_servers_are_asked_and_a_file_is_not(copy: str, places: dict[str, str]) -> None:
    answer = run("servers", "--url", copy, "--timeout", "0.2")
    assert answer.status == 0
    assert "nobody answers" in answer.out
    for command in ("servers", "watch"):
        refused = run(command, "--snapshot", places["snapshot"], "--json")
        assert (refused.status, refused.out) == (2, "")
        assert "--url" in refused.err
    assert run("servers", "--url", copy, "--set", "use_sharded_pubsub=maybe").status == 2
