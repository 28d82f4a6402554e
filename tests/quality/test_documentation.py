"""The documentation tells the truth about what can be checked: paths, links and shape."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.quality.markdown import anchors, code_spans, expand_braces, links
from tests.quality.repository import ROOT, markdown_pages, relative

pytestmark = pytest.mark.quality

_PAGES = [pytest.param(page, id=relative(page)) for page in markdown_pages()]
_PATH = re.compile(r"(?:recovery|adapter|tests|docs|\.ci)/[\w./*{},+-]*")
_FILE_AT_THE_TOP = re.compile(r"(?:README|CHANGELOG|CONTRIBUTING)\.md|LICENSE|pyproject\.toml|\.gitignore")
_MAX_DECISION_LINES = 60
_DECISIONS = ROOT / "docs" / "decisions"


@pytest.mark.parametrize("page", _PAGES)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    missing = [span for span in code_spans(_text(page)) for path in _paths(span) if not _exists(path)]
    assert not missing, f"{relative(page)} names what is not there: {missing}"


@pytest.mark.parametrize("page", _PAGES)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = [re.fullmatch(r"(tests/[\w/.]+\.py)::(\w+)", span) for span in code_spans(_text(page))]
    missing = [test[0] for test in named if test and not _defines(ROOT / test[1], test[2])]
    assert not missing, f"{relative(page)} names tests that are not there: {missing}"


def _defines(path: Path, name: str) -> bool:
    return path.exists() and re.search(rf"^(?:async )?def {name}\(", _text(path), re.MULTILINE) is not None


def _paths(span: str) -> list[str]:
    path = re.sub(r"(?:::[\w:\[\]-]+|:\d+)$", "", span)  # a test's id, a line's number
    if _PATH.fullmatch(path):
        return expand_braces(path)
    return [path] if _FILE_AT_THE_TOP.fullmatch(path) else []


def _exists(path: str) -> bool:
    return any(True for _ in ROOT.glob(path.rstrip("/")))


@pytest.mark.parametrize("page", _PAGES)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    dangling = [target for target in links(_text(page)) if not _resolves(page, target)]
    assert not dangling, f"{relative(page)} links to what is not there: {dangling}"


def _resolves(page: Path, target: str) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
        return True  # another site: not ours to keep alive
    path, _, fragment = unquote(target).partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return False
    return not fragment or there.suffix != ".md" or fragment in anchors(there)


def test_decision_records_are_short() -> None:
    lengths = {relative(page): len(_text(page).splitlines()) for page in _DECISIONS.glob("*.md")}
    assert {name: lines for name, lines in lengths.items() if lines > _MAX_DECISION_LINES} == {}


def test_decision_records_have_the_four_parts() -> None:
    parts = {"context", "decision", "alternatives", "consequences"}
    lacking = {
        relative(page): sorted(missing)
        for page in _DECISIONS.glob("[0-9]*.md")
        if (missing := {part for part in parts if not any(part in slug for slug in anchors(page))})
    }
    assert not lacking


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")
