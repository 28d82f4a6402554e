"""The README's Python examples run as they stand, and its commands are there for .ci/run to find."""

import re

import pytest

from tests.quality.repository import ROOT

pytestmark = pytest.mark.quality

_README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^```python\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", _BLOCKS, ids=range(len(_BLOCKS)))
async def test_an_example_runs(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "app"})  # noqa: S102 - our own page


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -e '.[demo]' && .venv/bin/socketio-recovery demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest -n 2",
    ],
)
def test_a_newcomers_command_stands_in_the_readme_once(command: str) -> None:
    assert [line.strip() for line in _README.splitlines()].count(command) == 1
