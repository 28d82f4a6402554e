"""Ending a session from outside: one of the two places where the inspector writes (the other is importing).

It is done as a server would do it: claim the session, so that whoever holds it is overtaken, and say under
the new claim that it has ended. A server that has its client connected closes the connection when it writes
the session next, within four checkpoints.
"""

import secrets

from recovery.commands import Claimed, ClaimSession, SaveSession
from recovery.errors import StoreError
from recovery.inspect.records import Session
from recovery.records import HolderState, ServerId
from recovery.stores import open_store
from recovery.stores.redis.keys import Keys

__all__ = ["end_session"]

_LINGER_MS = 120_000  # so long "disconnected" can be told from "unknown"; the default window


def end_session(url: str, keys: Keys, session: Session) -> None:
    """End a session that lives.

    Raises:
        StoreError: it cannot be had, for the reason that is named (it has expired, say); or no answer.
    """
    store = open_store(url, stream_name=keys.stream_name, session_key_prefix=keys.session_key_prefix)
    owner = ServerId(f"inspector-{secrets.token_hex(4)}")
    claim = ClaimSession(
        session.pid, session.namespace, session.identity, session.epoch, owner, secrets.token_hex(16)
    )
    try:
        claimed = store.execute(claim)
        if not isinstance(claimed, Claimed):
            raise StoreError(f"the session cannot be ended: {claimed.reason} {claimed.detail}".rstrip())
        store.execute(
            SaveSession(
                pid=session.pid,
                number=claimed.number,
                nonce=claim.nonce,
                owner=owner,
                namespace=session.namespace,
                identity=session.identity,
                epoch=session.epoch,
                value=None,
                proven=claimed.proven,
                state=HolderState.ENDED,
                ttl_ms=0,
                linger_ms=_LINGER_MS,
            )
        )
    finally:
        store.close()
