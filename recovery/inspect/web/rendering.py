"""Rendering: templates, and how they show what others have stored.

Every text that a template shows goes through `recovery.inspect.words.shown`: what nobody would see, or what
would turn the line around (controls, right-to-left marks), is written out. Then it is escaped.
"""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from recovery.inspect.words import as_json, duration, moment, shown, shown_data, shown_room

__all__ = ["HERE", "data_lines", "render"]

HERE = Path(__file__).parent
_LONGEST = 1000  # characters of a text that a template shows
_MOST_LINES = 200
_LONGEST_LINE = 300


def _safe(value: Any) -> Any:  # whatever a template shows
    return shown(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _typed(value: object) -> Markup:
    """What a person typed, as it is, for the field that it was typed into."""
    text = "" if value is None else str(value)
    return escape(text.encode("utf-8", "replace").decode())


def _grouped(number: float) -> str:
    """A number with its thousands apart."""
    return f"{number:,.0f}".replace(",", "\u202f") if abs(number) >= 10_000 else f"{number:.0f}"


def _amount(size: float) -> str:
    """Bytes for people.

    >>> [_amount(size) for size in (12, 2048, 5 * 2**20)]
    ['12 B', '2.0 KiB', '5.0 MiB']
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    finalize=_safe,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    {
        "amount": _amount,
        "count": _grouped,
        "data": shown_data,
        "duration": duration,
        "moment": moment,
        "room": shown_room,
        "typed": _typed,
    }
)


def render(template: str, /, **context: Any) -> str:
    """Fill a template."""
    return _ENVIRONMENT.get_template(template).render(context)


def data_lines(value: object) -> list[str]:
    """Data of the application over several lines, none of them long, and not too many.

    >>> data_lines({"a": 1})
    ['{', '  "a": 1', '}']
    """
    lines = json.dumps(as_json(value), indent=2, ensure_ascii=False).splitlines()
    kept = [shown(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]]
    return kept if len(lines) <= _MOST_LINES else [*kept, f"... ({len(lines)} lines)"]
