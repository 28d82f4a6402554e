"""What is written of a session, and how long it is to live.

1. While its client is connected, a session outlives the last word from it by the retention: that long it
   may take until the server notices that the client is gone, and the client until it is back.
2. When its transport closes, the session lives for exactly ``max_disconnection_duration``.
3. When client or server disconnects, it ends at once.
"""

from typing import Any

from recovery.commands import SaveSession
from recovery.core.connection import Connection
from recovery.offsets import Offset
from recovery.records import HolderState, SavedSession, ServerId
from recovery.sessions import encode_session

__all__ = ["save_command"]


def save_command(
    connection: Connection[Any],
    state: HolderState,
    *,
    server: ServerId,
    position: Offset,
    window_ms: int,
    linger_ms: int,
    retention_ms: int,
    whole: bool,
    create: bool = False,
    max_bytes: int | None = None,
) -> SaveSession:
    """Return the command that saves a connection's session.

    Args:
        connection: one with a pid.
        position: everything up to here was dispatched; for a connection that has ended, what counts is
            how far it got.
        window_ms: how long the session lives once the client is away.
        linger_ms: how much longer it is known to have expired.
        retention_ms: how long it lives while the client is connected.
        whole: write rooms and user session too, not only the proven position and the state. Nothing of
            them is kept of a session that ends.
        max_bytes: of the encoded session (setting ``max_session_bytes``); None for no limit.

    Raises:
        EncodingError: the session cannot be saved, or is too large.
    """
    assert connection.pid is not None, "only connections with a pid are saved"
    position = position if connection.ended_at is None else connection.ended_at
    return SaveSession(
        pid=connection.pid,
        number=connection.number,
        owner=server,
        namespace=connection.namespace,
        identity=connection.identity,
        epoch=connection.epoch,
        value=_value(connection, position, max_bytes) if whole and state is not HolderState.ENDED else None,
        proven=connection.proven,
        state=state,
        ttl_ms=retention_ms if state is HolderState.LIVE else window_ms,
        linger_ms=linger_ms,
        create=create,
    )


def _value(connection: Connection[Any], position: Offset, max_bytes: int | None) -> bytes:
    membership = connection.membership
    assert connection.pid is not None, "only connections with a pid are saved"
    membership.settle(position, connection.proven)
    return encode_session(
        SavedSession(
            sid=connection.sid,
            pid=connection.pid,
            namespace=connection.namespace,
            rooms=tuple(membership.rooms()),
            data=connection.user_session,
            epoch=connection.epoch,
            start=membership.start,
            position=position,
            history=membership.changes(),
        ),
        max_bytes=max_bytes,
    )
