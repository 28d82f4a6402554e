"""Which clients can use an offset: all but those whose handlers an extra argument would break.

The offset is one more argument of every event. JavaScript ignores it, a Python handler raises. Stock
python-socketio clients are told by their Engine.IO query: they send ``t=<time.time()>``, a number with
a dot, where JavaScript sends base 36 or nothing (python-engineio 4.15.1, ``_get_url_timestamp``; no other
header tells them apart). A client made with ``timestamp_requests=False`` has to be excluded by the
setting ``wants_offsets``.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["can_use_offsets", "is_stock_python_client"]


def is_stock_python_client(query: str) -> bool:
    """Tell whether an Engine.IO query string is that of a stock python-socketio client.

    >>> is_stock_python_client("transport=websocket&EIO=4&t=1700000000.123")
    True
    >>> is_stock_python_client("EIO=4&transport=polling&t=p1x9k2f0")
    False
    """
    values = parse_qs(query).get("t", [""])
    try:
        float(values[0])
    except ValueError:
        return False
    return "." in values[0]


def can_use_offsets(environ: Mapping[str, Any]) -> bool:
    """The default of the setting ``wants_offsets``."""
    return not is_stock_python_client(str(environ.get("QUERY_STRING", "")))
