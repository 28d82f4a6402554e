"""``replay`` and ``why``, on what a real cluster left behind, and on what befell a copy of it."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from recovery.inspect.explanation import ADVICE
from recovery.inspect.schema import FIELDS, undocumented
from recovery.packing import pack
from recovery.reasons import Reason
from recovery.records import Pid
from tests.inspect.commands import Answer, run
from tests.inspect.recording import KEYS, Recorded

LATE = str(2**53)


@pytest.fixture
def option(kind: str, places: dict[str, str]) -> tuple[str, ...]:
    """What chooses the data set in each form."""
    return ("--url" if kind == "live" else f"--{kind}", places[kind])


@pytest.fixture
def copy(recorded: Recorded, valkey_url: str) -> Iterator[tuple[str, ...]]:
    """What chooses a copy of the data set, which may be changed."""
    recorded.copy_to(valkey_url)
    yield ("--url", valkey_url)
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()


def test_a_replay_is_what_the_client_missed(option: tuple[str, ...], recorded: Recorded) -> None:
    ann = recorded["ann"]
    answer = run("replay", ann.pid, *option, "--offset", ann.offset, "--json")
    assert answer.status == 0
    assert undocumented(answer.json, FIELDS["replay"]) == set()
    assert [(packet["event"], packet["args"]) for packet in answer.json["packets"]] == [
        ("headline", ["one"]),
        ("headline", [{"two": [{"base64": "AGJpbmFyeQ=="}, 2]}]),
        ("late", ["just in time"]),
        ("everyone", ["\x1b[2Jclear"]),
        ("headline", ["at the end"]),
    ]
    assert answer.json["rooms"] == [ann.sid, "news", "late"]
    assert answer.json["floor"] == ann.offset


def test_a_replay_tells_why_the_rest_is_not_sent(option: tuple[str, ...], recorded: Recorded) -> None:
    ann = recorded["ann"]
    answer = run("replay", ann.pid, *option, "--offset", ann.offset, "--all", "--json")
    assert [(each["event"], each["reason"]) for each in answer.json["unsent"]] == [
        ("score", "other-room"),
        ("cursor", "volatile"),
        ("hint", "excluded"),
        ("late", "before-joining"),
        ("", "control"),
        ("ask", "acknowledgement"),
        ("note", "other-namespace"),
        ("headline", "other-room"),
    ]
    assert undocumented(answer.json, {**FIELDS["replay"], **FIELDS["replay --all"]}) == set()
    lines = run("replay", ann.pid, *option, "--offset", ann.offset, "--all").out.splitlines()
    assert ann.sid in lines[0]
    assert [line.split()[1] for line in lines[2:]] == [
        *("headline", "headline", "score", "cursor", "hint", "late", "control", "late", "ask", "note"),
        *("everyone", "headline", "headline"),
    ]


def test_a_client_of_another_namespace_gets_its_own(option: tuple[str, ...], recorded: Recorded) -> None:
    answer = run("replay", recorded["cat"].sid, *option, "--json").json
    assert [packet["event"] for packet in answer["packets"]] == ["note"]
    assert answer["namespace"] == "/chat"


def test_who_would_not_be_recovered_is_status_1(option: tuple[str, ...], recorded: Recorded) -> None:
    for name, outcome in (("dan", "disconnected"), ("gus", "session-expired")):
        answer = run("replay", recorded[name].pid, *option, "--all", "--json")
        assert (answer.status, answer.json["outcome"]) == (1, outcome)
        assert answer.json["packets"] == answer.json["unsent"] == []
        assert outcome in run("replay", recorded[name].pid, *option).out
    assert run("replay", "nobody", *option).status == 1


def test_why_is_the_same_from_each_source(option: tuple[str, ...], recorded: Recorded) -> None:
    for left in recorded.clients.values():
        arguments = (left.pid, left.offset or "none", "--at", LATE, "--json")
        there = run("why", *arguments, *option)
        assert there.json == run("why", *arguments, "--url", recorded.url).json
        assert undocumented(there.json, FIELDS["why"]) == set()


def why(recorded: Recorded, *arguments: object) -> Answer:
    return run("why", recorded["ann"].pid, *arguments)


CASES: dict[Reason, Callable[[Recorded], tuple[object, ...]]] = {
    Reason.SESSION_UNKNOWN: lambda recorded: ("x" * 20, "none"),
    Reason.SESSION_EXPIRED: lambda recorded: (recorded["gus"].pid, "none"),
    Reason.DISCONNECTED: lambda recorded: (recorded["dan"].pid, "none"),
    Reason.MALFORMED: lambda recorded: (recorded["ann"].pid, "1700000000000"),
    Reason.OFFSET_UNKNOWN: lambda recorded: (recorded["ann"].pid, "99999999999999-0"),
    Reason.NAMESPACE_MISMATCH: lambda recorded: (recorded["ann"].pid, "none", "--namespace", "/chat"),
    Reason.IDENTITY_MISMATCH: lambda recorded: (recorded["ann"].pid, "none", "--identity", "another"),
    Reason.REPLAY_TOO_LARGE: lambda recorded: (recorded["ann"].pid, "none", "--set", "max_replay=2"),
}


@pytest.mark.parametrize("reason", CASES)
def test_each_reason_is_told_with_what_to_change(
    option: tuple[str, ...], recorded: Recorded, reason: Reason
) -> None:
    answer = run("why", *CASES[reason](recorded), *option, "--json")
    assert (answer.status, answer.json["outcome"]) == (1, reason.value)
    assert answer.json["advice"] == ADVICE[reason]
    passed = [step["passed"] for step in answer.json["steps"]]
    assert passed == [True] * (len(passed) - 1) + [False]
    people = run("why", *CASES[reason](recorded), *option)
    assert people.status == 1
    assert people.out.splitlines()[-2:] == [reason.value, ADVICE[reason]]
    assert [line[:3] for line in people.out.splitlines()[:-3]] == ["yes"] * (len(passed) - 1) + ["NO "]


def _trim(client: Any, recorded: Recorded) -> None:
    client.xtrim(KEYS.stream, maxlen=2, approximate=False)


def _forget_writes(client: Any, recorded: Recorded) -> None:
    client.hset(KEYS.epoch, "id", "another")


def _delete(client: Any, recorded: Recorded) -> None:
    client.delete(KEYS.stream)


def _evict(client: Any, recorded: Recorded) -> None:
    client.delete(KEYS.session(recorded["ann"].pid))


def _disconnect(client: Any, recorded: Recorded) -> None:
    data = f'{{"opts":{{"rooms":["{recorded["ann"].sid}"],"except":[],"flags":{{}}}},"close":false}}'
    to = f'["{recorded["ann"].sid}"]'
    client.xadd(KEYS.stream, {"uid": "x", "nsp": "/", "type": "6", "data": data, "to": to})


def _spoil(client: Any, recorded: Recorded) -> None:
    client.set(KEYS.session(recorded["ann"].pid), "spoilt", px=60_000)


@pytest.mark.parametrize(
    ("befalls", "reason", "words"),
    [
        (_trim, Reason.OFFSET_TRIMMED, "was trimmed"),
        (_forget_writes, Reason.EPOCH_CHANGED, "another"),
        (_delete, Reason.EPOCH_CHANGED, "there is none"),
        (_evict, Reason.SESSION_EXPIRED, "the store dropped it"),
        (_disconnect, Reason.DISCONNECTED, "while it was away"),
        (_spoil, Reason.SESSION_UNKNOWN, "cannot be read"),
    ],
)
def test_what_befell_a_store_is_told(
    copy: tuple[str, ...], recorded: Recorded, befalls: Callable[..., None], reason: Reason, words: str
) -> None:
    with redis.Redis.from_url(copy[1]) as client:
        befalls(client, recorded)
    answer = why(recorded, recorded["ann"].offset, *copy, "--json")
    assert answer.json["outcome"] == reason.value
    assert words in answer.json["steps"][-1]["said"]
    assert answer.json["steps"][-1]["passed"] is False


def test_a_recovery_is_told_too(option: tuple[str, ...], recorded: Recorded) -> None:
    answer = why(recorded, recorded["ann"].offset, *option)
    assert answer.status == 0
    assert [line.split()[1] for line in answer.out.splitlines()[:6]] == [
        *("form", "claim", "session", "floor", "stream", "replay")
    ]
    assert "5 packets were missed" in answer.out
    assert answer.out.splitlines()[-1] == "recovered"


def test_where_the_floor_comes_from_is_said(copy: tuple[str, ...], recorded: Recorded) -> None:
    def floor(offset: object) -> str:
        [step] = [
            each for each in why(recorded, offset, *copy, "--json").json["steps"] if each["name"] == "floor"
        ]
        return str(step["said"])

    assert "it presents that" in floor(recorded["ann"].offset)
    assert "its session begins there" in floor("none")
    assert "of an earlier session" in floor("5-0")
    with redis.Redis.from_url(copy[1]) as client:
        client.hset(KEYS.claim(recorded["ann"].pid), "proven", str(recorded["ann"].offset))
    assert "proven that by a PONG" in floor("none")


def test_pids_are_not_shown_whole(recorded: Recorded) -> None:
    pid, url = recorded["ann"].pid, ("--url", recorded.url)
    for arguments in (
        ("replay", pid),
        ("replay", pid, "--json"),
        ("why", pid, "none"),
        ("why", pid, "none", "--json"),
    ):
        assert pid not in run(*arguments, *url).out
    assert run("why", pid, "none", *url, "--json", "--reveal").json["pid"] == pid
    assert run("why", "y" * 30, "none", *url, "--json").json["pid"] == "yyyyyy..."


def test_there_is_advice_for_every_reason() -> None:
    assert set(ADVICE) == set(Reason)


def test_a_session_that_node_saved_is_foretold(copy: tuple[str, ...], recorded: Recorded) -> None:
    """What our servers make of it: `tests/cluster/test_recovery_with_node.py` compares the two."""
    ann = recorded["ann"]
    before = run("replay", ann.pid, *copy, "--offset", ann.offset, "--json").json
    with redis.Redis.from_url(copy[1]) as client:
        session = {"sid": ann.sid, "pid": ann.pid, "rooms": [ann.sid, "news"], "data": {"user": "ann"}}
        client.set(KEYS.session(Pid(ann.pid)), base64.b64encode(pack(session)), ex=60)
        client.delete(KEYS.claim(Pid(ann.pid)))

    adopted = run("replay", ann.pid, *copy, "--offset", ann.offset, "--json").json
    assert (adopted["outcome"], set(adopted["rooms"])) == ("recovered", set(before["rooms"]))
    assert adopted["packets"] == before["packets"]

    told = run("why", ann.pid, ann.offset, *copy)
    assert (told.status, "a server of Node's saved the session; ours take it over" in told.out) == (0, True)
    for offset, more, words in (
        ("none", (), "those need an offset"),
        ("1-1", (), "was trimmed"),
        (LATE + "-1", (), "is not of this namespace"),
        (ann.offset, ("--namespace", "/chat"), "is not of this namespace"),
        (ann.offset, ("--identity", "ab" * 32), "those are bound to no user"),
    ):
        refused = run("why", ann.pid, offset, *copy, *more)
        assert (refused.status, words in refused.out) == (1, True), refused.out
