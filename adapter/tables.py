"""python-socketio's tables of clients and rooms, for many threads at once.

They are plain dicts and lists. Our loop changes them while threads of the server read them, and stock
python-socketio (5.18) fails then, with "dictionary changed size during iteration" for one.
"""

import threading
from collections.abc import Generator
from typing import Any

from adapter import seams
from adapter.releases import Manager

__all__ = ["LockedTables", "TablesLock"]


class TablesLock:
    """A lock that a thread may hold more than once, and that knows who holds it."""

    def __init__(self) -> None:
        self.forget()

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds it, or is about to; then it must not wait for anything.

        A signal handler may ask at any moment, in the thread that it interrupts.
        """
        return threading.get_ident() in self._inside

    def forget(self) -> None:
        """In a forked child: whoever held it is not here."""
        self._lock = threading.RLock()
        self._inside: list[int] = []  # from before a thread has the lock until after; changed in single steps

    def __enter__(self) -> None:
        ident = threading.get_ident()
        self._inside.append(ident)
        try:
            self._lock.acquire()
        except BaseException:
            self._inside.remove(ident)
            raise

    def __exit__(self, *_args: object) -> None:
        self._lock.release()
        self._inside.remove(threading.get_ident())


class LockedTables(Manager):
    """A manager whose tables any thread may read and change.

    Attributes:
        tables: to be held while they are read or changed, and never while waiting.
    """

    def __init__(self) -> None:
        self.tables = TablesLock()
        super().__init__()

    def get_namespaces(self) -> Any:  # python-socketio has a view of a dict here
        """The names of all namespaces that have a client, as they are now."""
        with self.tables:
            return list(super().get_namespaces())

    def get_participants(self, namespace: str, room: Any) -> Generator[tuple[str, str], None, None]:
        """The clients in a room, as they are when this is begun: pairs of their sids and transports."""
        with self.tables:
            participants = list(super().get_participants(namespace, room))
        yield from participants

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """The rooms that a client is in."""
        with self.tables:
            return list(super().get_rooms(sid, namespace))

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is connected, and not about to leave."""
        with self.tables:
            return bool(super().is_connected(sid, namespace))

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is about to be let in."""
        with self.tables:
            return bool(super().is_pre_connected(sid, namespace))

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Whether a room is that of one client."""
        with self.tables:
            return bool(super().is_sid_room(namespace, room))

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The client that a transport has in a namespace."""
        with self.tables:
            sid: str | None = super().sid_from_eio_sid(eio_sid, namespace)
            return sid

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The transport of a client."""
        with self.tables:
            eio_sid: str | None = super().eio_sid_from_sid(sid, namespace)
            return eio_sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is about to leave; None if it has left."""
        with self.tables:
            if not seams.knows(self, sid, namespace):
                return None  # stock would raise, or note it for ever
            eio_sid: str | None = super().pre_disconnect(sid, namespace)
            return eio_sid

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Note a client in a room, in the tables only."""
        with self.tables:
            super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room, in the tables only."""
        with self.tables:
            super().basic_leave_room(sid, namespace, room)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Take a client out of the tables."""
        with self.tables:
            super().basic_disconnect(sid, namespace, **kwargs)

    def basic_close_room(self, room: Any, namespace: str) -> None:
        """Take everybody here out of a room, in the tables only."""
        with self.tables:
            super().basic_close_room(room, namespace)

    def trigger_callback(self, sid: str, id: int, data: Any) -> None:  # noqa: A002  # python-socketio's name
        """A client has acknowledged a packet: call what waits for that."""
        with self.tables:
            callback = self.callbacks.get(sid, {}).pop(id, None)
        if callback is not None:
            callback(*data)
