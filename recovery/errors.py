"""Every error that this library raises, and whose fault it is.

::

    RecoveryError
    ├── ConfigurationError      the operator's: a setting or URL (also a ValueError)
    ├── EncodingError           the application's: data that cannot be stored (also a TypeError)
    ├── LimitError              the application's: a limit that is a setting (also a ValueError)
    ├── MalformedError          a peer's: an entry, a session or a request that cannot be read
    ├── NoAnswerError           a peer's: servers did not answer in time (also a TimeoutError)
    ├── SourceError             the operator's: a file that the inspector cannot read
    └── StoreError              the store's
        ├── StoreUnavailableError   no answer: refused, timed out, or cut off
        ├── PublishError            an emit was not confirmed; says whether it may have been stored
        └── SaveError               a session change was not confirmed

"Not recovered" is an outcome (`recovery.Reason`), not an error.
"""

from typing import Any

__all__ = [
    "ConfigurationError",
    "EncodingError",
    "LimitError",
    "MalformedError",
    "NoAnswerError",
    "PublishError",
    "RecoveryError",
    "SaveError",
    "SourceError",
    "StoreError",
    "StoreUnavailableError",
]


class RecoveryError(Exception):
    """Root of all errors of this library.

    >>> issubclass(PublishError, RecoveryError)
    True
    """


class ConfigurationError(RecoveryError, ValueError):
    """A setting, a URL or an installed package does not fit; the message says what to change."""


class EncodingError(RecoveryError, TypeError):
    """Data of the application cannot be stored or sent; nothing was changed."""


class LimitError(RecoveryError, ValueError):
    """More than a setting allows; nothing was changed. The message names the setting."""


class MalformedError(RecoveryError):
    """Bytes written by somebody else cannot be read as what they should be."""


class NoAnswerError(RecoveryError, TimeoutError):
    """Servers of the cluster did not answer in time.

    Attributes:
        servers: ids of those that are known by name.
        unknown: how many more there are; servers of Node's do not say who they are before they answer.
        answers: what the others said, in the form that the call would have returned.

    >>> NoAnswerError("no answer within 5.0 s", servers=("c2f0",), unknown=1, answers=[]).servers
    ('c2f0',)
    """

    def __init__(self, message: str, *, servers: tuple[str, ...], unknown: int, answers: Any) -> None:
        super().__init__(message)
        self.servers = servers
        self.unknown = unknown
        self.answers = answers  # of the type that the call returns


class SourceError(RecoveryError):
    """A file that the inspector was given is damaged, too new, or something else; the message says which."""


class StoreError(RecoveryError):
    """The store answered with an error, or not at all."""


class StoreUnavailableError(StoreError):
    """The store gave no answer.

    Attributes:
        maybe_applied: True if the command may have been carried out all the same (it was sent, and
            the reply was lost); False if it certainly was not.
    """

    def __init__(self, message: str, *, maybe_applied: bool) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied


class PublishError(StoreError):
    """An emit was not confirmed by the store within ``publish_timeout``.

    Attributes:
        maybe_stored: True if the packet may be in the stream (and be delivered) all the same; False
            if it certainly is not, so that emitting it again cannot double it.

    >>> PublishError("no answer for 5.0 s", maybe_stored=False).maybe_stored
    False
    """

    def __init__(self, message: str, *, maybe_stored: bool) -> None:
        super().__init__(message)
        self.maybe_stored = maybe_stored


class SaveError(StoreError):
    """A change of rooms or session data is in force on this server, but was not confirmed durable."""
