"""What pages take from the code is what the code says, and the tour leads past every file."""

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


def test_no_file_of_the_tour_is_shown_twice() -> None:
    assert len(set(TOUR)) == len(TOUR)


def test_a_changed_drawing_is_noticed() -> None:
    page = "<!-- drawn: phases -->\nsomething else\n<!-- end -->\n"
    assert drawn_anew(page) != page
    assert drawn_anew(drawn_anew(page)) == drawn_anew(page)
