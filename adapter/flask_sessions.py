"""Flask-SocketIO's sessions: what `flask.session` is in its handlers comes back with a recovered client.

Flask-SocketIO (5.7) keeps such a session (``manage_session=True``) in the environ of a transport, for all
namespaces together, and python-socketio knows nothing of it. Here it is part of each client's user session:

1. When a handler has returned and has changed it, it is saved, before the handler's answer is sent.
2. A recovered client has it back before its connect handler runs.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

from adapter.clients import Client, Clients
from recovery.errors import PublishError, SaveError
from recovery.sessions import encode_user_session

__all__ = ["FLASK_SESSION", "FlaskSessions"]

logger = logging.getLogger("recovery.sessions")

FLASK_SESSION = "flask_session"
"""The key of the user session under which it is kept."""

_OF_FLASK, _IN_ENVIRON = "flask.app", "saved_session"  # keys of the environ that Flask-SocketIO uses


class FlaskSessions:
    """Keeps and restores them for the clients of one server.

    Args:
        server: a synchronous one of python-socketio; for all others nothing is done.
    """

    def __init__(self, server: Any) -> None:
        self._server = server

    def restore(self, client: Client) -> None:
        """Give a recovered client its session back, before Flask-SocketIO makes one out of a cookie."""
        environ = self._environ_of(client)
        kept = client.connection.user_session.get(FLASK_SESSION)
        if isinstance(kept, dict) and _OF_FLASK in environ:
            environ.setdefault(_IN_ENVIRON, _new_session()).update(kept)
            client.flask_session = encode_user_session(kept)

    def keep(self, clients: Clients, namespace: str, sid: str) -> None:
        """Save the session after a handler, for all clients that share it, if it has changed.

        Raises:
            EncodingError: something in it cannot be saved.
        """
        client = clients.find(namespace, sid)
        session = None if client is None else self._environ_of(client).get(_IN_ENVIRON)
        if client is None or session is None:
            return
        packed = encode_user_session(dict(session))
        for each in clients.on(client.connection.transport):
            if each.connection.pid is not None and each.ending is None and each.flask_session != packed:
                each.flask_session = packed
                self._save(each, dict(session))

    def _save(self, client: Client, session: dict[str, Any]) -> None:
        connection = client.connection
        whole = {**connection.user_session, FLASK_SESSION: session}
        try:
            self._server.save_session(connection.sid, whole, namespace=connection.namespace)
        except (SaveError, PublishError) as exc:
            client.flask_session = b""  # the next handler's end is another attempt
            logger.warning(
                "the session of %s is not saved: %s",
                connection.sid,
                exc,
                extra={"event": "save.failed", "sid": connection.sid},
            )

    def _environ_of(self, client: Client) -> MutableMapping[str, Any]:
        environ: MutableMapping[str, Any] = self._server.environ.get(client.connection.transport, {})
        return environ


def _new_session() -> Any:
    """A dict that Flask takes for a session."""
    from flask.sessions import SessionMixin  # noqa: PLC0415 - only applications that use Flask have it

    return type("RestoredSession", (dict, SessionMixin), {})()
