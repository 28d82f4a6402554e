"""Sessions that a server of Node's saved: how one is asked of a store, and read.

Node's adapter (``@socket.io/redis-streams-adapter`` 0.3.x) saves a session when a client's connection has
closed, as base64 of a MessagePack map ``{sid, pid, rooms, data}``, and deletes it when it restores it. It
knows no claims, no namespace and no offsets. What it lacks is taken from what the client presents.

Part of the contract of `recovery.commands`, whose rules hold here, too. A store without this command serves
everything but clients that come from Node.
"""

import base64
from dataclasses import dataclass, field

from recovery.commands import Command
from recovery.errors import MalformedError
from recovery.offsets import Offset
from recovery.packing import is_list, is_map, unpack
from recovery.records import Epoch, Namespace, Pid, Room, RoomChange, SavedSession, Sid
from recovery.rooms import is_room

__all__ = ["FindSession", "FoundSession", "session_of_node"]


_OURS = frozenset({"nsp", "epoch", "start", "position", "history"})
"""Fields that a session of ours has, and none of Node's."""


@dataclass(frozen=True, slots=True)
class FindSession(Command["FoundSession | None"]):
    """Tell what is saved under a pid, whoever wrote it; None for nothing, or for more than `max_bytes`."""

    pid: Pid = field(repr=False)
    max_bytes: int


@dataclass(frozen=True, slots=True)
class FoundSession:
    """Reply to `FindSession`.

    Attributes:
        number: the claim number in force, 0 if nobody of ours ever claimed or saved it.
    """

    number: int
    value: bytes = field(repr=False)


def session_of_node(
    value: bytes, *, pid: Pid, namespace: Namespace, epoch: Epoch, offset: Offset | None
) -> SavedSession:
    """Read a session as Node saves it.

    The client was in its rooms from `offset` on, as far as anybody knows: Node saves them as they were when
    the connection closed.

    Args:
        pid: it must be its own.
        offset: of the last packet that the client received, which it presents; a session of Node's is worth
            nothing without it.

    Raises:
        MalformedError: it is something else.
    """
    if offset is None:
        raise MalformedError("the client has no offset, without which Node's sessions are not recovered")
    try:
        fields = unpack(base64.b64decode(value, validate=True), dates=True)
    except Exception:  # noqa: BLE001 - unpackers raise many types; none may show what is in a session
        raise MalformedError(f"a session of {len(value)} bytes is not one of Node's") from None
    if not is_map(fields) or fields.get("pid") != pid or _OURS & fields.keys():
        raise MalformedError("what is saved under this pid is not a session of Node's")
    sid, rooms, data = fields.get("sid"), fields.get("rooms"), fields.get("data")
    if not isinstance(sid, str) or not is_list(rooms) or not all(map(is_room, rooms)):
        raise MalformedError("a session of Node's has no sid, or no rooms")
    entered = (RoomChange(offset, entered=True),)
    return SavedSession(
        sid=Sid(sid),
        pid=pid,
        namespace=namespace,
        rooms=tuple(rooms),
        data=data if is_map(data) else {},
        epoch=epoch,
        start=offset,
        position=offset,
        history=dict.fromkeys(_others(rooms, sid), entered),
    )


def _others(rooms: list[Room], sid: str) -> list[Room]:
    return [room for room in rooms if room != sid]
