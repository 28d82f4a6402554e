"""100 000 sessions and 1 000 000 entries: first answers within 2 s, in bounded memory, and Redis is not held
up.

Takes minutes, so a run leaves it out. ``INSPECT_LARGE=1 pytest tests/inspect/test_large.py`` runs it (or
another number, for so many times less).
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.inspect import open_source, write_snapshot
from recovery.offsets import Offset
from recovery.records import Audience, Epoch, Namespace, Pid, Room, RoomChange, SavedSession, ServerId, Sid
from recovery.sessions import encode_session
from recovery.stores.embedded import EmbeddedServer
from tests.docs.pages import ROOT
from tests.inspect.recording import KEYS

LARGE = os.environ.get("INSPECT_LARGE", "")
pytestmark = [
    pytest.mark.skipif(not LARGE, reason="takes minutes: set INSPECT_LARGE=1"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
    pytest.mark.timeout(1800),
]

SCALE = int(LARGE or 1)
SESSIONS, ENTRIES = 100_000 // SCALE, 1_000_000 // SCALE
FIRST_ANSWER = 2.0  # seconds, the start of Python included
MEMORY = 200 * 2**20  # bytes of the command's process
SLOW_US = 10_000
ROOMS = [f"room-{number}" for number in range(100)]


def _pid(number: int) -> Pid:
    return Pid(f"{number:08d}" + "p" * 24)


def _batches(items: Iterator[Any], count: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, count)):
        yield batch


def _fill(url: str) -> None:
    now = round(time.time() * 1000)
    start = now - ENTRIES
    drafts = Drafts(ServerId("0123456789abcdef"), PayloadCodec())
    made = [
        drafts.broadcast(
            Namespace("/"), [f"event-{number % 20}", {"n": number, "text": "x" * 40}], Audience((room,))
        )
        for number, room in enumerate(ROOMS)
    ]
    with redis.Redis.from_url(url) as client:
        client.hset(KEYS.epoch, "id", "e")
        for batch in _batches(iter(range(ENTRIES)), 2000):
            pipeline: Any = client.pipeline(transaction=False)
            for number in batch:
                pipeline.xadd(KEYS.stream, dict(made[number % len(made)].fields), id=f"{start + number}-0")
            pipeline.execute()
        for batch in _batches(iter(range(SESSIONS)), 2000):
            pipeline = client.pipeline(transaction=False)
            for number in batch:
                _save(pipeline, number, start, now)
            pipeline.execute()


def _save(pipeline: Any, number: int, start: int, now: int) -> None:
    pid, at = _pid(number), Offset(now - 20_000 - number % 1000, 0)
    rooms = (f"sid-{number}", ROOMS[number % 100])
    history: dict[Room, tuple[RoomChange, ...]] = {rooms[1]: (RoomChange(Offset(start, 0), entered=True),)}
    session = SavedSession(
        Sid(rooms[0]), pid, Namespace("/"), rooms, {"user": number}, Epoch("e"), Offset(start, 0), at, history
    )
    claim = {
        "n": 1,
        "owner": "0123456789abcdef",
        "holder": "0123456789abcdef",
        "state": "away",
        "since": now - 20_000,
        "deadline": now + 3_600_000,
        "proven": str(at),
        "nsp": "/",
        "identity": "",
        "epoch": "e",
    }
    pipeline.set(KEYS.session(pid), encode_session(session), px=3_600_000)
    pipeline.hset(KEYS.claim(pid), mapping=claim)
    pipeline.pexpire(KEYS.claim(pid), 7_200_000)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedServer() as server:
        _fill(server.url)
        yield server.url


@pytest.fixture(scope="module")
def snapshot(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "snapshot"
    began = time.monotonic()
    source = open_source(url)
    written = write_snapshot(source, path)
    source.close()
    assert (written.sessions, written.entries) == (SESSIONS, ENTRIES)
    _say("export", time.monotonic() - began, _own_memory(), f"{written.size} bytes")
    return path


def _own_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _say(what: str, seconds: float, memory: int, more: object = "") -> None:
    print(f"{what:<34} {seconds:6.2f} s  {memory / 2**20:6.0f} MiB  {more}")  # noqa: T201 - what was measured


# The command, and at its end its memory, in KiB (what `resource` says of a child begins with its parent's).
_CHILD = """
import re, sys
from pathlib import Path
from adapter.cli import main
try:
    main()
finally:
    sys.stdout.flush()
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def _run(*arguments: object) -> tuple[float, float, int, list[str]]:
    """Run the command; seconds to the first line and to the end, bytes of memory, and the lines."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        first = time.monotonic() - began
        out, err = process.communicate()
    memory = int(err.split()[-1]) * 1024
    _say(f"{arguments[0]} {arguments[-1]}"[:34], first, memory, f"all after {time.monotonic() - began:.2f} s")
    assert process.returncode == 0, err
    return first, time.monotonic() - began, memory, [*lines, *out.splitlines()]


QUICK: list[tuple[object, ...]] = [
    ("sessions",),
    ("sessions", "--json", "--limit", "0"),
    ("session", _pid(SESSIONS // 2)),
    ("replay", _pid(SESSIONS // 2), "--json"),
    ("why", _pid(7), "none"),
    ("stream",),
    ("stream", "--entries", "--limit", "100"),
]


@pytest.mark.parametrize("arguments", QUICK, ids=lambda arguments: str(arguments[0]))
def test_first_answers_come_soon_from_a_store(url: str, arguments: tuple[object, ...]) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("slowlog-log-slower-than", SLOW_US)
        client.slowlog_reset()
        first, _, memory, _ = _run(*arguments, "--set", "max_disconnection_duration=60", "--url", url)
        slow: Any = client.slowlog_get(10)
    assert first < FIRST_ANSWER
    assert memory < MEMORY
    assert [each["command"][:60] for each in slow] == []


@pytest.mark.parametrize("arguments", QUICK, ids=lambda arguments: str(arguments[0]))
def test_first_answers_come_soon_from_a_snapshot(snapshot: Path, arguments: tuple[object, ...]) -> None:
    first, _, memory, _ = _run(*arguments, "--set", "max_disconnection_duration=60", "--snapshot", snapshot)
    assert first < FIRST_ANSWER
    assert memory < MEMORY


def test_a_replay_is_what_was_missed(url: str) -> None:
    lines = _run("replay", _pid(42), "--url", url, "--json")[3]
    packets = json.loads(lines[0])["packets"]
    assert 150 < len(packets) < 250  # of 20 s at one a millisecond, every hundredth is for its room


@pytest.mark.parametrize(
    "arguments", [("sessions", "--count"), ("sessions", "--sort", "deadline"), ("doctor",)]
)
def test_answers_about_all_sessions_hold_nobody_up(url: str, arguments: tuple[object, ...]) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("slowlog-log-slower-than", SLOW_US)
        client.slowlog_reset()
        _, _, memory, _ = _run(*arguments, "--url", url, "--json")
        slow: Any = client.slowlog_get(10)
    assert memory < MEMORY
    assert [each["command"][:60] for each in slow] == []


def test_a_dump_of_it_is_loaded(url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(url) as client:
        client.save()
        folder: Any = client.config_get("dir")
    rdb = tmp_path / "dump.rdb"
    rdb.write_bytes((Path(folder["dir"]) / "dump.rdb").read_bytes())
    lines = _run("sessions", "--rdb", rdb, "--json")[3]
    assert json.loads(lines[0])["state"] == "away"
