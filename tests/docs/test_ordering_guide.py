"""The guide to testing works: its tests pass, its programs print what it shows, its tables are complete."""

import subprocess
import sys
from pathlib import Path

import pytest

import recovery.testing
from recovery.testing import Kind
from recovery.testing import history as records
from tests.docs.pages import DOCS, ROOT, blocks

PAGE = DOCS / "how-to" / "test-your-event-ordering.md"
REFERENCE = (DOCS / "reference" / "testing.md").read_text(encoding="utf-8")
FILES = {block.name: block.text for block in blocks(PAGE) if block.language == "python"}
OUTPUTS = {block.name: block.text for block in blocks(PAGE) if block.language == "output"}
TESTS = sorted(name for name in FILES if name.startswith("test_"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", TESTS)
def test_a_test_on_the_page_passes(folder: Path, name: str) -> None:
    plugins = ["-p", "recovery.testing.plugin", "-p", "no:randomly", "-o", "asyncio_mode=auto"]
    plugins += ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = run(folder, "-m", "pytest", "-q", *plugins, "-W", "error", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_a_program_on_the_page_prints_what_it_shows(folder: Path, name: str) -> None:
    assert run(folder, name).stdout == OUTPUTS[name]


def test_nothing_on_the_page_is_left_out() -> None:
    assert {*TESTS, *OUTPUTS, "chat.py"} == set(FILES)


def test_the_reference_explains_every_kind_and_its_promise() -> None:
    for kind in Kind:
        assert f"| {kind} | {kind.promise.name} |" in REFERENCE


def test_the_reference_names_everything_public() -> None:
    for name in [*recovery.testing.__all__, *records.__all__]:
        if name != "Event":  # the sum of the records
            assert f"`{name}" in REFERENCE, name
