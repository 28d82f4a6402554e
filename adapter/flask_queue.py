"""Flask-SocketIO would replace a manager silently: an application is told instead.

``SocketIO(client_manager=...)`` keeps the manager, and a later ``init_app(app,
message_queue=...)``, or one after ``SocketIO(message_queue=...)``, puts another in its
place (Flask-SocketIO 5.7.0). The application would run without recovery, and nobody would know.
"""

import sys
from functools import wraps
from typing import Any

from recovery.errors import ConfigurationError

__all__ = ["refuse_replacement"]


def refuse_replacement(kind: type[Any]) -> None:
    """Have ``SocketIO.init_app`` raise `ConfigurationError` where it would replace a manager of ours.

    Once per process, if Flask-SocketIO is there: its class has no hook for this, so the method is wrapped.

    Args:
        kind: what our managers are.
    """
    library = sys.modules.get("flask_socketio")
    if library is None or hasattr(library.SocketIO.init_app, "__wrapped__"):
        return
    stock = library.SocketIO.init_app

    @wraps(stock)
    def init_app(self: Any, app: Any, **kwargs: Any) -> Any:
        options = {**self.server_options, **kwargs}
        kept = isinstance(options.get("client_manager"), kind)
        if kept and options.get("message_queue") and "client_manager" not in kwargs:
            raise ConfigurationError(
                "message_queue would replace the client_manager of this SocketIO, a RecoveryManager, which"
                " needs no message queue: give that URL to the RecoveryManager, and leave message_queue out"
            )
        return stock(self, app, **kwargs)

    library.SocketIO.init_app = init_app
