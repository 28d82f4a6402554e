"""The private names of python-socketio's clients that this project touches: three.

``_reconnect_task`` of a client (5.13.0 to 5.18.1) is what reconnects in the background, and
``_reconnect_abort`` is the event that stops it. The task is left in place when it gives up, or is stopped;
the client then never reconnects by itself again, though it was connected anew. ``shutdown()``, which is
public, stops it, too, but disconnects if the client has just been connected: that ends its sessions.

``_trigger_event`` runs a handler (5.13.0 to 5.18.1). Those of ``disconnect`` and ``connect_error`` run in
the middle of what notices the end of a transport, and of what reconnects; one that raises ends that, and the
client never comes back.

``tests/clients/test_client_seams.py`` fails when a release moves one of them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["abort_reconnection", "forget_reconnection", "reconnection", "surround_handlers"]


def reconnection(client: Any) -> Any:
    """The task or thread that reconnects, or has done so in vain; None if there is none."""
    return client._reconnect_task


def abort_reconnection(client: Any) -> None:
    """Have the reconnection end after its present attempt; it must have begun, or it does not listen."""
    if client._reconnect_abort is not None:
        client._reconnect_abort.set()


def forget_reconnection(client: Any) -> None:
    """Let a client whose reconnection has ended reconnect again."""
    client._reconnect_task = None


def surround_handlers(client: Any, around: Callable[[str], AbstractContextManager[None]]) -> None:
    """Run each handler inside `around`, which is called with the name of the event."""
    stock = client._trigger_event

    async def trigger_and_wait(event: str, *args: Any, **kwargs: Any) -> Any:
        with around(event):
            return await stock(event, *args, **kwargs)

    def trigger(event: str, *args: Any, **kwargs: Any) -> Any:
        with around(event):
            return stock(event, *args, **kwargs)

    client._trigger_event = trigger_and_wait if client.is_asyncio_based() else trigger
