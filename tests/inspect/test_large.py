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
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from recovery.inspect import open_source, write_snapshot
from recovery.inspect.web.handles import handle_of
from recovery.stores.embedded import EmbeddedServer
from tests.docs.pages import ROOT
from tests.inspect.filling import fill, filled_pid

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


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedServer() as server:
        fill(server.url, sessions=SESSIONS, entries=ENTRIES)
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
    ("session", filled_pid(SESSIONS // 2)),
    ("replay", filled_pid(SESSIONS // 2), "--json"),
    ("why", filled_pid(7), "none"),
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
    lines = _run("replay", filled_pid(42), "--url", url, "--json")[3]
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


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[tuple[str, int]]:
    """The page's address, and its process."""
    command = [sys.executable, "-c", "from adapter.cli import main; main()", "web", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--set", "max_disconnection_duration=60", "--url", url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"].rstrip("/"), process.pid
        process.terminate()


def _memory_of(process: int) -> int:
    """The most memory that a process has had, in bytes."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def _cpu_of(process: int) -> float:
    """Seconds that a process has worked: what a busy machine does not lengthen."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


LOOKS = {
    "the first sessions": "/",
    "those in a room": "/?room=room-42",
    "a search": "/?q=sid-9999",
    "sorted": "/?sort=deadline",
    "a far page": "/?page=1500",
    "the same in JSON": "/api/sessions?size=500",
    "a session": f"/sessions/{handle_of(filled_pid(SESSIONS // 2))}",
    "the stream": "/stream",
    "recoveries": "/recoveries",
    "servers": "/servers",
    "entries": "/api/entries?count=500",
    "why": f"/api/sessions/{handle_of(filled_pid(7))}/why",
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_answers_soon(url: str, page: tuple[str, int], look: str) -> None:
    address, process = page
    with redis.Redis.from_url(url) as client:
        client.config_set("slowlog-log-slower-than", SLOW_US)
        client.slowlog_reset()
        began, worked = time.monotonic(), _cpu_of(process)
        answer = httpx.get(address + LOOKS[look], timeout=60.0)
        took, worked = time.monotonic() - began, _cpu_of(process) - worked
        slow: Any = client.slowlog_get(10)
    _say(f"page: {look}", took, _memory_of(process), f"{worked:.2f} s of work, {len(answer.content)} bytes")
    assert answer.status_code == 200
    assert [each["command"][:60] for each in slow] == []
    assert _memory_of(process) < MEMORY
    assert took < FIRST_ANSWER


def test_the_page_gets_through_all_sessions(url: str, page: tuple[str, int]) -> None:
    address, process = page
    began, longest, answer = time.monotonic(), 0.0, dict[str, Any]()
    while not answer.get("complete"):
        asked = time.monotonic()
        answer = httpx.get(f"{address}/api/sessions?sort=sid&page=1999", timeout=60.0).json()
        longest = max(longest, time.monotonic() - asked)
    _say("page: all, sorted", time.monotonic() - began, _memory_of(process), f"{longest:.2f} s at most")
    assert (answer["found"], len(answer["sessions"])) == (SESSIONS, min(50, max(0, SESSIONS - 1998 * 50)))
    assert longest < FIRST_ANSWER
    assert _memory_of(process) < MEMORY


def test_a_dump_of_it_is_loaded(url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(url) as client:
        client.save()
        folder: Any = client.config_get("dir")
    rdb = tmp_path / "dump.rdb"
    rdb.write_bytes((Path(folder["dir"]) / "dump.rdb").read_bytes())
    lines = _run("sessions", "--rdb", rdb, "--json")[3]
    assert json.loads(lines[0])["state"] == "away"
