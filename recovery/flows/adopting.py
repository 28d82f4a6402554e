"""Adopting: a session that a server of Node's saved becomes one of ours, and can be claimed.

Where the application binds sessions to users (setting ``identity``) none is adopted: Node's are bound to
nobody. That the session is of this namespace, which Node does not save, is shown by the entry that the client
received last: whoever presents its offset was in that one's namespace.
"""

import logging

from recovery.adoption import FindSession, FoundSession, session_of_node
from recovery.commands import Flow, ReadBack, SaveSession
from recovery.errors import EncodingError, MalformedError, StoreError, StoreUnavailableError
from recovery.flows.insisting import insist
from recovery.offsets import ORIGIN, Offset
from recovery.reasons import Reason
from recovery.records import Entry, Epoch, HolderState, Namespace, Pid, SavedSession, ServerId
from recovery.sessions import encode_session
from recovery.settings import Settings

__all__ = ["adopt"]

logger = logging.getLogger("recovery.admission")


def adopt(
    pid: Pid,
    offset: Offset | None,
    namespace: Namespace,
    *,
    server: ServerId,
    epoch: Epoch,
    settings: Settings,
) -> Flow[Reason | None]:
    """Make a session of ours of what Node saved; return why not, or None if it can be claimed now.

    Args:
        offset: that the client presents.
    """
    found = yield from _find(pid, settings)
    if found is None:
        return Reason.SESSION_UNKNOWN
    try:
        session = session_of_node(found.value, pid=pid, namespace=namespace, epoch=epoch, offset=offset)
        value = encode_session(session, max_bytes=settings.max_session_bytes)
    except (MalformedError, EncodingError) as exc:
        logger.info("no session of Node's: %s", exc, extra={"event": "recover.refused"})
        return Reason.SESSION_UNKNOWN
    refusal = yield from _check_offset(session, settings.publish_timeout)
    if refusal is None:
        command = _save(session, value, found.number + 1, server, settings)
        yield from insist(command, timeout=settings.publish_timeout)  # or another server has done so
    return refusal


def _find(pid: Pid, settings: Settings) -> Flow[FoundSession | None]:
    try:
        found: FoundSession | None = yield from insist(
            FindSession(pid, settings.max_session_bytes), timeout=settings.publish_timeout
        )
    except StoreUnavailableError:
        raise
    except StoreError as exc:  # a store of somebody's own, which servers of Node's cannot reach
        logger.debug("no session of Node's: %s", exc, extra={"event": "recover.failed"})
        return None
    return found


def _check_offset(session: SavedSession, timeout: float) -> Flow[Reason | None]:
    """See that the entry which the client received last is still there, and of its namespace."""
    entries: tuple[Entry, ...] = yield from insist(ReadBack(session.start, 1), timeout=timeout)
    if not entries:
        return Reason.OFFSET_TRIMMED
    if entries[0].offset != session.start or entries[0].fields.get(b"nsp") != session.namespace.encode():
        return Reason.OFFSET_UNKNOWN
    return None


def _save(
    session: SavedSession, value: bytes, number: int, server: ServerId, settings: Settings
) -> SaveSession:
    return SaveSession(
        pid=session.pid,
        number=number,
        owner=server,
        namespace=session.namespace,
        identity="",
        epoch=session.epoch,
        value=value,
        proven=ORIGIN,
        state=HolderState.AWAY,
        ttl_ms=settings.window_ms,
        linger_ms=settings.window_ms,
        create=True,
    )
