"""Connection state recovery for Socket.IO: offsets, sessions, replay, stores. Imports no Socket.IO library.

Applications use the front end, the package `adapter`. What they may need from here are the errors, the
reasons, the record of a recovery, and the settings.
"""

from recovery.errors import (
    ConfigurationError,
    EncodingError,
    LimitError,
    MalformedError,
    PublishError,
    RecoveryError,
    SaveError,
    SourceError,
    StoreError,
    StoreUnavailableError,
)
from recovery.offsets import Offset, parse_offset
from recovery.reasons import Reason
from recovery.records import ExpiredSession, Recovery
from recovery.settings import Settings

__all__ = [
    "ConfigurationError",
    "EncodingError",
    "ExpiredSession",
    "LimitError",
    "MalformedError",
    "Offset",
    "PublishError",
    "Reason",
    "Recovery",
    "RecoveryError",
    "SaveError",
    "Settings",
    "SourceError",
    "StoreError",
    "StoreUnavailableError",
    "parse_offset",
]
