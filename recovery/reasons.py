"""Why a client that asked for recovery did not get it: a closed list.

The same words go to the application (`Recovery.reason`), the log, the metrics and the inspector.
"""

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Why a client that presented a pid got a fresh session instead.

    >>> Reason("offset-trimmed") is Reason.OFFSET_TRIMMED
    True
    """

    SESSION_UNKNOWN = "session-unknown"
    """No session is to be had for this pid: it never existed, or expired so long ago that nothing is
    left, or another connection presented the same pid at the same moment and got it."""

    SESSION_EXPIRED = "session-expired"
    """The client came back later than ``max_disconnection_duration`` after it was last heard of."""

    DISCONNECTED = "disconnected"
    """The session ended on purpose: the client or the server disconnected, here or while it was away."""

    MALFORMED = "malformed"
    """The pid or the offset is not of a form that a server hands out."""

    OFFSET_TRIMMED = "offset-trimmed"
    """The stream no longer holds everything that the client may have missed."""

    OFFSET_UNKNOWN = "offset-unknown"
    """No packet of the stream has this offset: it lies beyond the end, or was lost from among the others."""

    EPOCH_CHANGED = "epoch-changed"
    """The stream was deleted, or lost writes, since the session was saved."""

    NAMESPACE_MISMATCH = "namespace-mismatch"
    """The session belongs to another namespace."""

    IDENTITY_MISMATCH = "identity-mismatch"
    """The session belongs to another user (setting ``identity``)."""

    REPLAY_TOO_LARGE = "replay-too-large"
    """More was missed than ``max_replay`` allows, or the replay log can hold."""

    STORE_UNAVAILABLE = "store-unavailable"
    """The store did not answer in time."""

    REFUSED = "refused"
    """The connect handler refused the client. The session stays recoverable until its deadline."""
