"""The front end: connection state recovery for python-socketio servers."""

from adapter.async_manager import AsyncRecoveryManager
from adapter.manager import RecoveryManager

__all__ = ["AsyncRecoveryManager", "RecoveryManager"]
