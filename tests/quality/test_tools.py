"""Lint, types and import contracts hold: each tool is one test, run as by hand with its own settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.repository import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(600)]

_PYTHON = sys.executable
_TOOLS = {
    "ruff check": [_PYTHON, "-m", "ruff", "check", "."],
    "ruff format": [_PYTHON, "-m", "ruff", "format", "--check", "."],
    "mypy": [_PYTHON, "-m", "mypy"],
    "pyright": [_PYTHON, "-m", "pyright", "--pythonpath", _PYTHON],
    "lint-imports": [str(Path(_PYTHON).with_name("lint-imports")), "--no-cache"],
}


@pytest.mark.parametrize("tool", _TOOLS)
def test_has_nothing_to_say(tool: str) -> None:
    environment = os.environ | {
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",  # or it asks the network for a newer version of itself
        "NO_COLOR": "1",
    }
    finished = subprocess.run(
        _TOOLS[tool],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{tool} says:\n{finished.stdout}"
