"""The tutorial works: its files are the examples, its commands run, and they print what it shows."""

import importlib.metadata
import json
import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Block, blocks
from tests.docs.terminals import Stage
from tests.e2e.npm import NODE_FOLDER, NodeMissingError, install_packages

PAGE = DOCS / "tutorial" / "first-recovery.md"
EXAMPLES = DOCS / "examples" / "first_recovery"
BLOCKS = blocks(PAGE)
FILES = [block for block in BLOCKS if block.language in {"python", "js"}]
SHELL = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
CONSOLES = [block for block in BLOCKS if block.language == "console"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files, and the packages that it has npm install."""
    try:
        install_packages()
    except NodeMissingError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    for block in FILES:
        (tmp_path / block.name).write_text(block.text, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    return tmp_path


def test_every_block_is_a_file_an_installation_or_a_terminal() -> None:
    assert [block for block in BLOCKS if block not in [*FILES, *CONSOLES] and block.language != "sh"] == []
    assert len(FILES) == 3
    assert len(CONSOLES) > 10


@pytest.mark.parametrize("block", FILES, ids=lambda block: block.name)
def test_a_file_on_the_page_is_the_example(block: Block) -> None:
    assert block.text == (EXAMPLES / block.name).read_text(encoding="utf-8")


def test_every_example_is_on_the_page() -> None:
    lying_there = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert lying_there - {"package.json", "package-lock.json"} == {block.name for block in FILES}


def test_the_page_prints_what_it_shows(folder: Path) -> None:
    with Stage.opened(folder) as stage:
        for block in CONSOLES:
            try:
                stage.act(block.name, block.text)
            except AssertionError as error:
                raise AssertionError(f"{PAGE.name}:{block.line}, terminal {block.name!r}: {error}") from error
        stage.end()
        assert not stage.leftovers()


@pytest.mark.parametrize("line", SHELL)
def test_what_the_page_installs_is_what_the_tests_run_with(line: str) -> None:
    """An installation is not repeated here; what it would install must be there, or be on offer."""
    match shlex.split(line):
        case ["python3", "-m", "venv", ".venv"] | [".", ".venv/bin/activate"]:
            pass
        case ["cd", where]:
            assert ROOT / where == EXAMPLES
        case ["pip", "install", own, *packages]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            extra = re.fullmatch(r"\.\[(\w+)\]", own)
            assert extra is not None
            assert extra[1] in project["optional-dependencies"]
            for package in packages:
                assert importlib.metadata.version(package)
        case ["npm", "install", "--no-save", package]:
            name, _, version = package.partition("@")
            wanted = json.loads((NODE_FOLDER / "package.json").read_text())["dependencies"][name]
            assert wanted.lstrip("~^").startswith(f"{version}.")
        case _:
            pytest.fail("no test knows this command")


def test_the_stage_notices_what_is_not_on_the_page(tmp_path: Path) -> None:
    """A test of the test: a line that is missing, or one too many, is found."""
    (tmp_path / "hello.py").write_text("print('one')\nprint('two')\ninput()\n")
    with Stage.opened(tmp_path) as stage:
        stage.act("store", "$ python hello.py\none\n")
        with pytest.raises(AssertionError):
            stage.act("store", "three\n")
    with Stage.opened(tmp_path) as stage:
        stage.act("store", "$ python hello.py\none\n")
        stage.end()
        assert stage.leftovers() == {"store": ["two"]}
