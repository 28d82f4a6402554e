"""Steps: what a test asks a server process to do, one after the other in one task of that process.

A step is plain JSON, carried out by `tests.e2e.actions`. Inside a handler's script `SID` stands for the
client that the handler was called for.
"""

from typing import Any

from tests.e2e.wire import Json, encode

__all__ = [
    "SID",
    "Step",
    "call",
    "close_room",
    "close_while_polled",
    "collect",
    "counters",
    "disconnect",
    "edit_session",
    "emit",
    "emit_volatile",
    "enter_room",
    "gate",
    "get_session",
    "leave_room",
    "log_recovery",
    "manager_method",
    "namespace_method",
    "rooms",
    "save_session",
    "send",
    "server_method",
    "tell_recovery",
]

Step = dict[str, Json]

SID = {"$sid": True}


def collect(name: str) -> Json:
    """Return a callback for `emit`: its arguments are appended to the server's list `name`."""
    return {"$callback": name}


def emit(event: str, data: Any = None, **options: Any) -> Step:
    """`AsyncServer.emit`."""
    return _method("server", "emit", event, data, **options)


def emit_volatile(event: str, data: Any = None, *, namespace: str = "/", **options: Any) -> Step:
    """`AsyncRecoveryManager.emit` with ``volatile=True``."""
    return _method("manager", "emit", event, data, namespace, volatile=True, **options)


def send(data: Any, **options: Any) -> Step:
    """`AsyncServer.send`."""
    return _method("server", "send", data, **options)


def call(event: str, data: Any = None, **options: Any) -> Step:
    """`AsyncServer.call`; its result is the client's answer."""
    return _method("server", "call", event, data, **{"timeout": 5, **options})


def enter_room(sid: Any, room: Any, **options: Any) -> Step:
    """`AsyncServer.enter_room`."""
    return _method("server", "enter_room", sid, room, **options)


def leave_room(sid: Any, room: Any, **options: Any) -> Step:
    """`AsyncServer.leave_room`."""
    return _method("server", "leave_room", sid, room, **options)


def close_room(room: Any, **options: Any) -> Step:
    """`AsyncServer.close_room`."""
    return _method("server", "close_room", room, **options)


def rooms(sid: Any, **options: Any) -> Step:
    """`AsyncServer.rooms`."""
    return _method("server", "rooms", sid, **options)


def close_while_polled(sid: str) -> Step:
    """Close a transport in the middle of a poll (`tests.e2e.payloads`)."""
    return {"do": "close_while_polled", "sid": sid}


def disconnect(sid: Any, **options: Any) -> Step:
    """`AsyncServer.disconnect`."""
    return _method("server", "disconnect", sid, **options)


def get_session(sid: Any, **options: Any) -> Step:
    """`AsyncServer.get_session`."""
    return _method("server", "get_session", sid, **options)


def save_session(sid: Any, data: Any, **options: Any) -> Step:
    """`AsyncServer.save_session`."""
    return _method("server", "save_session", sid, data, **options)


def edit_session(sid: Any, changes: dict[str, Any], *, namespace: str = "/") -> Step:
    """``async with sio.session(sid) as session: session.update(changes)``."""
    return {"do": "edit_session", "sid": sid, "changes": encode(changes), "namespace": namespace}


def namespace_method(namespace: str, method: str, *args: Any, **options: Any) -> Step:
    """Call a method of the class-based namespace `namespace`, ``self.emit`` and the like."""
    return {**_method("namespace", method, *args, **options), "namespace": namespace}


def gate(name: str) -> Step:
    """Wait until the test opens the gate `name`; that it was reached stands in the server's log."""
    return {"do": "gate", "name": name}


def manager_method(method: str, *args: Any, **options: Any) -> Step:
    """Call a method of the server's manager."""
    return _method("manager", method, *args, **options)


def server_method(method: str, *args: Any, **options: Any) -> Step:
    """Call a method of the server."""
    return _method("server", method, *args, **options)


def tell_recovery() -> Step:
    """Send the handler's client what `log_recovery` returns, as an event ``recovery``; past the store."""
    return {"do": "tell_recovery"}


def counters() -> Step:
    """``sio.manager.counters`` as a dict."""
    return {"do": "counters"}


def log_recovery(sid: Any, *, namespace: str = "/") -> Step:
    """``sio.manager.recovery(sid, namespace)`` as a dict."""
    return {"do": "recovery", "sid": sid, "namespace": namespace}


def _method(target: str, method: str, *args: Any, **options: Any) -> Step:
    return {
        "do": "method",
        "target": target,
        "method": method,
        "args": [encode(argument) for argument in args],
        "options": {name: encode(value) for name, value in options.items()},
    }
