"""The oldest python-socketio that is supported, with the oldest python-engineio that it takes.

The suites that look at what releases differ in, or go the whole way, run on it in a process of their own.
The newest needs no test here: all suites run on it.
"""

import tomllib
from pathlib import Path

import pytest

from tests.environments import ROOT, run_python

_SUITE_SECONDS = 300  # 30 on two cores that have nothing else to do; 90 on busy ones
_SUITES = {
    "seams": [
        "tests/unit/test_seams.py",
        "tests/unit/test_sync_seams.py",
        "tests/unit/test_releases.py",
        "tests/clients/test_client_seams.py",
        # the asyncio client of 5.13 gives a recent aiohttp an argument of before
        *("-W", "ignore:parameter 'timeout' of type 'float':DeprecationWarning"),
    ],
    "interleavings": ["tests/interleavings"],
    "synchronous": ["tests/sync/test_manager.py", "tests/sync/test_releases_alike.py"],
    "end-to-end": [
        "tests/e2e/test_connect_handlers.py",
        "tests/e2e/test_endings.py",
        "tests/e2e/test_reconnections.py",
        *("-m", "core", "-k", "valkey-2 and not gevent"),  # both colours
    ],
}
_RELEASES = """
import importlib.metadata, engineio, socketio
print(*(importlib.metadata.version(f"python-{module.__name__}") for module in (socketio, engineio)))
print(socketio.__file__, engineio.__file__)
"""


def test_the_environment_has_the_releases_that_it_is_to_have(oldest: Path) -> None:
    done = run_python(oldest, "-c", _RELEASES, timeout=30)
    assert done.returncode == 0, done.stdout
    releases, files = done.stdout.splitlines()
    assert releases == "5.13.0 4.11.0"
    folder = str(oldest.parent.parent)
    assert all(file.startswith(folder) for file in files.split()), f"{files} is not in {folder}"


def test_the_oldest_release_is_the_one_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "python-socketio>=5.13" in project["dependencies"]


@pytest.mark.timeout(_SUITE_SECONDS + 30)
@pytest.mark.parametrize("suite", _SUITES)
def test_a_suite_passes_on_it(oldest: Path, suite: str) -> None:
    arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *_SUITES[suite]]
    done = run_python(oldest, *arguments, timeout=_SUITE_SECONDS)
    assert done.returncode == 0, f"it failed on the oldest releases:\n{done.stdout}"
    assert " passed" in done.stdout, f"no test ran:\n{done.stdout}"
