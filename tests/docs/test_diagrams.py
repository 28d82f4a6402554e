"""What pages take from the code is what the code says, and the tour leads past every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.diagrams import DRAWINGS, PAGES, TOUR, drawn_anew
from tests.docs.pages import ROOT

NO_PART_OF_THE_TOUR = ("adapter/demo/", "__init__.py")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_holds_what_the_code_says(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "<!-- drawn: " in text
    assert drawn_anew(text) == text, "run: python docs/diagrams.py"


def test_every_drawing_is_on_a_page() -> None:
    pages = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in DRAWINGS if f"<!-- drawn: {name} -->" not in pages] == []


def test_the_tour_leads_past_every_file_that_has_something_to_say() -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("recovery", "adapter")
        for path in (ROOT / package).rglob("*.py")
    }
    to_see = {file for file in files if not any(words in file for words in NO_PART_OF_THE_TOUR)}
    assert to_see <= set(TOUR)
    assert set(TOUR) <= files


def test_nothing_on_the_tour_uses_what_comes_later() -> None:
    place = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): n for n, path in enumerate(TOUR)
    }
    early = [
        f"{path} uses {module}"
        for number, path in enumerate(TOUR)
        for module in _imported_at_the_top(ROOT / path)
        if place.get(module, -1) > number
    ]
    assert not early


def _imported_at_the_top(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_file_of_the_tour_is_shown_twice() -> None:
    assert len(set(TOUR)) == len(TOUR)


def test_a_changed_drawing_is_noticed() -> None:
    page = "<!-- drawn: phases -->\nsomething else\n<!-- end -->\n"
    assert drawn_anew(page) != page
    assert drawn_anew(drawn_anew(page)) == drawn_anew(page)
