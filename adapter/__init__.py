"""The front end: connection state recovery for python-socketio servers, and clients that recover."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapter.async_client import AsyncRecoveryClient
    from adapter.async_manager import AsyncRecoveryManager
    from adapter.client import RecoveryClient
    from adapter.manager import RecoveryManager

__all__ = ["AsyncRecoveryClient", "AsyncRecoveryManager", "RecoveryClient", "RecoveryManager"]

_HOMES = {
    "AsyncRecoveryClient": "adapter.async_client",
    "AsyncRecoveryManager": "adapter.async_manager",
    "RecoveryClient": "adapter.client",
    "RecoveryManager": "adapter.manager",
}
"""Where each name is. It is loaded when it is asked for: a command that only looks into a store needs no
Socket.IO library, and half a second less."""


if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
