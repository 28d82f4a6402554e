"""The front end: connection state recovery for python-socketio servers, and clients that recover."""

from adapter.async_client import AsyncRecoveryClient
from adapter.async_manager import AsyncRecoveryManager
from adapter.client import RecoveryClient
from adapter.manager import RecoveryManager

__all__ = ["AsyncRecoveryClient", "AsyncRecoveryManager", "RecoveryClient", "RecoveryManager"]
