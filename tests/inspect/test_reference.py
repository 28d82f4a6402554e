"""The reference of the command line is about every command, and what it says of JSON can be wrong."""

import re

import pytest
from typer.testing import CliRunner

from adapter.cli import build_app
from recovery import inspect as inspector
from recovery.inspect.schema import FIELDS, undocumented
from tests.docs.pages import DOCS
from tests.inspect.commands import run

PAGE = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
COMMANDS = [
    command.name or getattr(command.callback, "__name__", "") for command in build_app().registered_commands
]


def test_every_command_has_a_part_and_examples() -> None:
    for command in COMMANDS:
        part = PAGE.partition(f"### `{command}`\n")[2].partition("\n### ")[0]
        assert f"socketio-recovery {command}" in part, command
        assert command == "demo" or f"socketio-recovery {command} " in part.rpartition("```text")[2], command


def test_every_json_of_a_command_is_described() -> None:
    described = {name.partition(" ")[0] for name in FIELDS}
    assert described == set(COMMANDS) - {"bridge", "demo"}  # which do not look at a store


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_of_the_page(command: str) -> None:
    shown = CliRunner().invoke(build_app(), [command, "--help"], terminal_width=200).output
    part = PAGE.partition(f"### `{command}`\n")[2].partition("\n### ")[0]
    options = re.findall(r"^\| `(--[\w-]+)", part, re.MULTILINE)
    assert options
    assert not [option for option in options if option not in shown]
    if "options-that-choose-a-source" in part:
        common = PAGE.partition("<!-- drawn: source_options -->")[2].partition("<!-- end -->")[0]
        assert not [each for each in re.findall(r"`(--[\w-]+)", common) if each not in shown]


@pytest.mark.parametrize(
    ("value", "differing"),
    [
        ({"a": 1, "b": [{"c": 1}]}, set()),
        ({"a": {"anything": 1}, "b": []}, set()),
        ({"a": 1}, {"b[].c"}),
        ({"a": 1, "b": [{"c": 1, "d": 2}]}, {"b[].d"}),
        ({"a": 1, "b": [{"c": 1}], "e": 1}, {"e"}),
    ],
)
def test_what_is_not_described_is_noticed(value: object, differing: set[str]) -> None:
    assert undocumented(value, {"a": "one", "b[].c": "two"}) == differing


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in run("--help").out


@pytest.mark.parametrize("name", inspector.__all__)
def test_a_name_of_the_library_is_explained_by_an_example_and_is_on_its_page(name: str) -> None:
    docstring = getattr(inspector, name).__doc__ or ""
    assert ">>>" in docstring or "::\n" in docstring
    if name[0].islower():
        assert f"`{name}(" in (DOCS / "reference" / "inspect.md").read_text(encoding="utf-8")
