"""The decision: may this client be recovered, and from which offset on.

Pure functions over what the client presents and what the store said. The store has checked the rest
(`recovery.commands.ClaimSession`) when these are asked.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from recovery.offsets import Offset, parse_offset
from recovery.packing import is_map
from recovery.reasons import Reason
from recovery.records import Pid, SavedSession

__all__ = ["Presented", "floor_of", "own_offset", "read_auth"]

_PID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
"""What servers hand out: ours have 32 such characters, Node's (base64id) 20."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client presented in CONNECT's auth.

    Attributes:
        pid: its private session id, or None if it does not ask for recovery.
        offset: of the last packet that it received, or None if it never received one.
        reason: `Reason.MALFORMED` if what it presented cannot be read, else None.
        exact: the client has handled nothing after the offset, whatever it has proven to have received: its
            process has died since.
    """

    pid: Pid | None = field(default=None, repr=False)
    offset: Offset | None = None
    reason: Reason | None = None
    exact: bool = False


def read_auth(auth: object) -> tuple[Presented, Any]:
    """Split CONNECT's auth into what recovery needs and what the application gets.

    ``socket.io-client`` from 4.6 on adds ``pid`` and ``offset`` to the application's own auth
    (``_sendConnectPacket``); this project's Python clients may add ``offset_exact``. An auth of which nothing
    else is left counts as none: the handler of an application that uses no auth takes two arguments.

    Returns:
        What was presented, and the rest of the auth, None if that is empty.

    >>> read_auth({"pid": "x" * 20, "offset": "5-1", "token": "t"})[1]
    {'token': 't'}
    >>> read_auth({"pid": 42})[0].reason
    <Reason.MALFORMED: 'malformed'>
    """
    if not is_map(auth) or "pid" not in auth:
        return Presented(), auth
    rest = {key: value for key, value in auth.items() if key not in {"pid", "offset", "offset_exact"}}
    presented = _read(auth["pid"], auth.get("offset"))
    return replace(presented, exact=auth.get("offset_exact") is True), rest or None


def own_offset(presented: Offset | None, session: SavedSession) -> Offset | None:
    """What a client presents, if that is of this session; None if it has received nothing in it.

    JavaScript keeps the offset of an earlier session across an unrecovered connect, until it receives a
    packet. Nearly always that lies below the start. It is above if the server that let the client in lagged
    behind what the client had received, or the stream has lost that; then the session knows it.
    """
    if presented is None or presented < session.start or presented == session.foreign:
        return None
    return presented


def floor_of(presented: Offset | None, proven: Offset, start: Offset, *, exact: bool = False) -> Offset:
    """The offset after which a recovered client gets packets.

    The client has received everything up to what it presents of this session (`own_offset`), and everything
    up to what it has proven.

    Args:
        exact: what it has proven to have received was lost with its process; see `Presented`.
    """
    return max(presented or start, start if exact else proven, start)


def _read(pid: object, offset: object) -> Presented:
    if pid is None:
        return Presented()
    if not isinstance(pid, str) or not _PID.fullmatch(pid):
        return Presented(reason=Reason.MALFORMED)
    if offset is None:  # nothing received yet: JavaScript leaves it out, Dart sends null
        return Presented(Pid(pid))
    if not isinstance(offset, str):
        return Presented(Pid(pid), reason=Reason.MALFORMED)
    try:
        return Presented(Pid(pid), parse_offset(offset))
    except ValueError:
        return Presented(Pid(pid), reason=Reason.MALFORMED)
