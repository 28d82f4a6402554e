"""Handles: how an address names a session without its pid.

A pid is a secret, and addresses end up in histories and logs. A handle is what the page shows of a pid anyway
and a digest, which tells nothing about 26 characters of randomness. The beginning makes it quick to find.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable

from recovery.inspect.decoding import decode_stored
from recovery.inspect.listing import find_sessions
from recovery.inspect.records import Session
from recovery.inspect.sources import Source
from recovery.records import Pid

__all__ = ["Handles", "find_named", "handle_of"]

_MOST_KNOWN = 20_000  # handles whose pids are remembered

_SHOWN = 6
_LEAST_TO_MAKE_A_HANDLE = 16  # characters; servers hand out no shorter pid
_PLAIN = re.compile(r"[A-Za-z0-9_-]{6}")
_HANDLE = re.compile(r"([A-Za-z0-9_-]{6}|~)\.([0-9a-f]{16})")


def handle_of(pid: str) -> str:
    """The handle of a session.

    >>> handle_of("GXdLUBLZ7ZH85yMjFqEoSltjhfZzV-5R")
    'GXdLUB.31b2bba1021f4a72'
    """
    digest = hashlib.sha256(pid.encode(errors="surrogateescape")).hexdigest()[:16]
    begin = pid[:_SHOWN]
    plain = len(pid) >= _LEAST_TO_MAKE_A_HANDLE and _PLAIN.fullmatch(begin)
    return f"{begin if plain else '~'}.{digest}"


class Handles:
    """Finds sessions by name, and remembers the pids behind the handles that were given out last.

    A page that shows a session asks for it every two seconds; a search would look at all keys each time.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: OrderedDict[str, Pid] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, name: str, *, now_ms: int) -> Session | None:
        """Find a session; see `find_named`."""
        pid = self._known.get(name)
        stored = None if pid is None else self._source.session(pid)
        if stored is not None:
            return decode_stored(stored, now_ms)
        session = find_named(self._source, name, now_ms=now_ms)
        if session is not None:
            self.remember([session])
        return session

    def remember(self, sessions: Iterable[Session]) -> None:
        """Remember these, whose handles are about to be shown."""
        with self._lock:
            for session in sessions:
                handle = handle_of(session.pid)
                self._known[handle] = session.pid
                self._known.move_to_end(handle)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


def find_named(source: Source, name: str, *, now_ms: int) -> Session | None:
    """Find a session by its handle, its sid, its whole pid, or the first 6 characters of that.

    More of a pid, but not all, finds nothing: who may not see a pid must not be able to guess it piece by
    piece. None, too, if several begin so.
    """
    handle = _HANDLE.fullmatch(name)
    if handle is not None:
        begin = "" if handle[1] == "~" else handle[1]
        candidates = (decode_stored(stored, now_ms) for stored in source.sessions(begin))
        return next((each for each in candidates if handle_of(each.pid) == name), None)
    whole = source.session(Pid(name))
    if whole is not None:
        return decode_stored(whole, now_ms)
    if len(name) == _SHOWN:
        found = [decode_stored(stored, now_ms) for stored in source.sessions(name)]
        if len(found) == 1:
            return found[0]
    return next((each for each in find_sessions(source, now_ms=now_ms) if each.sid == name), None)
