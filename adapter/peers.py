"""Which clients can use an offset: all but those whose handlers an extra argument would break.

The offset is one more argument of every event. JavaScript ignores it, a Python handler raises. Stock
python-socketio clients are told by their Engine.IO query: they send ``t=<time.time()>``, a number with
a dot, where JavaScript sends base 36 or nothing (python-engineio 4.15.1, ``_get_url_timestamp``; no other
header tells them apart). A client made with ``timestamp_requests=False`` has to be excluded by the
setting ``wants_offsets``.

A client may say itself what it wants, with ``offsets=1`` or ``offsets=0`` in the query of its URL. That is
how the clients of this project, which are stock ones otherwise, ask for what they strip again. Other servers
ignore it.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

__all__ = ["asking_for_offsets", "can_use_offsets", "is_stock_python_client"]

_OFFSETS = "offsets"


def is_stock_python_client(query: str) -> bool:
    """Tell whether an Engine.IO query string is that of a stock python-socketio client.

    >>> is_stock_python_client("transport=websocket&EIO=4&t=1700000000.123")
    True
    >>> is_stock_python_client("EIO=4&transport=polling&t=p1x9k2f0")
    False
    """
    return _has_moment(parse_qs(query))


def _has_moment(values: Mapping[str, Sequence[str]]) -> bool:
    moment = values.get("t", [""])[0]
    try:
        float(moment)
    except ValueError:
        return False
    return "." in moment


def can_use_offsets(environ: Mapping[str, Any]) -> bool:
    """The default of the setting ``wants_offsets``: as the client says, or else as its kind.

    >>> can_use_offsets({"QUERY_STRING": "transport=polling&EIO=4&t=1700000000.123"})
    False
    >>> can_use_offsets({"QUERY_STRING": "offsets=1&transport=polling&EIO=4&t=1700000000.123"})
    True
    """
    values = parse_qs(str(environ.get("QUERY_STRING", "")))
    said = values.get(_OFFSETS, [""])[-1]
    if said in {"0", "1"}:
        return said == "1"
    return not _has_moment(values)


def asking_for_offsets(url: str) -> str:
    """Return a server's URL with which a client says that it can use offsets, unless it says something.

    >>> asking_for_offsets("https://example.com?room=1")
    'https://example.com?room=1&offsets=1'
    """
    parts = urlsplit(url)
    if _OFFSETS in parse_qs(parts.query):
        return url
    query = f"{parts.query}&{_OFFSETS}=1" if parts.query else f"{_OFFSETS}=1"
    return urlunsplit(parts._replace(query=query))
