"""python-socketio's user sessions, durable, and for clients of any server.

It stands in place of the server's `get_session` and `save_session`; `session()` uses those two.
"""

import secrets
from collections.abc import Callable
from typing import Any

from adapter import seams
from adapter.clients import Clients
from adapter.requests import Requests
from adapter.seams import EioPacket
from adapter.sessions import Sessions
from recovery.aio.runtime import Runtime
from recovery.core.connection import Phase
from recovery.records import Namespace, Sid
from recovery.sessions import decode_user_session, encode_user_session
from recovery.settings import Settings

__all__ = ["UserSessions"]


class UserSessions:
    """Reads and writes user sessions of one server's clients and of others'."""

    def __init__(
        self,
        server: Any,
        clients: Clients,
        requests: Requests,
        settings: Settings,
        *,
        runtime: Callable[[], Runtime[EioPacket]],
        sessions: Callable[[], Sessions],
    ) -> None:
        self._server = server
        self._clients = clients
        self._requests = requests
        self._settings = settings
        self._runtime = runtime
        self._sessions = sessions
        self._stock_get = seams.hook(server, "get_session", self.get)
        self._stock_save = seams.hook(server, "save_session", self.save)

    async def get(self, sid: str, namespace: str | None = None) -> Any:
        """Return the user session of a client, here or on another server.

        Raises:
            KeyError: no server has such a client connected.
            PublishError: the other servers could not be asked.
        """
        name = Namespace(namespace or "/")
        if self._is_here(sid, name):
            return await self._stock_get(sid, namespace=namespace)
        runtime = self._runtime()
        await runtime.start()  # the answer comes through the stream
        request_id = secrets.token_hex(8)
        question = runtime.publish(runtime.drafts.fetch_session(name, Sid(sid), request_id))
        answer = await self._requests.ask(request_id, question, self._settings.publish_timeout)
        if answer is None:
            raise KeyError(f"no server has a client {sid!r} connected in namespace {name!r}")
        return answer

    async def save(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """Replace the user session of a client, wherever it is; durable on return.

        Raises:
            EncodingError: something in it cannot be saved; nothing was changed.
            SaveError: it is in force, but the store did not confirm it.
            PublishError: for a client elsewhere: the change was not confirmed.
        """
        name = Namespace(namespace or "/")
        packed = encode_user_session(session)
        if not self._is_here(sid, name):
            runtime = self._runtime()
            await runtime.publish(runtime.drafts.set_session(name, Sid(sid), session))
            return
        await self._stock_save(sid, session, namespace=namespace)
        client = self._clients.find(name, sid)
        if client is not None and client.connection.phase is not Phase.ENDED:
            client.connection.user_session = decode_user_session(packed)
            await self._sessions().save_change(client)

    def _is_here(self, sid: str, namespace: str) -> bool:
        return self._clients.find(namespace, sid) is not None or seams.knows(
            self._server.manager, sid, namespace
        )
