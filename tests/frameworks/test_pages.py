"""The pages about servers show the examples that tests run, and the commands that tests run them with."""

import importlib.util
import shlex

import pytest

from tests.docs.pages import Block, blocks
from tests.frameworks.recipes import ELSEWHERE, HOW_TO, PAGES, RECIPES, Recipe, commands_on
from tests.frameworks.serving import EXAMPLES

_FILES = [block for page in PAGES for block in blocks(page) if block.language == "python" and block.name]
_COMMANDS = [line for page in PAGES for line in commands_on(page)]
_MODULES = {"gevent-websocket": "geventwebsocket"}


@pytest.mark.parametrize("block", _FILES, ids=lambda block: block.name)
def test_a_file_on_a_page_is_the_example(block: Block) -> None:
    assert block.text == (EXAMPLES / block.name).read_text(encoding="utf-8")


def test_every_example_is_on_a_page() -> None:
    lying_there = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")}
    assert lying_there == {block.name for block in _FILES}


def test_every_command_is_run_by_a_test() -> None:
    typed = [line for line in _COMMANDS if not line.startswith("pip install ")]
    assert sorted(typed) == sorted(recipe.command for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_is_that_of_its_page(recipe: Recipe) -> None:
    assert recipe.command in commands_on(HOW_TO / recipe.page)


@pytest.mark.parametrize("line", [line for line in _COMMANDS if line.startswith("pip install ")])
def test_what_a_page_installs_is_what_tests_run_with(line: str) -> None:
    for package in shlex.split(line)[2:]:
        module = _MODULES.get(package, package.replace("-", "_"))
        assert importlib.util.find_spec(module) or package in ELSEWHERE
