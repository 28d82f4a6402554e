"""``doctor``: each check, on a real cluster's data, on stores that are set up badly, and on made-up facts."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from recovery.inspect import open_source
from recovery.inspect.checkup import Finding, Level, check_up
from recovery.inspect.listing import Timing
from recovery.inspect.schema import FIELDS, undocumented
from recovery.settings import Settings
from tests.docs.pages import DOCS, blocks
from tests.inspect.commands import Answer, run
from tests.inspect.recording import KEYS, WINDOW, Recorded

CHECKS = [
    *("version", "topology", "eviction", "memory", "persistence", "clock", "rights"),
    *("window", "max_len", "sessions", "epoch", "servers", "settings"),
]
OWN = ("--set", f"max_disconnection_duration={WINDOW}", "--set", "checkpoint_interval=0.2")


@pytest.fixture
def copy(recorded: Recorded, valkey_url: str) -> Iterator[Any]:
    """A copy of the data set, and a client that may change it."""
    recorded.copy_to(valkey_url)
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.execute_command("ACL", "DELUSER", "servers")
        client.flushall()


def levels(answer: Answer) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in answer.json["findings"]}


def found(answer: Answer, check: str) -> dict[str, str]:
    [finding] = [each for each in answer.json["findings"] if each["check"] == check]
    return dict(finding)


def test_a_deployment_is_checked(recorded: Recorded) -> None:
    answer = run("doctor", "--url", recorded.url, *OWN, "--json")
    assert answer.status == 0
    assert [finding["check"] for finding in answer.json["findings"]] == CHECKS
    assert undocumented(answer.json, FIELDS["doctor"]) == set()
    told = levels(answer)
    assert {check for check, level in told.items() if level == "warn"} <= {"persistence", "servers", "memory"}
    assert told["settings"] == told["window"] == told["sessions"] == told["epoch"] == "ok"
    assert all(finding["todo"] for finding in answer.json["findings"] if finding["level"] in {"warn", "fail"})


def test_people_get_a_table(recorded: Recorded) -> None:
    lines = run("doctor", "--url", recorded.url, *OWN).out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == CHECKS


@pytest.mark.parametrize("form", ["snapshot", "rdb"])
def test_what_a_file_cannot_tell_is_skipped(places: dict[str, str], form: str) -> None:
    answer = run("doctor", f"--{form}", places[form], *OWN, "--json")
    told = levels(answer)
    skipped = {check for check, level in told.items() if level == "skip"}
    assert skipped == {"version", "topology", "eviction", "memory", "persistence", "clock", "rights"}
    assert told["settings"] == told["window"] == "ok"


def test_a_warning_is_trouble_if_that_is_asked(recorded: Recorded) -> None:
    plain = run("doctor", "--url", recorded.url, "--json")
    assert (plain.status, levels(plain)["settings"]) == (0, "warn")
    assert run("doctor", "--url", recorded.url, "--json", "--strict").status == 1


def test_a_store_that_may_evict_is_trouble(copy: Any, valkey_url: str) -> None:
    copy.config_set("maxmemory", 2**34)
    copy.config_set("maxmemory-policy", "allkeys-lru")
    answer = run("doctor", "--url", valkey_url, *OWN, "--json")
    assert answer.status == 1
    assert found(answer, "eviction")["level"] == "fail"
    assert "noeviction" in found(answer, "eviction")["todo"]


def test_a_store_that_is_nearly_full_is_trouble(copy: Any, valkey_url: str) -> None:
    used = copy.info("memory")["used_memory"]
    copy.config_set("maxmemory", int(used * 1.2))
    told = found(run("doctor", "--url", valkey_url, *OWN, "--json"), "memory")
    assert told["level"] in {"warn", "fail"}
    assert "memory" in told["todo"]


def test_a_stream_that_was_cut_is_trouble(copy: Any, valkey_url: str) -> None:
    copy.xtrim(KEYS.stream, maxlen=3, approximate=False)
    answer = run("doctor", "--url", valkey_url, *OWN, "--json")
    assert (answer.status, found(answer, "window")["level"]) == (1, "fail")


def test_a_cap_that_is_too_low_is_trouble(recorded: Recorded) -> None:
    low = run("doctor", "--url", recorded.url, *OWN, "--set", "max_len=100", "--json")
    assert (low.status, found(low, "max_len")["level"]) == (1, "fail")
    high = run("doctor", "--url", recorded.url, *OWN, "--set", "max_len=100000000", "--json")
    assert found(high, "max_len")["level"] == "ok"


def test_servers_with_different_windows_are_trouble(copy: Any, valkey_url: str, recorded: Recorded) -> None:
    cat = KEYS.claim(recorded["cat"].pid)
    copy.hincrby(cat, "deadline", round(WINDOW * 300))  # milliseconds: three tenths more
    answer = run("doctor", "--url", valkey_url, *OWN, "--json")
    assert (answer.status, found(answer, "settings")["level"]) == (1, "fail")
    assert "different windows" in found(answer, "settings")["said"]


def test_sessions_of_another_epoch_are_told(copy: Any, valkey_url: str) -> None:
    copy.hset(KEYS.epoch, "id", "another")
    told = found(run("doctor", "--url", valkey_url, *OWN, "--json"), "epoch")
    assert told["level"] == "warn"
    assert told["said"].startswith("6 sessions")


def test_sessions_that_cannot_be_read_or_never_expire_are_told(
    copy: Any, valkey_url: str, recorded: Recorded
) -> None:
    copy.hset(KEYS.claim(recorded["ann"].pid), "n", "many")
    told = found(run("doctor", "--url", valkey_url, *OWN, "--json"), "sessions")
    assert (told["level"], "no valid field n" in told["said"]) == ("warn", True)
    copy.persist(KEYS.claim(recorded["bob"].pid))
    answer = run("doctor", "--url", valkey_url, *OWN, "--json")
    assert (answer.status, found(answer, "sessions")["level"]) == (1, "fail")


def test_a_server_that_is_silent_is_told(recorded: Recorded) -> None:
    later = str(2**41)  # everybody has expired by then
    gone = run("doctor", "--url", recorded.url, *OWN, "--at", later, "--json")
    assert found(gone, "servers")["level"] == "ok"
    with closing(open_source(recorded.url)) as source:
        soon = str(source.now_ms() + 60_000)
    silent = found(run("doctor", "--url", recorded.url, *OWN, "--at", soon, "--json"), "servers")
    assert silent["level"] == "warn"
    assert any(host in silent["said"] for host in recorded.hosts)


def test_the_rights_of_the_servers_user_are_checked(copy: Any, valkey_url: str) -> None:
    [acl] = [block.text for block in blocks(DOCS / "explanation" / "security.md") if block.name == "acl"]
    words = acl.replace("recovery", "servers", 1).replace("PASSWORD", "x").split()
    copy.execute_command(*words)
    told = found(run("doctor", "--url", valkey_url, "--user", "servers", "--json"), "rights")
    assert told["level"] == "ok", told
    for right in ("+eval", "+xadd", "+hset", "~socket.io"):
        copy.execute_command("ACL", "DELUSER", "servers")
        copy.execute_command(*(word for word in words if word != right))
        answer = run("doctor", "--url", valkey_url, "--user", "servers", "--json")
        assert (answer.status, found(answer, "rights")["level"]) == (1, "fail"), right
    nobody = found(run("doctor", "--url", valkey_url, "--user", "nobody", "--json"), "rights")
    assert nobody["level"] == "skip"


def test_rights_that_cannot_be_asked_are_skipped(redis62_url: str) -> None:
    told = found(run("doctor", "--url", redis62_url, "--user", "default", "--json"), "rights")
    assert (told["level"], "7.0" in told["todo"]) == ("skip", True)


FACTS = {
    "redis_version": "7.2.0",
    "role": "master",
    "cluster_enabled": "0",
    "maxmemory": "1000",
    "maxmemory_policy": "noeviction",
    "used_memory": "10",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "evicted_keys": "0",
    "total_system_memory": "1000",
}


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({}, "", Level.OK),
        ({"redis_version": "6.0.9"}, "version", Level.FAIL),
        ({"redis_version": "6.2.0"}, "version", Level.OK),
        ({"valkey_version": "7.1.0"}, "version", Level.FAIL),
        ({"valkey_version": "10.0.1"}, "version", Level.OK),
        ({"cluster_enabled": "1"}, "topology", Level.FAIL),
        ({"role": "slave"}, "topology", Level.FAIL),
        ({"evicted_keys": "3"}, "eviction", Level.FAIL),
        ({"maxmemory_policy": "volatile-ttl"}, "eviction", Level.FAIL),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": "0"}, "eviction", Level.OK),
        ({"used_memory": "800"}, "memory", Level.WARN),
        ({"used_memory": "950"}, "memory", Level.FAIL),
        ({"maxmemory": "0", "total_system_memory": "11"}, "memory", Level.FAIL),
        ({"maxmemory": "0", "total_system_memory": "0"}, "memory", Level.SKIP),
        ({"aof_last_write_status": "err"}, "persistence", Level.FAIL),
        ({"aof_enabled": "0"}, "persistence", Level.WARN),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, "persistence", Level.FAIL),
    ],
    ids=str,
)
def test_what_a_server_says_of_itself_is_judged(
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    check: str,
    level: Level,
) -> None:
    with closing(open_source(places["snapshot"])) as source:
        monkeypatch.setattr(source, "facts", lambda: {**FACTS, **changes})
        findings = {finding.check: finding for finding in _of_the_server(source)}
    if check:
        assert findings.pop(check).level is level
    assert all(finding.level is Level.OK for finding in findings.values())


def _of_the_server(source: Any) -> list[Finding]:
    return list(check_up(source, KEYS, Timing(Settings(max_disconnection_duration=WINDOW))))[:5]


def test_a_clock_that_is_wrong_is_told(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.inspect.checkup.time.time", lambda: 1000.0)
    told = found(run("doctor", "--url", recorded.url, "--json"), "clock")
    assert (told["level"], "ahead of" in told["said"]) == ("warn", True)


def test_an_empty_store_is_no_trouble(valkey_url: str) -> None:
    answer = run("doctor", "--url", valkey_url, "--json")
    assert answer.status == 0
    assert levels(answer)["window"] == "warn"
    assert levels(answer)["settings"] == "skip"
