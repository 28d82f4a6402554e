"""Connection state recovery for Socket.IO: offsets, sessions, replay, stores. Imports no Socket.IO library.

Applications use the front end, the package `adapter`. What they may need from here are the errors, the
reasons, the record of a recovery, and the settings.
"""

from recovery.errors import (
    ConfigurationError,
    EncodingError,
    LimitError,
    MalformedError,
    NoAnswerError,
    PublishError,
    RecoveryError,
    SaveError,
    SourceError,
    StoreError,
    StoreUnavailableError,
)
from recovery.offsets import Offset, parse_offset
from recovery.peers import BroadcastAnswers, RemoteSocket, ServerRecord
from recovery.reasons import Reason
from recovery.records import ExpiredSession, Recovery
from recovery.settings import Settings

__all__ = [
    "BroadcastAnswers",
    "ConfigurationError",
    "EncodingError",
    "ExpiredSession",
    "LimitError",
    "MalformedError",
    "NoAnswerError",
    "Offset",
    "PublishError",
    "Reason",
    "Recovery",
    "RecoveryError",
    "RemoteSocket",
    "SaveError",
    "ServerRecord",
    "Settings",
    "SourceError",
    "StoreError",
    "StoreUnavailableError",
    "parse_offset",
]
