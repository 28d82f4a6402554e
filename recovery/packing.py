"""MessagePack with types: `msgpack` ships none, and what comes out of it may be anything.

`is_map` and `is_list` narrow such a value without claiming to know what is inside.
"""

from collections.abc import Callable
from typing import Any, TypeGuard, cast

import msgpack

__all__ = [
    "ExtHook",
    "Timestamp",
    "is_list",
    "is_map",
    "keep_extension",
    "pack",
    "pack_raw",
    "unpack",
    "unpack_raw",
]

ExtHook = Callable[[int, bytes], Any]

_msgpack = cast("Any", msgpack)  # the package has no type hints
Timestamp = msgpack.Timestamp
_packb: Callable[..., bytes] = _msgpack.packb
_unpackb: Callable[..., Any] = _msgpack.unpackb
keep_extension = cast("ExtHook", msgpack.ExtType)
"""Leaves application-defined types as they are (`msgpack.ExtType`)."""


def pack(value: object, *, default: Callable[[Any], Any] | None = None, dates: bool = False) -> bytes:
    """Return a value as MessagePack; with `dates`, aware datetimes are timestamps."""
    return _packb(value, default=default, datetime=dates)


def unpack(packed: bytes, *, ext_hook: ExtHook = keep_extension, dates: bool = False) -> Any:
    """Return the value of some MessagePack; maps may have any scalar as a key."""
    return _unpackb(packed, ext_hook=ext_hook, timestamp=3 if dates else 0, strict_map_key=False)


def pack_raw(value: object) -> bytes:
    """Return a value as MessagePack that tells no text from bytes, the form that Redis's Lua reads."""
    return _packb(value, use_bin_type=False)


def unpack_raw(packed: bytes) -> Any:
    """Return the value of some MessagePack, with bytes for text.

    Raises:
        TypeError, ValueError: it is none.
    """
    return _unpackb(packed, raw=True)


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    """Tell whether a value is a map."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value is a list."""
    return isinstance(value, list)
