"""What is written of a session, and how long it is to live.

1. While its client is connected, a session lives for as long as it may take until the server notices that
   the client is gone, and the client until it is back, and is written again before that is cut into
   (`Settings.session_ms`).
2. When its transport closes, the session lives for exactly ``max_disconnection_duration``.
3. When client or server disconnects, it ends at once.
4. If the application wants to be told when it expires (``session_expired``), its value is kept longer, and
   whoever writes the value notes when to look.
"""

from typing import Any

from recovery.commands import SaveSession
from recovery.core.connection import Connection
from recovery.deadlines import NoteDeadline
from recovery.offsets import Offset
from recovery.records import HolderState, SavedSession, ServerId
from recovery.sessions import encode_session

__all__ = ["KEPT_MS", "deadline_note", "save_command"]

KEPT_MS = 86_400_000
"""Milliseconds, a day: so long a session that has expired waits for a server that calls the handler."""


def save_command(
    connection: Connection[Any],
    state: HolderState,
    *,
    server: ServerId,
    position: Offset,
    window_ms: int,
    linger_ms: int,
    live_ms: int,
    whole: bool,
    create: bool = False,
    keep_ms: int = 0,
    max_bytes: int | None = None,
) -> SaveSession:
    """Return the command that saves a connection's session.

    Args:
        connection: one with a pid.
        position: everything up to here was dispatched; for a connection that has ended, what counts is
            how far it got.
        window_ms: how long the session lives once the client is away.
        linger_ms: how much longer it is known to have expired.
        live_ms: how long it lives while the client is connected.
        whole: write rooms and user session too, not only the proven position and the state. Nothing of
            them is kept of a session that ends.
        keep_ms: how long the value is kept beyond the session's life, unless it ends on purpose.
        max_bytes: of the encoded session (setting ``max_session_bytes``); None for no limit.

    Raises:
        EncodingError: the session cannot be saved, or is too large.
    """
    assert connection.pid is not None, "only connections with a pid are saved"
    position = position if connection.ended_at is None else connection.ended_at
    keep_ms = 0 if state is HolderState.ENDED else keep_ms
    return SaveSession(
        pid=connection.pid,
        number=connection.number,
        nonce=connection.nonce,
        owner=server,
        namespace=connection.namespace,
        identity=connection.identity,
        epoch=connection.epoch,
        value=_value(connection, position, max_bytes) if whole and state is not HolderState.ENDED else None,
        proven=connection.proven,
        state=state,
        ttl_ms=live_ms if state is HolderState.LIVE else window_ms,
        linger_ms=linger_ms + keep_ms,
        create=create,
        keep_ms=keep_ms,
    )


def deadline_note(command: SaveSession) -> NoteDeadline | None:
    """Return the note that goes before a save, or None.

    A checkpoint needs none: whoever looks too early notes the true deadline. So a client that is connected
    costs one look in each life of its session.
    """
    if command.value is None or command.keep_ms == 0:
        return None
    return NoteDeadline(command.pid, command.ttl_ms, command.keep_ms)


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
            foreign=connection.foreign,
            settled=membership.settled,
        ),
        max_bytes=max_bytes,
    )
