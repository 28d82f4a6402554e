"""An entry as a server holds it: raw, decoded at most once, encoded at most twice.

`F` is whatever the front end sends to a transport (for python-socketio: an Engine.IO payload). The core
never looks inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from recovery.entries import TRACE_FIELD, Head, Kind, Payload, PayloadCodec, decode_audience, read_head
from recovery.errors import EncodingError, MalformedError
from recovery.offsets import Offset
from recovery.packing import is_list, is_map
from recovery.records import Audience, Entry, Namespace, ServerId, Sid

__all__ = ["AckRequest", "Broadcast", "FrameCodec", "Observer", "StoredEntry"]

_OVERHEAD = 300
"""Bytes of memory of an entry besides its data: object, its offset, its places in the log (Python 3.11)."""

F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


@dataclass(frozen=True, slots=True)
class AckRequest:
    """Where a client's acknowledgement has to go: to `server`, which knows it as `request_id`.

    Attributes:
        by_channel: it goes there by PUB/SUB, as the event came, and not through the stream.
    """

    server: ServerId
    request_id: str
    by_channel: bool = False


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A decoded event.

    Attributes:
        args: the event's name and its arguments.
        volatile: delivered to whoever is connected, and left out of replays.
        ack: set if the emitter waits for an acknowledgement; such a packet is not replayed either.
    """

    args: Sequence[Any]
    audience: Audience
    volatile: bool
    ack: AckRequest | None

    @property
    def recoverable(self) -> bool:
        """Whether a client that missed it gets it later (promise P1)."""
        return not self.volatile and self.ack is None


class FrameCodec(Protocol[F_co]):
    """How the front end encodes packets for transports."""

    def event(self, namespace: Namespace, args: Sequence[Any]) -> Sequence[F_co]:
        """Encode an event without acknowledgement."""
        ...

    def event_with_ack(
        self, namespace: Namespace, sid: Sid, args: Sequence[Any], ack: AckRequest
    ) -> Sequence[F_co]:
        """Encode an event for one client, and remember to pass on its acknowledgement."""
        ...


class StoredEntry(Generic[F]):
    """An entry of the stream in this process.

    Attributes:
        offset: its place.
        head: what it says outside its data, or None if it is not for us to understand.
        size: bytes of memory that it takes, about, before anybody gets it.
        trace: the context of a traced emit, as it was found; empty if there is none.
    """

    __slots__ = ("_broadcast", "_data", "_frames", "_malformed", "head", "offset", "size", "trace")

    def __init__(self, entry: Entry, head: Head | None) -> None:
        self.offset = entry.offset
        self.head = head
        # What else there is of the fields is in the head, which many entries share.
        self._data = data = entry.fields.get(b"data", b"")
        self.trace = trace = entry.fields.get(TRACE_FIELD, b"")
        self.size = _OVERHEAD + len(data) + len(trace)
        self._broadcast: Broadcast | None = None
        self._malformed = ""  # why there is none
        self._frames: dict[bool, Sequence[F]] | None = None

    @classmethod
    def read(cls, entry: Entry, *, max_bytes: int | None = None) -> "StoredEntry[Any]":
        """Read the head of an entry.

        Args:
            max_bytes: an entry with more is not looked at (setting ``max_packet_bytes``); None for no limit.

        Raises:
            MalformedError: its head cannot be read, or it is too large.
        """
        size = entry.size()
        if max_bytes is not None and size > max_bytes:
            raise MalformedError(
                f"entry {entry.offset} has {size} bytes, more than max_packet_bytes ({max_bytes})"
            )
        head = read_head(entry)
        return cls(entry, head) if head is not None else cls.blank(entry.offset)

    @classmethod
    def blank(cls, offset: Offset) -> "StoredEntry[Any]":
        """An entry of which only the place counts: nobody can get it, so nothing of it is kept."""
        return cls(Entry(offset, {}), None)

    def payload(self, codec: PayloadCodec, *, plain: bool = False) -> Payload:
        """Decode the data, see `PayloadCodec.decode`; raises `MalformedError`."""
        return codec.decode(self._data, plain=plain)

    def broadcast(self, codec: PayloadCodec) -> Broadcast:
        """Decode the data of an event, once; raises `MalformedError`, the same one each time."""
        if self._malformed:
            raise MalformedError(self._malformed)
        if self._broadcast is None:
            try:
                self._broadcast = self._decode(codec)
            except MalformedError as exc:
                self._malformed = str(exc)
                self._data = b""  # nobody will ever get it
                raise
        return self._broadcast

    def frames(self, codec: PayloadCodec, encode: FrameCodec[F], *, with_offset: bool) -> Sequence[F]:
        """Encode the event, once with its offset as the last argument and once without.

        Raises:
            EncodingError: the front end cannot send what another server could store.
        """
        if self._frames is None:
            self._frames = {}
        if with_offset not in self._frames:
            assert self.head is not None, "only entries with a head are delivered"
            args = list(self.broadcast(codec).args)
            if with_offset:
                args.append(str(self.offset))
            try:
                self._frames[with_offset] = encode.event(self.head.namespace, args)
            except Exception as exc:  # encoders and hooks raise whatever they like
                raise EncodingError(f"the packet at {self.offset} cannot be sent: {exc}") from exc
        return self._frames[with_offset]

    def _decode(self, codec: PayloadCodec) -> Broadcast:
        payload = self.payload(codec, plain=True)
        audience, flags = decode_audience(payload)
        packet = payload.get("packet")
        args = packet.get("data") if is_map(packet) else None
        if not is_list(args) or not args or not isinstance(args[0], str):
            raise MalformedError(f"entry {self.offset} has no event in 'packet'")
        return Broadcast(
            args=args,
            audience=audience,
            volatile=bool(flags.get("volatile")),
            ack=self._ack_request(payload.get("requestId")),
        )

    def _ack_request(self, request_id: object) -> AckRequest | None:
        if request_id is None:
            return None
        if not isinstance(request_id, str) or self.head is None or self.head.kind is not Kind.BROADCAST:
            raise MalformedError(f"entry {self.offset} has a 'requestId' that is not text")
        return AckRequest(self.head.server, request_id)


class Observer(Protocol):
    """Is told what becomes of entries; must be quick, and must not raise."""

    def delivering(self, stored: StoredEntry[Any]) -> int:
        """An event is about to be given to clients; what this returns is given to `delivered`."""
        ...

    def delivered(self, stored: StoredEntry[Any], event: str, recipients: int, since: int) -> None:
        """An event was given to so many clients of this server, at least one."""
        ...

    def replayed(self, stored: StoredEntry[Any]) -> None:
        """An event is given to a client that missed it."""
        ...
