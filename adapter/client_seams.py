"""The private names of python-socketio's clients that this project touches: two.

``_reconnect_task`` of a client (5.13.0 to 5.18.1) is what reconnects in the background, and
``_reconnect_abort`` is the event that stops it. The task is left in place when it gives up, or is stopped;
the client then never reconnects by itself again, though it was connected anew. ``shutdown()``, which is
public, stops it, too, but disconnects if the client has just been connected: that ends its sessions.
``tests/clients/test_client_seams.py`` fails when a release moves one of them.
"""

from typing import Any

__all__ = ["abort_reconnection", "forget_reconnection", "reconnection"]


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
