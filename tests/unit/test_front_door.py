"""`adapter` gives its names when they are asked for, and not before."""

import subprocess
import sys

import pytest

import adapter
from tests.docs.pages import ROOT


def test_every_name_is_there() -> None:
    for name in adapter.__all__:
        assert getattr(adapter, name).__name__ == name


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RecoverManager'"):
        _ = adapter.RecoverManager  # type: ignore[attr-defined]  # that is what is tested


def test_the_command_loads_no_library_that_it_does_not_need() -> None:
    program = "import sys, adapter.cli as cli; cli.build_app(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"socketio", "engineio", "uvicorn", "aiohttp"} & set(loaded)
    assert "typer" in loaded
