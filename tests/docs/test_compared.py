"""The page that compares: each cell has its source, and ours have tests that are there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = DOCS / "reference" / "compared.md"
SOURCES = {
    "Node, in memory": {"socket.io", "github.com/socketio"},
    "Node, Redis Streams": {"socket.io", "github.com/socketio"},
    "Node, MongoDB": {"socket.io", "github.com/socketio"},
    "python-socketio": {"python-socketio.readthedocs.io", "github.com/miguelgrinberg"},
    "Centrifugo": {"centrifugal.dev"},
    "AnyCable": {"docs.anycable.io"},
    "SignalR": {"learn.microsoft.com"},
    "Ably": {"ably.com"},
}
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\[[^\]]+\]\((https://[^)]+)\)")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one system does about one feature, and what shows it."""

    feature: str
    system: str
    said: str
    shown: str


def cells() -> Iterator[Cell]:
    """All cells, in order."""
    feature = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            feature = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| |"):
            yield Cell(feature, *(part.strip() for part in line.strip("|").split(" | ")))


FEATURES = sorted({cell.feature for cell in cells()})


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_has_a_cell_for_everybody(feature: str) -> None:
    found = [cell.system for cell in cells() if cell.feature == feature]
    assert found == ["here", *SOURCES]


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_said_of_us_has_tests_that_are_there(feature: str) -> None:
    [ours] = [cell for cell in cells() if (cell.feature, cell.system) == (feature, "here")]
    named = _TEST.findall(ours.shown)
    assert named
    assert ours.shown == ", ".join(f"`{path}::{name}`" for path, name in named)
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{path} has no {name}"


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_said_of_others_has_a_source_of_theirs(feature: str) -> None:
    for cell in cells():
        if cell.feature == feature and cell.system != "here":
            found = {_owner(url) for url in _LINK.findall(cell.shown)}
            assert found, cell
            assert found <= SOURCES[cell.system], cell


def test_there_are_features() -> None:
    assert len(FEATURES) >= 10


def _owner(url: str) -> str:
    """The site of a URL; on a site that many share, with the first part of its path."""
    parts = urlsplit(url)
    return f"{parts.netloc}/{parts.path.split('/')[1]}" if parts.netloc == "github.com" else parts.netloc
