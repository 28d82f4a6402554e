"""python-socketio's user sessions, durable, and for clients of any server.

It stands in place of the server's `get_session` and `save_session`; `session()` uses those two.
"""

import secrets
from typing import Any

from adapter.process import Process
from recovery.core.connection import Phase
from recovery.records import Namespace, Sid
from recovery.sessions import decode_user_session, encode_user_session

__all__ = ["UserSessions"]


class UserSessions:
    """Reads and writes user sessions of one server's clients and of others'."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stock_get = process.host.hook("get_session", self.get)
        self._stock_save = process.host.hook("save_session", self.save)

    async def get(self, sid: str, namespace: str | None = None) -> Any:
        """Return the user session of a client, here or on another server.

        Raises:
            KeyError: no server has such a client connected.
            PublishError: the other servers could not be asked.
        """
        name = Namespace(namespace or "/")
        if self._process.handles(sid, name) or not self._process.is_elsewhere(sid, name):
            return await self._stock_get(sid, namespace=namespace)
        runtime = await self._process.reading(name)  # the answer comes through the stream
        request_id = secrets.token_hex(8)
        question = runtime.publish(runtime.drafts.fetch_session(name, Sid(sid), request_id))
        answer = await self._process.requests.ask(
            request_id, question, self._process.settings.publish_timeout
        )
        if answer is None:
            raise KeyError(f"no server has a client {sid!r} connected in namespace {name!r}")
        return answer

    async def save(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """Replace the user session of a client, wherever it is; durable on return.

        Raises:
            EncodingError: something in it cannot be saved, or it is too large; nothing was changed.
            SaveError: it is in force, but the store did not confirm it.
            PublishError: for a client elsewhere: the change was not confirmed.
        """
        name = Namespace(namespace or "/")
        packed = encode_user_session(session, max_bytes=self._process.settings.max_session_bytes)
        client = self._process.clients.find(name, sid)
        closed = client is not None and client.connection.phase is Phase.ENDED
        if closed or self._process.is_elsewhere(sid, name):
            runtime = self._process.runtime_of(name)
            await runtime.publish(runtime.drafts.set_session(name, Sid(sid), session))
            return
        await self._stock_save(sid, session, namespace=namespace)
        if client is not None:
            client.connection.user_session = decode_user_session(packed)
            client.connection.changes += 1
            await self._process.sessions.save_change(client)
