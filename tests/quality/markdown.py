"""What a page of the documentation points at: paths, links and headings."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

__all__ = ["anchors", "code_spans", "expand_braces", "links"]

_FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1 *$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_BRACES = re.compile(r"\{([^{}]*)\}")


def code_spans(text: str) -> Iterator[str]:
    """Every `code span` of a page, outside of fenced blocks."""
    for match in _CODE_SPAN.finditer(_FENCE.sub("", text)):
        yield match[2].strip()


def links(text: str) -> Iterator[str]:
    """Every target of a link or an image, outside of code."""
    prose = _CODE_SPAN.sub("", _FENCE.sub("", text))
    for pattern in (_LINK, _DEFINITION):
        for match in pattern.finditer(prose):
            yield match[1]


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings can be reached by, spelled as GitHub spells them."""
    found: set[str] = set()
    for match in _HEADING.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower()
        slug = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while slug in found:
            number += 1
            slug = f"{base}-{number}"
        found.add(slug)
    return found


def expand_braces(text: str) -> list[str]:
    """Spell out ``a/{b,c}.py``, as a shell does.

    >>> expand_braces("recovery/{offsets,reasons}.py")
    ['recovery/offsets.py', 'recovery/reasons.py']
    """
    pieces = _BRACES.split(text)
    choices = [piece.split(",") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ["".join(choice) for choice in product(*choices)]
