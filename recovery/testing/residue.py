"""What is left on a server when all its clients are gone: nothing may be."""

# pyright: reportPrivateUsage=false
# This file looks into our own parts, and at tables of python-socketio, to find what leaks.

from typing import Any

from recovery.testing.servers import SimulatedServer

__all__ = ["residue"]


def residue(server: SimulatedServer) -> dict[str, Any]:
    """Tables of a server that are not empty, by name: of python-socketio and of ours."""
    process, gate = server.manager._process, server.manager._gate
    manager: Any = server.manager  # python-socketio ships no types
    dispatchers = [runtime.dispatcher for runtime in process.streams.made()]
    tables: dict[str, Any] = {
        "rooms": manager.rooms,
        "pending_connect": {name: sids for name, sids in manager.pending_connect.items() if sids},
        "pending_disconnect": {name: sids for name, sids in manager.pending_disconnect.items() if sids},
        "callbacks": manager.callbacks,
        "clients": process.clients._by_sid,
        "transports": process.clients._by_transport,
        "connections": [dispatcher._clients for dispatcher in dispatchers if dispatcher._clients],
        "members": [dispatcher._members for dispatcher in dispatchers if dispatcher._members],
        "environ": server.sio.environ,
        "admitted": {} if gate is None else gate._admitted,
        "connecting": set() if gate is None else gate._connecting,
        "background": process.background._tasks - {process._checkpoints},
        "passing": sum(len(runtime.positions) for runtime in process.streams.made()),
    }
    return {name: table for name, table in tables.items() if table}
