"""Parts of the core with everything filled in that a test does not care about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from recovery.core.connection import Connection
from recovery.core.dispatcher import Dispatcher
from recovery.core.effects import Effect
from recovery.core.membership import Membership
from recovery.core.packets import AckRequest, StoredEntry
from recovery.core.replay_log import ReplayLog
from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.errors import EncodingError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Draft, Entry, Epoch, Namespace, Pid, Recovery, Room, ServerId, Sid

__all__ = [
    "CHAT",
    "DRAFTS",
    "HERE",
    "NSP",
    "PID",
    "THERE",
    "UNSENDABLE",
    "Client",
    "Frame",
    "Frames",
    "at",
    "audience",
    "dispatch",
    "entry",
    "event",
    "make_connection",
    "make_dispatcher",
    "stored",
]

NSP = Namespace("/")
CHAT = Namespace("/chat")
HERE = ServerId("here")
THERE = ServerId("there")
PID = Pid("p" * 32)
DRAFTS = Drafts(THERE, PayloadCodec())

UNSENDABLE = "unsendable"
"""An argument that the fake `Frames` refuses to encode, as a real codec refuses some types."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the fake front end sends: the packet itself."""

    namespace: Namespace
    args: tuple[Any, ...]
    ack: AckRequest | None = None


class Frames:
    """A `FrameCodec` that counts how often it is asked."""

    def __init__(self) -> None:
        self.encoded = 0

    def event(self, namespace: Namespace, args: Sequence[Any]) -> Sequence[Frame]:
        self.encoded += 1
        if UNSENDABLE in args:
            raise EncodingError("cannot encode this")
        return [Frame(namespace, tuple(args))]

    def event_with_ack(
        self, namespace: Namespace, sid: Sid, args: Sequence[Any], ack: AckRequest
    ) -> Sequence[Frame]:
        return [Frame(namespace, tuple(args), ack)]


@dataclass(slots=True)
class Client:
    """The far end of a fake transport: keeps what was sent."""

    frames: list[Frame] = field(default_factory=list)

    def send(self, frames: Sequence[Frame]) -> int:
        self.frames.extend(frames)
        return len(self.frames)

    @property
    def events(self) -> list[str]:
        """The names of the events received."""
        return [frame.args[0] for frame in self.frames]

    @property
    def offsets(self) -> list[str]:
        """The last argument of each packet received."""
        return [frame.args[-1] for frame in self.frames]


def at(ms: int, seq: int = 0) -> Offset:
    return Offset(ms, seq)


def audience(*rooms: Room, excluded: Iterable[Room] = ()) -> Audience:
    return Audience(rooms, tuple(excluded))


def entry(draft: Draft, offset: Offset | int) -> Entry:
    """A draft at its place in the stream; a number counts milliseconds."""
    return Entry(offset if isinstance(offset, Offset) else at(offset), dict(draft.fields))


def stored(draft: Draft, offset: Offset | int) -> StoredEntry[Frame]:
    return StoredEntry[Frame].read(entry(draft, offset))


def event(name: str, *rooms: Room, excluded: Iterable[Room] = (), volatile: bool = False) -> Draft:
    return DRAFTS.broadcast(NSP, [name], audience(*rooms, excluded=excluded), volatile=volatile)


def make_dispatcher(
    *, start: Offset = ORIGIN, server: ServerId = HERE, max_client_buffer: int = 1000, max_entries: int = 1000
) -> Dispatcher[Frame]:
    log: ReplayLog[Frame] = ReplayLog(start, max_entries=max_entries, max_bytes=2**20)
    return Dispatcher(server, log, PayloadCodec(), Frames(), max_client_buffer=max_client_buffer)


def make_connection(
    client: Client | None = None,
    sid: str = "sid",
    *,
    rooms: Iterable[Room] = (),
    start: Offset = ORIGIN,
    namespace: Namespace = NSP,
    number: int = 1,
    with_offsets: bool = True,
    live: bool = True,
) -> Connection[Frame]:
    """A connection, in `rooms` from its start on."""
    connection = Connection(
        namespace=namespace,
        sid=Sid(sid),
        pid=PID,
        transport=f"eio-{sid}",
        membership=Membership(Sid(sid), start),
        epoch=Epoch("e"),
        send=(client or Client()).send,
        with_offsets=with_offsets,
        recovery=Recovery(recovered=False),
        identity="",
        number=number,
        nonce="",
        proven=start,
        user_session={},
    )
    for room in rooms:
        connection.membership.enter(room, start)
    if live:
        connection.go_live()
    return connection


def dispatch(dispatcher: Dispatcher[Frame], *drafts: Draft) -> list[Effect[Frame]]:
    """Append drafts to the stream, one millisecond after the other, and dispatch them."""
    first = dispatcher.position.ms + 1
    return dispatcher.dispatch([entry(draft, first + index) for index, draft in enumerate(drafts)])
