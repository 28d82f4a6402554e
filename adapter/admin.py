"""The Admin UI's hooks (`sio.instrument()`), whose traffic stays in its process.

They emit an event for each client that a packet reaches, and others at each PING: one broadcast to 20
clients would become 21 entries of the stream, for every server to read, and for nobody to recover. So the
namespace of the admins is local: its events go to the admins who are connected to this process.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["note_admins"]


def note_admins(server: Any, note: Callable[[str], None]) -> None:
    """Have `note` called with the namespace of the admins when the application calls ``sio.instrument()``.

    Args:
        server: of python-socketio (5.18.1), in either colour; `instrument` is public, and returns an object
            whose ``admin_namespace`` is that namespace.
    """
    stock = server.instrument

    @wraps(stock)
    def instrument(*args: Any, **kwargs: Any) -> Any:
        instrumented = stock(*args, **kwargs)
        note(instrumented.admin_namespace)
        return instrumented

    server.instrument = instrument
