"""The fenced blocks of a page of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "ROOT", "Block", "blocks"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCED = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word after the fence, "" if there is none.
        name: the rest: the file that the block is, or the terminal that it shows.
        line: where its text begins, for messages.
    """

    language: str
    name: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCED.finditer(text):
        language, _, name = match["info"].strip().partition(" ")
        found.append(
            Block(language, name.strip(), match["text"], text[: match.start("text")].count("\n") + 1)
        )
    return found
