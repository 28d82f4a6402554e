"""The releases of python-socketio that this project runs on, made alike for the rest of it.

All other code is written for the newest one. The managers that ours inherit from stand here; on an older
release they bring what it lacks, so that a client counts as connected from CONNECT on, and not before. Which
it is, is asked of the release itself: a name is there or not, whatever the number.

What differs between releases is listed in `adapter.seams`; what `check` looks for, in `adapter.needs`.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import socketio
from socketio.base_manager import BaseManager
from socketio.packet import Packet

from adapter import needs, seams
from adapter.needs import Need
from recovery.errors import ConfigurationError

__all__ = ["KNOWN_RELEASES", "AsyncManager", "Manager", "check"]

KNOWN_RELEASES = "5.13.0 to 5.18.1"
"""What the test suites have run on."""

_ADVICE = "pip install 'python-socketio>=5.13,<5.19'"


def check(server: Any, *, is_async: bool) -> None:  # python-socketio ships no types
    """See that a server has all that we need, in the shape in which we use it.

    Args:
        is_async: what it has to be, an asyncio server or a synchronous one.

    Raises:
        ConfigurationError: something is missing, or different; says what, and what to do.
    """
    expected, other = (
        (socketio.AsyncServer, "RecoveryManager") if is_async else (socketio.Server, "AsyncRecoveryManager")
    )
    if not isinstance(server, expected):
        raise ConfigurationError(
            f"{type(server.manager).__name__} is for a socketio.{expected.__name__}, and was given to a"
            f" server of class {type(server).__name__}: for the other colour there is {other}"
        )
    wanted = (
        (server, needs.SERVER_NEEDS),
        (AsyncManager if is_async else Manager, needs.MANAGER_NEEDS),
        (server.manager, needs.TABLES),
        (server.eio, needs.EIO_NEEDS),
        (_socket_class(is_async=is_async), needs.SOCKET_NEEDS),
    )
    faults = [fault for owner, needed in wanted for fault in _faults(owner, needed, is_async=is_async)]
    if faults:
        raise ConfigurationError(
            f"python-socketio {_version('python-socketio')} with python-engineio"
            f" {_version('python-engineio')} is not as recovery needs it: {'; '.join(faults)}. Releases"
            f" {KNOWN_RELEASES} of python-socketio are known to work: {_ADVICE}"
        )


def _faults(owner: Any, needed: tuple[Need, ...], *, is_async: bool) -> Iterator[str]:
    """What is wrong with an object or a class, in words."""
    name = owner.__name__ if inspect.isclass(owner) else type(owner).__name__
    for need in needed:
        found = getattr(owner, need.name, None)
        is_coroutine = need.is_coroutine and is_async
        if found is None:
            yield f"{name}.{need.name} is missing"
        elif inspect.iscoroutinefunction(found) is not is_coroutine:
            yield f"{name}.{need.name} is {'no' if is_coroutine else 'a'} coroutine function"
        elif need.arguments is not None and not _takes(found, owner, need):
            yield f"{name}.{need.name} does not take ({', '.join((*need.arguments, *need.keywords))})"


def _takes(method: Callable[..., Any], owner: Any, need: Need) -> bool:
    """Whether a method can be called as we call it; how its parameters are named does not matter."""
    arguments = need.arguments or ()
    given = (owner, *arguments) if inspect.isclass(owner) else arguments
    try:
        inspect.signature(method).bind(*given, **dict.fromkeys(need.keywords))
    except (TypeError, ValueError):  # ValueError: it is no function of Python
        return False
    return True


def _socket_class(*, is_async: bool) -> Any:
    """The class of the sockets of a server, which has imported it."""
    module, name = ("engineio.async_socket", "AsyncSocket") if is_async else ("engineio.socket", "Socket")
    return getattr(sys.modules.get(module), name, None)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of an unknown release"


class _Tables(BaseManager):
    """The tables of clients, as they are since 5.18, on a release before that.

    Attributes:
        pending_connect: the sids in each namespace whose CONNECT has not been sent.
        json: the server's JSON module.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pending_connect: dict[str, list[str]] = {}
        self.json = Packet.json

    def set_server(self, server: Any) -> None:
        """Take the server."""
        super().set_server(server)
        self.json = server.packet_class.json

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client has a sid, and no CONNECT yet."""
        return sid in self.pending_connect.get(namespace, ())

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is connected, and not about to leave."""
        return not self.is_pre_connected(sid, namespace) and bool(super().is_connected(sid, namespace))

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Whether a room is that of one client."""
        return room in self.rooms.get(namespace, {}).get(None, {})

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Note a client in a room; raises ValueError if that is another client's own."""
        if sid != room and self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Take a client out of the tables."""
        super().basic_disconnect(sid, namespace, **kwargs)
        seams.connected(self, sid, namespace)


class _AsyncManager(_Tables, socketio.AsyncManager):
    """`socketio.AsyncManager` as it is since 5.18, for a server that calls `connect` to begin with."""

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client a fresh sid; None if its transport has one in this namespace."""
        sid: str | None = await super().connect(eio_sid, namespace)
        if sid is not None:
            self.pending_connect.setdefault(namespace, []).append(sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is connected; what is not the sid of one is a transport that wants one."""
        if not self.is_pre_connected(sid, namespace):
            return await self.pre_connect(sid, namespace)
        seams.connected(self, sid, namespace)
        return sid


class _Manager(_Tables, socketio.Manager):
    """`socketio.Manager` as it is since 5.18, for a server that calls `connect` to begin with."""

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Give a client a fresh sid; None if its transport has one in this namespace."""
        sid: str | None = super().connect(eio_sid, namespace)
        if sid is not None:
            self.pending_connect.setdefault(namespace, []).append(sid)
        return sid

    def connect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is connected; what is not the sid of one is a transport that wants one."""
        if not self.is_pre_connected(sid, namespace):
            return self.pre_connect(sid, namespace)
        seams.connected(self, sid, namespace)
        return sid


AsyncManager: Any = _AsyncManager if seams.BEGINS_WITH_CONNECT else socketio.AsyncManager
"""What `AsyncRecoveryManager` inherits from."""

Manager: Any = _Manager if seams.BEGINS_WITH_CONNECT else socketio.Manager
"""What `RecoveryManager` inherits from."""
