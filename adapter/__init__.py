"""The front end: connection state recovery for python-socketio servers."""

from adapter.async_manager import AsyncRecoveryManager

__all__ = ["AsyncRecoveryManager"]
