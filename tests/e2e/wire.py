"""JSON lines between a test and the processes it drives, Node's clients and Python's servers alike.

Bytes travel as ``{"$bin": base64}``, tuples (python-socketio tells them from lists) as ``{"$tuple": [...]}``;
everything else is plain JSON. A function of JavaScript arrives as ``{"$fn": True}``.
"""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["Json", "decode", "encode"]

Json = Any  # whatever an application may send; the tests are about its journey, not its shape


def encode(value: Json) -> Json:
    """Turn a value into plain JSON; dataclasses become dicts, unknown objects their ``repr``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"$tuple": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | set | frozenset):
        return [encode(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return repr(value)


def decode(value: Json) -> Json:
    """Undo `encode`."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$bin"}:
        return base64.b64decode(value["$bin"])
    if value.keys() == {"$tuple"}:
        return tuple(decode(item) for item in value["$tuple"])
    return {key: decode(item) for key, item in value.items()}
