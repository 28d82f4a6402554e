"""How things are shown to people: no stored text moves their cursor, and no pid is told by accident."""

import base64
import json
import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from recovery.packing import is_list, is_map
from recovery.records import Room

__all__ = [
    "as_json",
    "duration",
    "moment",
    "parse_duration",
    "parse_moment",
    "shortened",
    "shown",
    "shown_data",
    "shown_pid",
    "shown_room",
]

_UNSAFE = {
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Cn",
    "Zl",
    "Zp",
}  # controls, formats (right-to-left marks), private, unassigned
_PID_SHOWN = 6
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")


def shown(text: str, limit: int = 200) -> str:
    r"""Text that a terminal shows as it is: what would not be seen is written out.

    >>> shown("\x1b[31mred \u202e")
    '\\x1b[31mred \\u202e'
    """
    safe = "".join(
        _written_out(each) if unicodedata.category(each) in _UNSAFE else each for each in text[:limit]
    )
    return safe if len(text) <= limit else f"{safe}... ({len(text)} characters)"


def _written_out(character: str) -> str:
    return character.encode("unicode_escape", errors="surrogatepass").decode("ascii")


def shown_pid(pid: str, *, reveal: bool) -> str:
    """A pid, of which others may not see more than its beginning.

    >>> shown_pid("GXdLUBLZ7ZH85yMjFqEoSltjhfZzV-5R", reveal=False)
    'GXdLUB...'
    """
    return shown(pid if reveal else f"{pid[:_PID_SHOWN]}...")


def shown_room(room: Room) -> str:
    """A room; a number is told from the text of its digits."""
    return shown(room, 60) if isinstance(room, str) else f"#{room}"


def shown_data(value: object, limit: int = 200) -> str:
    """Data of the application, on one line."""
    return shown(json.dumps(as_json(value), ensure_ascii=False), limit)


def shortened(parts: list[str], most: int) -> str:
    """The first parts of a list, and how many others there are."""
    rest = len(parts) - most
    return ", ".join(parts[:most]) + (f" and {rest} more" if rest > 0 else "")


def as_json(value: object) -> Any:  # whatever JSON can say
    """Data of the application in JSON: binary as ``{"base64": ...}``, moments in ISO 8601, keys as text.

    >>> as_json({1: float("nan")})
    {'1': 'nan'}
    """
    if is_map(value):
        return {str(key): as_json(item) for key, item in value.items()}
    if is_list(value):
        return [as_json(item) for item in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has none of these
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def moment(ms: int) -> str:
    """A moment for people.

    >>> moment(1700000000123)
    '2023-11-14 22:13:20.123Z'
    """
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
    return f"{at:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}Z"


def duration(ms: float) -> str:
    """A length of time for people.

    >>> [duration(ms) for ms in (12, 1500, 59_990, 61_000, 3_599_999, 7_200_000, 200_000_000)]
    ['12ms', '1.5s', '59.9s', '1m01s', '59m59s', '2h00m', '2d07h']
    """
    if ms < 0:
        return f"-{duration(-ms)}"
    if ms < 1000:
        return f"{ms:.0f}ms"
    if ms < 60_000:
        return f"{ms // 100 / 10}s"
    seconds = int(ms) // 1000
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02}h"


def parse_duration(text: str) -> int:
    """Read ``90``, ``1.5s``, ``10m``, ``2h`` or ``3d``; milliseconds. Raises `ValueError`.

    >>> parse_duration("1.5m")
    90000
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no length of time; write 90, 1.5s, 10m, 2h or 3d")
    return round(float(found[1]) * _UNITS[found[2] or "s"])


def parse_moment(text: str) -> int:
    """Read milliseconds since 1970, or ISO 8601 (UTC unless it says otherwise). Raises `ValueError`.

    >>> parse_moment("2023-11-14T22:13:20Z")
    1700000000000
    """
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment; write ms since 1970, or 2023-11-14T22:13:20Z") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
